/* mixing.c - the draws of MixUp and CutMix.
 *
 * Draws belong to the batch, named by the place of its first picture; each picture's own draws are a
 * cursor of its own, as a Beta draw takes a varying number of them.
 * SPDX-License-Identifier: MIT */
#include "data/mixing.h"

#include <math.h>

#include "base/real.h"
#include "base/rng.h"

bool mixing_is_on(const struct augment_options *o)
{
    return o->mixup > 0 || o->cutmix > 0;
}

/* In (0, 1]: a logarithm can be taken of it. */
static double above_zero(struct rng *r)
{
    return 1 - rng_uniform(r, 0, 1);
}

/* log of a Gamma(a, 1) draw: Marsaglia, Tsang 2000 (ACM TOMS 26), with their boost below 1, in logarithms, as
 * a small a gives numbers that underflow. */
static double log_gamma_draw(struct rng *r, double a)
{
    double boost = a < 1 ? real_log(above_zero(r)) / a : 0, d = (a < 1 ? a + 1 : a) - 1.0 / 3;
    double c = 1 / sqrt(9 * d);

    for (;;) {
        double x = rng_normal(r), v = 1 + c * x;

        if (v <= 0)
            continue;
        v = v * v * v;
        if (real_log(above_zero(r)) < x * x / 2 + d - d * v + d * real_log(v))
            return real_log(d * v) + boost;
    }
}

static double beta_draw(struct rng *r, double a)
{
    double x = log_gamma_draw(r, a), y = log_gamma_draw(r, a);

    return 1 / (1 + real_exp(y - x));
}

static void permute(struct mix *mixes, int n, struct rng *r)
{
    for (int i = 0; i < n; i++)
        mixes[i].partner = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)rng_below(r, (uint32_t)i + 1);
        int32_t swap = mixes[i].partner;

        mixes[i].partner = mixes[j].partner;
        mixes[j].partner = swap;
    }
}

static int32_t clamped(int x, int size)
{
    return x < 0 ? 0 : x > size ? size : x;
}

static struct mix draw_box(struct rng *r, double alpha, int size)
{
    double cut = size * sqrt(1 - beta_draw(r, alpha));
    int half = (int)nearbyint(cut) / 2, x = (int)rng_below(r, (uint32_t)size);
    int y = (int)rng_below(r, (uint32_t)size);
    struct mix m = {.left = clamped(x - half, size),
                    .top = clamped(y - half, size),
                    .right = clamped(x + half, size),
                    .bottom = clamped(y + half, size)};

    m.share = (float)((double)(m.right - m.left) * (m.bottom - m.top) / ((double)size * size));
    return m;
}

void mixing_draw(struct mix *mixes, int n, const struct augment_options *o, int size, uint64_t seed,
                 uint32_t epoch, uint32_t first)
{
    struct rng batch = rng_begin(seed, RNG_MIXING, epoch, first);
    struct mix box = {0};

    if (o->cutmix > 0)
        box = draw_box(&batch, o->cutmix, size);
    for (int i = 0; i < n; i++)
        mixes[i] = box;
    permute(mixes, n, &batch);
    for (int i = 0; o->mixup > 0 && i < n; i++) {
        struct rng own = rng_begin(seed, RNG_MIXUP, epoch, first + (uint32_t)i);
        double l = beta_draw(&own, o->mixup);

        mixes[i].share = (float)(l < 0.5 ? l : 1 - l);
    }
    for (int i = 0; i < n; i++) /* with itself: not mixed; a box without area neither */
        if (mixes[i].partner == i || !(mixes[i].share > 0))
            mixes[i] = (struct mix){.partner = i};
}
