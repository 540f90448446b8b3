/* conv.c - see conv.h: which algorithm a shape gets, and the entries by algorithm.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/conv/conv.h"

#include <stdlib.h>

#include "backend/cpu/conv/conv_plan.h"

#define VARIANTS(kind) extern const struct kind kind##_base, kind##_avx2, kind##_avx512;
VARIANTS(gemm_kernels)
VARIANTS(pack_kernels)
VARIANTS(winograd_kernels)
#undef VARIANTS

extern const struct gemm_kernels gemm_kernels_avx512bf16;

#if defined(__x86_64__)
#define PICK(kind, isa)                                                                            \
    ((isa) >= ISA_AVX512 ? &kind##_avx512 : (isa) == ISA_AVX2 ? &kind##_avx2 : &kind##_base)
#else
#define PICK(kind, isa) ((void)(isa), &kind##_base)
#endif

const struct winograd_kernels *winograd_kernels_of(enum isa isa)
{
    return PICK(winograd_kernels, isa);
}

const struct pack_kernels *pack_kernels_of(enum isa isa)
{
    return PICK(pack_kernels, isa);
}

const struct gemm_kernels *gemm_kernels_of(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512BF16)
        return &gemm_kernels_avx512bf16;
#endif
    return PICK(gemm_kernels, isa);
}

bool conv_dot_agrees(void)
{
#if defined(__x86_64__)
    return gemm_kernels_avx512bf16.dot_agrees();
#else
    return false;
#endif
}

/* Taps that fall inside a picture of N pixels along one axis, over all N outputs of a filter of 3. */
static int taps_inside(int n)
{
    return n == 1 ? 1 : 3 * n - 2;
}

enum conv_algorithm conv_algorithm(const struct conv_shape *s)
{
    const int down = (s->h + WINOGRAD_TILE - 1) / WINOGRAD_TILE,
              across = (s->w + WINOGRAD_TILE - 1) / WINOGRAD_TILE;

    if (s->c < BLOCK && s->pass != CONV_BACKWARD_DATA)
        return CONV_ROWS;
    /* where the tiles' products are at most two thirds of those of the taps, and there are enough tiles to share
     * what it costs to transform and read four times the weights */
    if (s->dtype == DTYPE_F32 && s->r == 3 && s->s == 3 && s->stride == 1 && s->pad == 1 &&
        s->c >= BLOCK && down * across >= 4 &&
        3 * WINOGRAD_PLANES * down * across <= 2 * taps_inside(s->h) * taps_inside(s->w))
        return CONV_WINOGRAD;
    return CONV_DIRECT;
}

const char *conv_algorithm_name(enum conv_algorithm a)
{
    static const char *const names[] = {"rows", "direct", "winograd"};

    return names[a];
}

int groups_together(int groups, int c, int k)
{
    for (int n = 1; n <= groups; n++)
        if (groups % n == 0 && c / groups * n % BLOCK == 0 && k / groups * n % BLOCK == 0)
            return n;
    return 0;
}

int conv_new(struct conv **out, const struct conv_shape *s, enum isa isa, struct err *err)
{
    const bool backward = s->pass == CONV_BACKWARD_DATA;
    const struct gemm_kernels *gemm = gemm_kernels_of(isa);
    struct conv *c;

    *out = NULL;
    if (s->stride > MOST_STRIDE)
        return err_set(err, ERR_UNSUPPORTED, "convolutions take strides of at most %d, not %d",
                       MOST_STRIDE, s->stride);
    if (s->r * s->s > MOST_TAPS)
        return err_set(err, ERR_UNSUPPORTED,
                       "convolutions take filters of at most %d taps, not %d x %d", MOST_TAPS, s->r,
                       s->s);
    if (s->k % BLOCK || (s->c % BLOCK && (s->c > 3 || s->groups > 1)) ||
        (s->groups > 1 && !groups_together(s->groups, s->c, s->k)))
        return err_set(err, ERR_UNSUPPORTED,
                       "convolutions take 1 to 3 channels or a multiple of %d, not %d to %d", BLOCK,
                       s->c, s->k);
    c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, ERR_NOMEM, "convolution");
    c->s = *s;
    c->algorithm = conv_algorithm(s);
    c->dot = s->dtype == DTYPE_BF16 && gemm->gemm_dot &&
             (c->algorithm == CONV_DIRECT || (c->algorithm == CONV_ROWS && rows_in_pairs(s)));
    c->tile_rows = gemm->rows;
    c->multiply = c->dot ? gemm->gemm_dot : gemm->gemm;
    c->multiply_grad = c->dot ? gemm->gemm_grad_dot : gemm->gemm_grad;
    c->pack = pack_kernels_of(isa);
    c->winograd = winograd_kernels_of(isa);
    if (c->s.groups < 1)
        c->s.groups = 1;
    c->parts = s->groups > 1 ? s->groups / groups_together(s->groups, s->c, s->k) : 1;
    c->in_blocks = blocks_of((backward ? s->k : s->c) / c->parts);
    c->out_blocks = blocks_of((backward ? s->c : s->k) / c->parts);
    if (c->algorithm == CONV_ROWS)
        rows_plan(c);
    else if (c->algorithm == CONV_WINOGRAD)
        winograd_plan(c);
    else if (direct_plan(c, err) < 0) {
        conv_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

void conv_free(struct conv *c)
{
    if (!c)
        return;
    phases_clear(&c->phases);
    free(c);
}

size_t conv_scratch(const struct conv *c)
{
    return (c->room[0] + c->room[1] + c->room[2]) * sizeof(float);
}

struct conv_format conv_weight_format(const struct conv *c)
{
    const struct conv_shape *s = &c->s;

    return (struct conv_format){
        .k = s->k,
        .c = s->c,
        .r = s->r,
        .s = s->s,
        .stride = s->stride,
        .pad = s->pad,
        .groups = s->groups,
        .backward = s->pass == CONV_BACKWARD_DATA,
        .winograd = c->algorithm == CONV_WINOGRAD,
        .bf16 = s->dtype == DTYPE_BF16,
        .pairs = c->dot,
        .rows = c->algorithm == CONV_ROWS,
    };
}

static void run_part(const struct conv *c, const void *source, const float *weight,
                     const struct put_to *to, void *scratch)
{
    if (c->algorithm == CONV_ROWS)
        rows_run(c, source, weight, to, scratch);
    else if (c->algorithm == CONV_WINOGRAD)
        winograd_run(c, source, weight, to, scratch);
    else
        direct_run(c, source, weight, to, scratch);
}

/* Bytes of a part's channels of a picture, of x or of y. */
static size_t part_bytes(const struct conv *c, bool x)
{
    const struct conv_shape *s = &c->s;
    const size_t channels = (size_t)((x ? s->c : s->k) / c->parts);

    return channels * (size_t)(x ? s->h * s->w : s->p * s->q) * dtype_size(s->dtype);
}

static void run(const struct conv *c, const void *source, const float *weight,
                const struct put_to *to, void *scratch)
{
    const bool backward = c->s.pass == CONV_BACKWARD_DATA;
    const size_t in = part_bytes(c, !backward), out = part_bytes(c, backward);
    const struct conv_format f = conv_weight_format(c);
    const size_t weights = conv_format_bytes(&f) / sizeof(float) / (size_t)c->parts;

    if (backward && c->algorithm == CONV_DIRECT)
        direct_clear(c, to->target);
    for (int i = 0; i < c->parts; i++) {
        const size_t channel = (size_t)(i * c->out_blocks * BLOCK);
        const struct put_to part = {
            .target = (char *)to->target + (size_t)i * out,
            .residual = to->residual ? (const char *)to->residual + (size_t)i * out : NULL,
            .scale = to->scale ? to->scale + channel : NULL,
            .bias = to->scale ? to->bias + channel : NULL,
            .relu = to->relu,
        };

        run_part(c, (const char *)source + (size_t)i * in, weight + (size_t)i * weights, &part,
                 scratch);
    }
}

void conv_forward(const struct conv *c, const void *x, const float *weight, void *y,
                  const struct conv_end *end, void *scratch)
{
    struct put_to to = {.target = y};

    if (end)
        to = (struct put_to){y, end->residual, end->scale, end->bias, end->relu};
    run(c, x, weight, &to, scratch);
}

void conv_backward_data(const struct conv *c, const void *dy, const float *weight, void *dx,
                        void *scratch)
{
    run(c, dy, weight, &(struct put_to){.target = dx}, scratch);
}

void conv_backward_weight(const struct conv *c, const void *x, const void *dy, float *leaf,
                          void *scratch)
{
    for (int i = 0; i < c->parts; i++) {
        const void *from = (const char *)x + (size_t)i * part_bytes(c, true);
        const void *back = (const char *)dy + (size_t)i * part_bytes(c, false);
        float *to = leaf + (size_t)i * (conv_leaf_floats(c) / (size_t)c->parts);

        if (c->algorithm == CONV_ROWS)
            rows_gradient(c, from, back, to, scratch);
        else if (c->algorithm == CONV_WINOGRAD)
            winograd_gradient(c, from, back, to, scratch);
        else
            direct_gradient(c, from, back, to, scratch);
    }
}
