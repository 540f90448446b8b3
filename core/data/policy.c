/* policy.c - TrivialAugment's draws, matrices and changes of pixels.
 *
 * Grey is Pillow's convert("L"), a blend Pillow's Image.blend(): float32, towards 0. SPDX-License-Identifier: MIT */
#include "data/policy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/real.h"
#include "base/rng.h"

enum { LEVELS = 256 };

/* torch.linspace(0, END, 31)[BIN]: in float32, fused, from both ends. */
static double spaced(float end, int bin)
{
    const float step = end / (POLICY_BINS - 1);

    return (double)(bin < POLICY_BINS / 2 ? step * (float)bin
                                          : fmaf(-step, (float)(POLICY_BINS - 1 - bin), end));
}

struct policy policy_of(int kind, int bin, bool negative)
{
    const double sign = negative ? -1 : 1;
    struct policy p = {.kind = kind};

    BUG_IF(kind < 0 || kind >= POLICY_KINDS || bin < 0 || bin >= POLICY_BINS);
    switch (kind) {
    case POLICY_SHEAR_X:
    case POLICY_SHEAR_Y:
    case POLICY_BRIGHTNESS:
    case POLICY_COLOR:
    case POLICY_CONTRAST:
    case POLICY_SHARPNESS:
        p.strength = sign * spaced(0.99f, bin);
        break;
    case POLICY_TRANSLATE_X:
    case POLICY_TRANSLATE_Y: /* torchvision takes whole pixels */
        p.strength = sign * (int)spaced(32, bin);
        break;
    case POLICY_ROTATE:
        p.strength = sign * spaced(135, bin);
        break;
    case POLICY_POSTERIZE:
        p.strength = 8 - rint(spaced(6, bin));
        break;
    case POLICY_SOLARIZE:
        p.strength = 255 - spaced(255, bin);
        break;
    default:
        break;
    }
    return p;
}

struct policy policy_draw(uint64_t seed, uint32_t epoch, uint32_t position)
{
    struct rng r = rng_begin(seed, RNG_POLICY, epoch, position);
    int kind = (int)rng_below(&r, POLICY_KINDS), bin = (int)rng_below(&r, POLICY_BINS);

    return policy_of(kind, bin, rng_below(&r, 2));
}

void policy_matrix(double m[9], const struct policy *p, int size)
{
    static const double same[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    const double x = p->strength;
    double sine, cosine;

    memcpy(m, same, sizeof same);
    switch (p->kind) {
    case POLICY_SHEAR_X: /* about the upper left corner, (-1, -1) */
        m[1] = m[2] = x;
        break;
    case POLICY_SHEAR_Y:
        m[3] = m[5] = x;
        break;
    case POLICY_TRANSLATE_X:
        m[2] = -2 * x / size;
        break;
    case POLICY_TRANSLATE_Y:
        m[5] = -2 * x / size;
        break;
    case POLICY_ROTATE:
        real_sincos(x * 3.14159265358979323846 / 180, &sine, &cosine);
        m[0] = m[4] = cosine;
        m[1] = -sine;
        m[3] = sine;
        break;
    default:
        break;
    }
}

/* --- operations on values -------------------------------------------------------------------------- */

static int grey_of(const uint8_t *p)
{
    return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16;
}

/* From FROM (factor 0) to TO (factor 1) and beyond. */
static uint8_t blend(int from, int to, float factor)
{
    float x = (float)from + factor * (float)(to - from);

    return x <= 0 ? 0 : x >= 255 ? 255 : (uint8_t)x;
}

static void look_up(uint8_t *pixels, size_t n, uint8_t tables[3][LEVELS])
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            pixels[3 * i + c] = tables[c][pixels[3 * i + c]];
}

static void count(uint32_t counts[3][LEVELS], const uint8_t *pixels, size_t n)
{
    memset(counts, 0, 3 * sizeof counts[0]);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            counts[c][pixels[3 * i + c]]++;
}

static int mean_grey(const uint8_t *pixels, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (uint64_t)grey_of(pixels + 3 * i);
    return (int)((double)sum / (double)n + 0.5);
}

/* Tables of the operations that change each level on its own. */
static void level_tables(uint8_t tables[3][LEVELS], const struct policy *p, int mean)
{
    const float factor = (float)(1 + p->strength);

    for (int v = 0; v < LEVELS; v++) {
        int y = v;

        if (p->kind == POLICY_POSTERIZE)
            y = v & ~((1 << (8 - (int)p->strength)) - 1);
        else if (p->kind == POLICY_SOLARIZE)
            y = v < p->strength ? v : 255 - v;
        else
            y = blend(p->kind == POLICY_CONTRAST ? mean : 0, v, factor);
        tables[0][v] = tables[1][v] = tables[2][v] = (uint8_t)y;
    }
}

/* The lowest and the highest level that occurs become 0 and 255. */
static void stretch_table(uint8_t table[LEVELS], const uint32_t counts[LEVELS])
{
    int low = 0, high = LEVELS - 1;
    double scale;

    while (low < high && counts[low] == 0)
        low++;
    while (high > low && counts[high] == 0)
        high--;
    scale = high > low ? 255.0 / (high - low) : 1;
    for (int v = 0; v < LEVELS; v++) {
        int y = high > low ? (int)(v * scale + -low * scale) : v;

        table[v] = (uint8_t)(y < 0 ? 0 : y > 255 ? 255 : y);
    }
}

/* Every level as often as any other, as nearly as a table can do it. */
static void equal_table(uint8_t table[LEVELS], const uint32_t counts[LEVELS])
{
    uint64_t sum = 0, step, at;
    uint32_t last = 0;

    for (int v = 0; v < LEVELS; v++) {
        sum += counts[v];
        last = counts[v] ? counts[v] : last;
    }
    step = (sum - last) / 255;
    at = step / 2;
    for (int v = 0; v < LEVELS; v++) {
        uint64_t y = step ? at / step : (uint64_t)v;

        table[v] = (uint8_t)(y > 255 ? 255 : y);
        at += counts[v];
    }
}

static void colour(uint8_t *pixels, size_t n, float factor)
{
    for (size_t i = 0; i < n; i++) {
        int grey = grey_of(pixels + 3 * i);

        for (size_t c = 0; c < 3; c++)
            pixels[3 * i + c] = blend(grey, pixels[3 * i + c], factor);
    }
}

/* Pillow's ImageFilter.SMOOTH is (the 3 x 3 neighbours + 4 times the pixel) / 13, rounded; outer pixels stay. ROWS: of
 * the row above and of this one, as they were. */
static int sharpen(uint8_t *pixels, int height, int width, float factor, struct err *err)
{
    const size_t row = 3 * (size_t)width;
    uint8_t *rows = malloc(2 * row);

    if (!rows)
        return err_set(err, ERR_NOMEM, "augment.policy: two rows of %d pixels", width);
    memcpy(rows, pixels, row);
    for (int y = 1; y + 1 < height; y++) {
        uint8_t *at = pixels + (size_t)y * row, *above = rows + (y % 2 ? 0 : row);
        uint8_t *here = rows + (y % 2 ? row : 0);

        memcpy(here, at, row);
        for (size_t i = 3; i + 3 < row; i++) {
            int sum = above[i - 3] + above[i] + above[i + 3] + here[i - 3] + 5 * here[i] +
                      here[i + 3] + at[row + i - 3] + at[row + i] + at[row + i + 3];

            at[i] = blend((2 * sum + 13) / 26, here[i], factor);
        }
    }
    free(rows);
    return 0;
}

int policy_apply(uint8_t *pixels, int height, int width, const struct policy *p, struct err *err)
{
    const size_t n = (size_t)height * (size_t)width;
    uint8_t tables[3][LEVELS];
    uint32_t counts[3][LEVELS];

    switch (p->kind) {
    case POLICY_COLOR:
        colour(pixels, n, (float)(1 + p->strength));
        return 0;
    case POLICY_SHARPNESS:
        return sharpen(pixels, height, width, (float)(1 + p->strength), err);
    case POLICY_BRIGHTNESS:
    case POLICY_CONTRAST:
    case POLICY_POSTERIZE:
    case POLICY_SOLARIZE:
        level_tables(tables, p, p->kind == POLICY_CONTRAST ? mean_grey(pixels, n) : 0);
        break;
    case POLICY_AUTOCONTRAST:
    case POLICY_EQUALIZE:
        count(counts, pixels, n);
        for (int c = 0; c < 3; c++)
            (p->kind == POLICY_EQUALIZE ? equal_table : stretch_table)(tables[c], counts[c]);
        break;
    default:
        return 0;
    }
    look_up(pixels, n, tables);
    return 0;
}
