/* picture_quality.c - brightness, detail and sides of a picture.
 *
 * The limits of brightness and aspect are CleanVision's (0.3.7: dark 0.32 of the 99th percentile, light 0.05 of one
 * minus the 5th, odd aspect ratio 0.35). That of blur lies between what was measured (docs/cleaning.md).
 * SPDX-License-Identifier: MIT */
#include "data/picture_quality.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "data/duplicate.h"

const char *const quality_names[QUALITY_FAULTS] = {"dark",     "light", "blurred",
                                                   "constant", "tiny",  "aspect"};

static const double dark_below = 0.32, light_from = 0.95, blurred_below = 0.04,
                    odd_above = 1 / 0.35;

/* Brightness of a pixel, in 1/256 of a grey level (ITU-R BT.601). */
static int32_t grey(const uint8_t *p)
{
    return 77 * p[0] + 150 * p[1] + 29 * p[2];
}

/* The brightness that SHARE of the N pixels stay below, in [0, 1]. */
static double percentile(const uint32_t histogram[256], uint64_t n, double share)
{
    uint64_t below = 0;
    int level = 0;

    while (level < 255 && (double)(below + histogram[level]) < share * (double)n)
        below += histogram[level++];
    return level / 255.0;
}

/* Variance of the Laplacian of GREY (height, width), at least 3 x 3: how much there is of the finest detail. */
static double edges(const int32_t *grey_of, uint32_t height, uint32_t width)
{
    double sum = 0, squares = 0, n = (double)(height - 2) * (width - 2);

    for (uint32_t y = 1; y + 1 < height; y++)
        for (uint32_t x = 1; x + 1 < width; x++) {
            const int32_t *g = grey_of + (size_t)y * width + x;
            const double edge = 4.0 * *g - g[-1] - g[1] - g[-(ptrdiff_t)width] - g[width];

            sum += edge;
            squares += edge * edge;
        }
    return squares / n - sum / n * (sum / n);
}

/* The variance of the Laplacian is the usual measure of sharpness (Pech-Pacheco et al. 2000, "Diatom autofocusing in
 * brightfield microscopy"), but grows with contrast. Over that of the picture at a quarter of its size, it does not:
 * blur takes fine detail alone. */
static int measure_detail(double *out, const uint8_t *pixels, uint32_t height, uint32_t width,
                          struct err *err)
{
    const uint32_t rows = height / 4, columns = width / 4;
    int32_t *fine, *coarse;
    double below;

    *out = 1;
    if (rows < 3 || columns < 3)
        return 0;
    fine = malloc((size_t)height * width * sizeof *fine);
    coarse = calloc((size_t)rows * columns, sizeof *coarse);
    if (!fine || !coarse) {
        free(fine);
        free(coarse);
        return err_set(err, ERR_NOMEM, "%u x %u pixels", width, height);
    }
    for (size_t i = 0; i < (size_t)height * width; i++)
        fine[i] = grey(pixels + 3 * i);
    for (uint32_t y = 0; y < 4 * rows; y++)
        for (uint32_t x = 0; x < 4 * columns; x++)
            coarse[(size_t)(y / 4) * columns + x / 4] += fine[(size_t)y * width + x];
    below = edges(coarse, rows, columns) / 256; /* sums of 16 pixels, not means */
    *out = below > 0 ? edges(fine, height, width) / below : 1;
    free(fine);
    free(coarse);
    return 0;
}

static bool is_flat(const uint8_t *pixels, uint32_t height, uint32_t width)
{
    struct picture_hash hash;

    picture_hash(&hash, pixels, (int)height, (int)width);
    return hash.flat;
}

int quality_measure(struct quality *q, const uint8_t *pixels, uint32_t height, uint32_t width,
                    uint32_t original_height, uint32_t original_width, struct err *err)
{
    const uint64_t n = (uint64_t)height * width;
    const bool upright = original_height > original_width;
    const uint32_t longer = upright ? original_height : original_width;
    const uint32_t shorter = upright ? original_width : original_height;
    const uint32_t presized = height < width ? height : width;
    uint32_t histogram[256] = {0};

    for (uint64_t i = 0; i < n; i++)
        histogram[(uint32_t)grey(pixels + 3 * i) >> 8]++;
    q->light_px = percentile(histogram, n, 0.99);
    q->dark_px = percentile(histogram, n, 0.05);
    if (measure_detail(&q->detail, pixels, height, width, err) < 0)
        return -1;
    q->aspect = shorter > 0 ? (double)longer / shorter : 1;
    q->faults = (q->light_px < dark_below ? QUALITY_DARK : 0U) |
                (q->dark_px >= light_from ? QUALITY_LIGHT : 0U) |
                (is_flat(pixels, height, width) ? QUALITY_CONSTANT
                 : q->detail < blurred_below    ? QUALITY_BLURRED
                                                : 0U) |
                (2 * shorter < presized ? QUALITY_TINY : 0U) |
                (q->aspect > odd_above ? QUALITY_ODD_ASPECT : 0U);
    return 0;
}
