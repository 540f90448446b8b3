/* elem_sample.h - from a presized picture to the network's input: the formula of step/geometry.h.
 *
 * Written once for all backends, as elem.h, whose rules it shares. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_ELEM_SAMPLE_H
#define PRESIZE_BACKEND_ELEM_SAMPLE_H

#include "arch/imagenet.h"
#include "backend/elem.h"
#include "step/picture.h"

/* Normalisation of torchvision's ImageNet weights, (x - mean) / std, as one multiplication. */
ELEM float imagenet_mean(int channel)
{
    return (float)(channel == 0   ? IMAGENET_MEAN_R
                   : channel == 1 ? IMAGENET_MEAN_G
                                  : IMAGENET_MEAN_B);
}

ELEM float imagenet_scale(int channel)
{
    return 1.0f / (float)(channel == 0   ? IMAGENET_STD_R
                          : channel == 1 ? IMAGENET_STD_G
                                         : IMAGENET_STD_B);
}

ELEM float elem_normalise(float x, float mean, float scale)
{
    return (x - mean) * scale;
}

/* Where sample S of K per axis stands from the output pixel's centre, in output pixels. */
ELEM float sample_offset(int s, int k)
{
    return (float)(2 * s + 1 - k) / (float)(2 * k);
}

/* X reflected about -1/2 and n - 1/2, then clamped to the outer pixels' centres (the outer half
 * pixel is the outer pixel); within [0, n - 1] unchanged; NaN gives 0. With u = x + 1/2 the
 * reflection is the distance from u to the nearest multiple of 2n. */
ELEM float elem_reflect(float x, int n)
{
    float last = (float)(n - 1), period = (float)(2 * n);
    float u = x + 0.5f;
    float nearest = fmaf(u, 1.0f / period, 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds */
    float r = fabsf(fmaf(nearest, -period, u)) - 0.5f;

    r = (x >= 0.0f) & (x <= last) ? x : r;
    r = r > 0.0f ? r : 0.0f;
    return r < last ? r : last;
}

/* One bilinear sample at (X, Y), within the outer pixels' centres, added to sum[3] in units of 1/255.
 * Rows are ROW pixels apart. Taps in the order upper left, upper right, lower left, lower right. */
ELEM void elem_taps(float sum[3], const uint8_t *pixels, int row, int height, int width, float x,
                    float y)
{
    int x0, y0, right, down;
    float fx, fy, w00, w01, w10, w11;
    const uint8_t *p;

    x0 = (int)x;
    y0 = (int)y;
    x0 = x0 < width - 2 ? x0 : width - 2; /* the last pixel is a right neighbour, with weight 1 */
    y0 = y0 < height - 2 ? y0 : height - 2;
    x0 = x0 > 0 ? x0 : 0;
    y0 = y0 > 0 ? y0 : 0;
    right = width > 1 ? 3 : 0;
    down = height > 1 ? 3 * row : 0;
    fx = x - (float)x0;
    fy = y - (float)y0;
    w11 = fx * fy;
    w01 = fx - w11;
    w10 = fy - w11;
    w00 = (1.0f - fx) - w10;
    p = pixels + ((int64_t)y0 * row + x0) * 3;
    for (int c = 0; c < 3; c++) {
        float s = sum[c];

        s = fmaf(w00, (float)p[c], s);
        s = fmaf(w01, (float)p[right + c], s);
        s = fmaf(w10, (float)p[down + c], s);
        sum[c] = fmaf(w11, (float)p[down + right + c], s);
    }
}

ELEM void elem_bilinear(float sum[3], const uint8_t *pixels, int height, int width, float x,
                        float y)
{
    elem_taps(sum, pixels, width, height, width, elem_reflect(x, width), elem_reflect(y, height));
}

/* Whether a position is not outside the outer pixels' outer border; NaN is. */
ELEM int elem_is_inside(float x, float y, int height, int width)
{
    return (x >= -0.5f) & (x <= (float)width - 0.5f) & (y >= -0.5f) & (y <= (float)height - 0.5f);
}

/* Of a channel's sum of samples: the mean in [0, 1]. */
ELEM float sample_scale(int k)
{
    return 1.0f / (float)(255 * k * k);
}

/* Saturation and hue of a colour, as torchvision 0.29 has them on floats (transforms/_functional_tensor.py: _blend,
 * rgb_to_grayscale, _rgb2hsv, _hsv2rgb), for struct sample_map's members. HSV: Smith 1978 (SIGGRAPH). Back from HSV by
 * one formula for all three channels, without a choice between six sectors: with the hue h in sixths and
 * k = (h + 5, 3, 1) mod 6, a channel is max - (max - min) clamp(min(k, 4 - k), 0, 1). */
ELEM float elem_unit(float x)
{
    x = x > 0.0f ? x : 0.0f;
    return x < 1.0f ? x : 1.0f;
}

ELEM float elem_hue_channel(float h, float offset, float max, float range)
{
    float k = h + offset, m;

    k = k >= 6.0f ? k - 6.0f : k;
    m = k < 4.0f - k ? k : 4.0f - k;
    return max - range * elem_unit(m);
}

ELEM void elem_colour(float *red, float *green, float *blue, float saturation, float hue)
{
    float r = *red, g = *green, b = *blue;
    float grey = (1.0f - saturation) * (0.2989f * r + 0.587f * g + 0.114f * b);
    float max, min, range, scale, h;

    r = elem_unit(saturation * r + grey);
    g = elem_unit(saturation * g + grey);
    b = elem_unit(saturation * b + grey);
    max = r > g ? r : g;
    max = max > b ? max : b;
    min = r < g ? r : g;
    min = min < b ? min : b;
    range = max - min;
    scale = 1.0f / (range > 0.0f ? range : 1.0f);
    h = max == r ? (g - b) * scale : max == g ? 2.0f + (b - r) * scale : 4.0f + (r - g) * scale;
    h += hue;
    h = h < 0.0f ? h + 6.0f : h;
    h = h >= 6.0f ? h - 6.0f : h;
    *red = elem_hue_channel(h, 5.0f, max, range);
    *green = elem_hue_channel(h, 3.0f, max, range);
    *blue = elem_hue_channel(h, 1.0f, max, range);
}

ELEM int elem_is_erased(const struct sample_map *map, int j, int i)
{
    return j >= map->erased.left && j < map->erased.right && i >= map->erased.top &&
           i < map->erased.bottom;
}

/* From the channels' sums of samples to the network's input, in place. */
ELEM void elem_finish(float rgb[3], const struct sample_map *map)
{
    for (int c = 0; c < 3; c++) {
        rgb[c] = rgb[c] * sample_scale(map->k);
        if (map->lighting)
            rgb[c] = elem_lighting(rgb[c], map->brightness, map->contrast);
    }
    if (map->colour)
        elem_colour(&rgb[0], &rgb[1], &rgb[2], map->saturation, map->hue);
    for (int c = 0; c < 3; c++)
        rgb[c] = elem_normalise(rgb[c], imagenet_mean(c), imagenet_scale(c));
}

/* OWN blended with the OTHER picture's value at output pixel (J, I). */
ELEM float elem_mix(float own, float other, const struct mix *m, int j, int i)
{
    if (m->left == m->right || m->top == m->bottom)
        return fmaf(m->share, other - own, own);
    return j >= m->left && j < m->right && i >= m->top && i < m->bottom ? other : own;
}

/* --- augment.mode fastai: struct two_steps of step/geometry.h ---------------------------------- */

/* X reflected about 0 and n - 1 (torch's grid_sample with align_corners), NaN gives 0. */
ELEM float elem_reflect_centres(float x, int n)
{
    float last = (float)(n - 1), v = fabsf(x), turns, r;

    if (n < 2)
        return 0.0f;
    turns = floorf(v / last);
    r = fmaf(-turns, last, v);
    r = turns - 2.0f * floorf(0.5f * turns) > 0.0f ? last - r : r;
    r = r > 0.0f ? r : 0.0f;
    return r < last ? r : last;
}

/* Pixel (X, Y) of the first result, added to sum[3]. */
ELEM void elem_first_step(float sum[3], const uint8_t *pixels, int width,
                          const struct sample_map *map, int x, int y)
{
    const struct two_steps *t = &map->two;
    const float *m = map->m, u = (float)x, v = (float)y;
    float a = fmaf(m[0], u, fmaf(m[1], v, m[2]));
    float b = fmaf(m[3], u, fmaf(m[4], v, m[5]));
    float c = 1.0f / fmaf(m[6], u, fmaf(m[7], v, m[8]));

    elem_taps(sum, pixels + ((int64_t)t->top * width + t->left) * 3, width, t->side, t->side,
              elem_reflect_centres(a * c, t->side), elem_reflect_centres(b * c, t->side));
}

/* Pixel (X, Y) of the averaged crop, torch's adaptive average, times WEIGHT, added to sum[3]. */
ELEM void elem_area(float sum[3], const uint8_t *pixels, int width, const struct sample_map *map,
                    int x, int y, float weight)
{
    const struct two_steps *t = &map->two;
    int x0 = x * t->crop_side / t->area, x1 = ((x + 1) * t->crop_side + t->area - 1) / t->area;
    int y0 = y * t->crop_side / t->area, y1 = ((y + 1) * t->crop_side + t->area - 1) / t->area;
    float mean[3] = {0.0f, 0.0f, 0.0f};

    for (int i = y0; i < y1; i++)
        for (int j = x0; j < x1; j++)
            elem_first_step(mean, pixels, width, map, t->crop_left + j, t->crop_top + i);
    weight = weight / (float)((y1 - y0) * (x1 - x0));
    for (int c = 0; c < 3; c++)
        sum[c] = fmaf(weight, mean[c], sum[c]);
}

/* Output pixel (J, I), in units of 1/255. */
ELEM void elem_two_steps(float sum[3], const uint8_t *pixels, int width,
                         const struct sample_map *map, int j, int i)
{
    const int last = map->two.area - 1;
    float x = (float)j * map->two.step, y = (float)i * map->two.step;
    int x0 = (int)x < last ? (int)x : last, y0 = (int)y < last ? (int)y : last;
    float fx = x0 < last ? x - (float)x0 : 0.0f, fy = y0 < last ? y - (float)y0 : 0.0f;

    elem_area(sum, pixels, width, map, x0, y0, (1.0f - fx) * (1.0f - fy));
    if (fx > 0.0f)
        elem_area(sum, pixels, width, map, x0 + 1, y0, fx * (1.0f - fy));
    if (fy > 0.0f)
        elem_area(sum, pixels, width, map, x0, y0 + 1, (1.0f - fx) * fy);
    if (fx > 0.0f && fy > 0.0f)
        elem_area(sum, pixels, width, map, x0 + 1, y0 + 1, fx * fy);
}

/* Output pixel (column J, row I) of a presized picture (height, width, 3). Samples row by row. */
ELEM void elem_sample(float out[3], const uint8_t *pixels, int height, int width,
                      const struct sample_map *map, int j, int i)
{
    const float *m = map->m;
    out[0] = out[1] = out[2] = 0.0f;
    if (elem_is_erased(map, j, i))
        return;
    if (map->two.side)
        elem_two_steps(out, pixels, width, map, j, i);
    for (int sy = 0; sy < map->k && !map->two.side; sy++)
        for (int sx = 0; sx < map->k; sx++) {
            float v = (float)i + sample_offset(sy, map->k);
            float u = (float)j + sample_offset(sx, map->k);
            float a = fmaf(m[0], u, fmaf(m[1], v, m[2]));
            float b = fmaf(m[3], u, fmaf(m[4], v, m[5]));
            float c = 1.0f / fmaf(m[6], u, fmaf(m[7], v, m[8]));

            if (!map->black || elem_is_inside(a * c, b * c, height, width))
                elem_bilinear(out, pixels, height, width, a * c, b * c);
        }
    elem_finish(out, map);
}

#endif
