/* augment.c - draw and compose a picture's augmentation.
 *
 * After fastai's aug_transforms (vision/augment.py): same parameters, same distributions, same order;
 * but one interpolation in all, and a crop of its own for every picture. Mode fastai has two, as fastai.
 * SPDX-License-Identifier: MIT */
#include "data/augment.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/real.h"
#include "base/rng.h"
#include "data/policy.h"

enum { ERASE_TRIES = 10 };
static const double pi = 3.14159265358979323846;

/* Places of the draws of one picture. Part of the recipe: append only. */
enum {
    DRAW_AREA,
    DRAW_TOP,
    DRAW_LEFT,
    DRAW_FLIP,
    DRAW_ROTATE_P,
    DRAW_ROTATE,
    DRAW_ZOOM_P,
    DRAW_ZOOM,
    DRAW_ZOOM_X,
    DRAW_ZOOM_Y,
    DRAW_WARP_X_P,
    DRAW_WARP_Y_P,
    DRAW_WARP_X,
    DRAW_WARP_Y,
    DRAW_BRIGHTNESS_P,
    DRAW_BRIGHTNESS,
    DRAW_CONTRAST_P,
    DRAW_CONTRAST,
    DRAW_BATCH_AREA, /* mode fastai: of the batch's first picture */
    DRAW_BATCH_TOP,
    DRAW_BATCH_LEFT,
    DRAW_VFLIP,
    DRAW_SATURATION,
    DRAW_HUE,
    DRAW_PAD, /* share of the padding that is above or left */
    DRAWS
};

static double between(double u, double low, double high)
{
    return low + u * (high - low);
}

/* Sides of what RESIZE brings to the output's size: x, y. */
static void full_sides(double sides[2], int resize, int height, int width)
{
    const int least = height < width ? height : width, most = height < width ? width : height;

    sides[0] = resize == RESIZE_SQUISH ? width : resize == RESIZE_PAD ? most : least;
    sides[1] = resize == RESIZE_SQUISH ? height : resize == RESIZE_PAD ? most : least;
}

void augment_draw(struct augment_draw *d, const struct augment_options *o, int height, int width,
                  uint64_t seed, uint32_t epoch, uint32_t position)
{
    struct rng r = rng_begin(seed, RNG_AUGMENT, epoch, position);
    double u[DRAWS], full[2], part, log_contrast = -real_log(1 - o->max_lighting);

    for (int i = 0; i < DRAWS; i++)
        u[i] = rng_uniform(&r, 0, 1);
    d->scale_area = o->mode == AUGMENT_FASTAI ? 1 : between(u[DRAW_AREA], o->min_scale, 1);
    full_sides(full, o->resize, height, width);
    part = sqrt(d->scale_area);
    if (o->resize ==
        RESIZE_PAD) { /* the picture in the square, as fastai's CropPad, and the crop in it */
        d->top = u[DRAW_TOP] * (full[1] - part * full[1]) - u[DRAW_PAD] * (full[1] - height);
        d->left = u[DRAW_LEFT] * (full[0] - part * full[0]) - u[DRAW_PAD] * (full[0] - width);
    } else {
        d->top = u[DRAW_TOP] * (height - part * full[1]);
        d->left = u[DRAW_LEFT] * (width - part * full[0]);
    }
    d->flip = o->flip && u[DRAW_FLIP] < 0.5 ? -1 : 1;
    d->rotate =
        u[DRAW_ROTATE_P] < o->p_affine ? between(u[DRAW_ROTATE], -o->max_rotate, o->max_rotate) : 0;
    d->zoom = u[DRAW_ZOOM_P] < o->p_affine ? between(u[DRAW_ZOOM], o->min_zoom, o->max_zoom) : 1;
    d->zoom_x = u[DRAW_ZOOM_X];
    d->zoom_y = u[DRAW_ZOOM_Y];
    d->warp_x =
        u[DRAW_WARP_X_P] < o->p_affine ? between(u[DRAW_WARP_X], -o->max_warp, o->max_warp) : 0;
    d->warp_y =
        u[DRAW_WARP_Y_P] < o->p_affine ? between(u[DRAW_WARP_Y], -o->max_warp, o->max_warp) : 0;
    d->brightness =
        u[DRAW_BRIGHTNESS_P] < o->p_lighting
            ? between(u[DRAW_BRIGHTNESS], 0.5 * (1 - o->max_lighting), 0.5 * (1 + o->max_lighting))
            : 0.5;
    d->contrast = u[DRAW_CONTRAST_P] < o->p_lighting
                      ? real_exp(between(u[DRAW_CONTRAST], -log_contrast, log_contrast))
                      : 1;
    d->upside_down = u[DRAW_VFLIP] < o->vflip;
    /* torchvision's ColorJitter: the factor from max(0, 1 - x) to 1 + x */
    d->saturation =
        between(u[DRAW_SATURATION], o->saturation < 1 ? -o->saturation : -1, o->saturation);
    d->hue = between(u[DRAW_HUE], -o->hue, o->hue);
    d->resize = o->resize;
    d->pad = o->pad;
}

/* out = a b, all row-major 3 x 3; OUT may be either. */
static void multiply(double out[9], const double a[9], const double b[9])
{
    double c[9];

    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            c[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
    memcpy(out, c, sizeof c);
}

/* Solves the 8 equations in place by elimination with row exchanges; false where there is no one
 * solution. ROWS: coefficients and, in column 8, the right side, afterwards the solution. */
static bool solve(double rows[8][9])
{
    for (int i = 0; i < 8; i++) {
        int pivot = i;

        for (int k = i + 1; k < 8; k++)
            if (fabs(rows[k][i]) > fabs(rows[pivot][i]))
                pivot = k;
        if (fabs(rows[pivot][i]) < 1e-12)
            return false;
        for (int j = 0; j < 9; j++) {
            double swap = rows[i][j];

            rows[i][j] = rows[pivot][j];
            rows[pivot][j] = swap;
        }
        for (int k = 0; k < 8; k++) {
            double f = k == i ? 0 : rows[k][i] / rows[i][i];

            for (int j = i; f != 0 && j < 9; j++)
                rows[k][j] -= f * rows[i][j];
        }
    }
    for (int i = 0; i < 8; i++)
        rows[i][8] /= rows[i][i];
    return true;
}

void augment_warp(double c[8], double wx, double wy)
{
    /* the corner o of the source shows up at t in the output: H(t) = o */
    const double o[4][2] = {{-1, -1}, {-1, 1}, {1, -1}, {1, 1}};
    const double t[4][2] = {
        {-1 - wy, -1 - wx}, {-1 + wy, 1 + wx}, {1 + wy, -1 + wx}, {1 - wy, 1 - wx}};
    static const double none[8] = {1, 0, 0, 0, 1, 0, 0, 0};
    double rows[8][9];

    for (int k = 0; k < 4; k++) {
        double x = t[k][0], y = t[k][1], ox = o[k][0], oy = o[k][1];
        const double two[2][9] = {{x, y, 1, 0, 0, 0, -ox * x, -ox * y, ox},
                                  {0, 0, 0, x, y, 1, -oy * x, -oy * y, oy}};

        memcpy(rows[2 * k], two, sizeof two);
    }
    if (!solve(rows)) {
        memcpy(c, none, sizeof none);
        return;
    }
    for (int i = 0; i < 8; i++)
        c[i] = rows[i][8];
}

void augment_matrix(double m[9], const struct augment_draw *d)
{
    double s = 1 / d->zoom, sine, cosine;
    const double flip[9] = {d->flip, 0, 0, 0, d->upside_down != 0 ? -1 : 1, 0, 0, 0, 1};
    const double zoom[9] = {
        s, 0, (1 - s) * (2 * d->zoom_x - 1), 0, s, (1 - s) * (2 * d->zoom_y - 1), 0, 0, 1};
    double rotate[9] = {[8] = 1}, c[9];

    real_sincos(d->rotate * pi / 180, &sine, &cosine);
    rotate[0] = rotate[4] = cosine;
    rotate[1] = sine;
    rotate[3] = -sine;
    multiply(m, flip, rotate);
    multiply(m, m, zoom);
    if (d->warp_x == 0 && d->warp_y == 0)
        return;
    augment_warp(c, d->warp_x, d->warp_y);
    c[8] = 1;
    multiply(m, c, m);
}

/* Largest singular value of the map's Jacobian at output (X, Y): source pixels per output pixel. */
static double stretch_at(const double m[9], double x, double y)
{
    double c = m[6] * x + m[7] * y + m[8];
    double sx = (m[0] * x + m[1] * y + m[2]) / c, sy = (m[3] * x + m[4] * y + m[5]) / c;
    double j00 = (m[0] - sx * m[6]) / c, j01 = (m[1] - sx * m[7]) / c;
    double j10 = (m[3] - sy * m[6]) / c, j11 = (m[4] - sy * m[7]) / c;
    double sum = j00 * j00 + j01 * j01 + j10 * j10 + j11 * j11;
    double det = j00 * j11 - j01 * j10;
    double root = sum * sum - 4 * det * det;

    return sqrt((sum + sqrt(root > 0 ? root : 0)) / 2);
}

/* INNER maps crop coordinates to crop coordinates; the crop is SIDES (x, y) pixels at (LEFT, TOP). */
static void place(struct sample_map *out, const double inner[9], double left, double top,
                  const double sides[2], int size)
{
    const double to_crop[9] = {2.0 / size, 0, 1.0 / size - 1, 0, 2.0 / size, 1.0 / size - 1, 0,
                               0,          1};
    const double x = sides[0] / 2, y = sides[1] / 2;
    const double to_source[9] = {x, 0, left + x - 0.5, 0, y, top + y - 0.5, 0, 0, 1};
    double m[9], k;

    multiply(m, inner, to_crop);
    multiply(m, to_source, m);
    k = ceil(stretch_at(m, (size - 1) / 2.0, (size - 1) / 2.0) - 0.25);
    out->k = k < 1 ? 1 : k > 3 ? 3 : (int32_t)k;
    for (int i = 0; i < 9; i++)
        out->m[i] = (float)m[i];
}

static void set_colours(struct sample_map *m, const struct augment_draw *d)
{
    m->colour = d->saturation != 0 || d->hue != 0;
    m->saturation = (float)(1 + d->saturation);
    m->hue = (float)(6 * d->hue);
    m->black = d->pad == PAD_ZEROS;
    memset(&m->erased, 0, sizeof m->erased);
    m->lighting = d->brightness != 0.5 || d->contrast != 1;
    m->brightness = (float)real_log(d->brightness / (1 - d->brightness));
    m->contrast = (float)d->contrast;
}

/* POLICY: the picture's operation, whose change of places comes last; NULL: none. */
static void compose(struct sample_map *m, const struct augment_draw *d, const struct policy *policy,
                    int height, int width, int size)
{
    double inner[9], last[9], sides[2];

    BUG_IF(height < 1 || width < 1 || size < 1);
    augment_matrix(inner, d);
    if (policy) {
        policy_matrix(last, policy, size);
        multiply(inner, inner, last);
    }
    full_sides(sides, d->resize, height, width);
    for (int i = 0; i < 2; i++)
        sides[i] *= sqrt(d->scale_area);
    place(m, inner, d->left, d->top, sides, size);
    m->two = (struct two_steps){0};
    set_colours(m, d);
}

/* No crop and no change. */
static const struct augment_draw neutral = {
    .scale_area = 1, .flip = 1, .zoom = 1, .brightness = 0.5, .contrast = 1};

void augment_compose(struct sample_map *m, const struct augment_draw *d, int height, int width,
                     int size)
{
    compose(m, d, NULL, height, width, size);
}

/* RESIZE without a crop, the picture in the middle, by whole pixels. */
static void whole(struct sample_map *m, int resize, int pad, int height, int width, int size)
{
    static const double same[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    struct augment_draw none = neutral;
    double sides[2];

    BUG_IF(height < 1 || width < 1 || size < 1);
    full_sides(sides, resize, height, width);
    none.pad = pad;
    place(m, same, (width - (int)sides[0]) / 2, (height - (int)sides[1]) / 2, sides, size);
    m->two = (struct two_steps){0};
    set_colours(m, &none);
}

void augment_centre(struct sample_map *m, int height, int width, int size)
{
    whole(m, RESIZE_CROP, PAD_REFLECTION, height, width, size);
}

void augment_crop(struct augment_crop *c, const struct augment_options *o, int side, uint64_t seed,
                  uint32_t epoch, uint32_t first)
{
    struct rng r = rng_begin(seed, RNG_AUGMENT, epoch, first);
    double u[DRAWS];

    for (int i = 0; i < DRAWS; i++)
        u[i] = rng_uniform(&r, 0, 1);
    c->side = (int)rint(side * sqrt(between(u[DRAW_BATCH_AREA], o->min_scale, 1))); /* as Python */
    c->top = (int)(u[DRAW_BATCH_TOP] * (side - c->side + 1)); /* both ends included */
    c->left = (int)(u[DRAW_BATCH_LEFT] * (side - c->side + 1));
}

/* Side after the average that _grid_sample puts before a grid which skips pixels: torch's own
 * arithmetic, floor(in * (1 / d)) in double. */
static int area_side(int crop, int size)
{
    double d = (double)crop / size / 2;

    return d > 1 ? (int)floor(crop * (1 / d)) : crop;
}

void augment_two_steps(struct sample_map *m, const struct augment_draw *d,
                       const struct augment_crop *c, int height, int width, int size)
{
    const int side = height < width ? height : width;
    const double half = side > 1 ? (side - 1) / 2.0 : 0.5; /* -1 and 1 are the outer centres */
    const double from_pixel[9] = {1 / half, 0, -1, 0, 1 / half, -1, 0, 0, 1};
    const double to_pixel[9] = {half, 0, half, 0, half, half, 0, 0, 1};
    double map[9];

    BUG_IF(side < 1 || size < 1 || c->side < 1 || c->left + c->side > side ||
           c->top + c->side > side);
    augment_matrix(map, d);
    multiply(map, map, from_pixel);
    multiply(map, to_pixel, map);
    for (int i = 0; i < 9; i++)
        m->m[i] = (float)map[i];
    m->k = 1;
    set_colours(m, d);
    m->two.side = side;
    m->two.left = (int)d->left;
    m->two.top = (int)d->top;
    m->two.crop_side = c->side;
    m->two.crop_left = c->left;
    m->two.crop_top = c->top;
    m->two.area = area_side(c->side, size);
    m->two.step = size > 1 ? (float)((m->two.area - 1.0) / (size - 1.0)) : 0;
}

void augment_validation(struct sample_map *m, const struct augment_options *o, int height,
                        int width, int size)
{
    const int side = height < width ? height : width;
    const struct augment_crop all = {.side = side};
    struct augment_draw none = neutral;

    none.top = (height - side) / 2;
    none.left = (width - side) / 2;
    if (o->mode == AUGMENT_FASTAI)
        augment_two_steps(m, &none, &all, height, width, size);
    else
        whole(m, o->resize, o->pad, height, width, size);
}

void augment_training(struct sample_map *m, const struct augment_options *o, int height, int width,
                      int size, uint64_t seed, uint32_t epoch, uint32_t position, uint32_t first)
{
    struct augment_draw d;
    struct augment_crop crop;
    struct policy policy;

    if (o->mode == AUGMENT_NONE) {
        whole(m, o->resize, o->pad, height, width, size);
        return;
    }
    augment_draw(&d, o, height, width, seed, epoch, position);
    if (o->mode == AUGMENT_FASTAI) {
        augment_crop(&crop, o, height < width ? height : width, seed, epoch, first);
        augment_two_steps(m, &d, &crop, height, width, size);
    } else {
        if (o->policy)
            policy = policy_draw(seed, epoch, position);
        compose(m, &d, o->policy ? &policy : NULL, height, width, size);
    }
    augment_erase(m, o, size, seed, epoch, position);
}

void augment_erase(struct sample_map *m, const struct augment_options *o, int size, uint64_t seed,
                   uint32_t epoch, uint32_t position)
{
    struct rng r;

    if (o->erase == 0)
        return;
    r = rng_begin(seed, RNG_ERASE, epoch, position);
    if (rng_uniform(&r, 0, 1) >= o->erase)
        return;
    for (int i = 0; i < ERASE_TRIES; i++) {
        double area = rng_uniform(&r, 0.02, 0.33) * size * size;
        double ratio = real_exp(rng_uniform(&r, real_log(0.3), real_log(3.3)));
        double h = rint(sqrt(area * ratio)), w = rint(sqrt(area / ratio)); /* as Python's round */

        if (!(h < size && w < size))
            continue;
        m->erased.top = (int32_t)rng_below(&r, (uint32_t)(size - (int)h + 1));
        m->erased.left = (int32_t)rng_below(&r, (uint32_t)(size - (int)w + 1));
        m->erased.bottom = m->erased.top + (int32_t)h;
        m->erased.right = m->erased.left + (int32_t)w;
        return;
    }
}

void augment_tta(struct sample_map *m, const struct augment_options *o, int height, int width,
                 int size, uint64_t seed, uint32_t round, uint32_t crc)
{
    struct augment_options milder = *o;

    milder.erase = 0;
    milder.policy = POLICY_NONE;
    /* epochs that no training reaches */
    augment_training(m, &milder, height, width, size, seed, UINT32_MAX - round, crc, crc);
}

static const char *const mode_names[] = {"presize", "fastai", "none", NULL};
static const char *const resize_names[] = {"crop", "squish", "pad", NULL};
static const char *const pad_names[] = {"reflection", "zeros", NULL};
static const char *const policy_names[] = {"none", "trivial", NULL};

const char *augment_mode_name(int mode)
{
    return mode_names[mode];
}

const char *augment_resize_name(int resize)
{
    return resize_names[resize];
}

const char *augment_pad_name(int pad)
{
    return pad_names[pad];
}

#define S struct augment_options
const struct key augment_keys[] = {
    KEY_CHOICE(S, mode, "augment.mode", "presize", mode_names,
               "presize: one interpolation, antialiased; fastai: fastai's two, one crop per batch, "
               "slow; none: the centre square"),
    KEY_CHOICE(S, resize, "augment.resize", "crop", resize_names,
               "how a picture becomes a square, fastai's Resize. crop: its largest square; squish: "
               "all of it, its shape changed; pad: all of it, more around it (augment.pad)",
               .since = 2, .implied = "crop"),
    KEY_CHOICE(S, pad, "augment.pad", "reflection", pad_names,
               "what is outside a picture: its reflection, or zeros (black)", .since = 2,
               .implied = "reflection"),
    KEY_F64(S, min_scale, "augment.min_scale", "0.75", 0.01, 1, "1",
            "area of the smallest crop, of the short side's square"),
    KEY_BOOL(S, flip, "augment.flip", "true", "mirror each picture with probability 1/2"),
    KEY_F64(S, max_rotate, "augment.max_rotate", "10", 0, 180, "degrees",
            "largest rotation either way"),
    KEY_F64(S, min_zoom, "augment.min_zoom", "1.0", 0.1, 10, "1", "smallest zoom"),
    KEY_F64(S, max_zoom, "augment.max_zoom", "1.1", 0.1, 10, "1", "largest zoom"),
    KEY_F64(S, max_warp, "augment.max_warp", "0.2", 0, 0.9, "1",
            "largest shift of a corner by perspective, of half the side"),
    KEY_F64(S, max_lighting, "augment.max_lighting", "0.2", 0, 0.95, "1",
            "largest change of brightness and contrast"),
    KEY_F64(S, p_affine, "augment.p_affine", "0.75", 0, 1, "1",
            "probability of rotation, of zoom and of each warp"),
    KEY_F64(S, p_lighting, "augment.p_lighting", "0.75", 0, 1, "1",
            "probability of a change of brightness, and of contrast"),
    KEY_F64(S, vflip, "augment.vflip", "0", 0, 1, "1",
            "probability to turn a picture upside down, 0.5 for pictures without a top "
            "(microscopes, satellites)",
            .since = 2, .implied = "0"),
    KEY_F64(S, saturation, "augment.saturation", "0", 0, 10, "1",
            "largest change of saturation: each picture's factor is uniform within this of 1, at "
            "least 0; 0: none",
            .since = 2, .implied = "0"),
    KEY_F64(S, hue, "augment.hue", "0", 0, 0.5, "circles",
            "largest change of hue either way, uniform; 0: none", .since = 2, .implied = "0"),
    KEY_F64(S, erase, "augment.erase", "0", 0, 1, "1",
            "random erasing: probability to set a rectangle of 2 to 33 % of a picture to "
            "ImageNet's mean colour; 0: none",
            .since = 2, .implied = "0"),
    KEY_CHOICE(S, policy, "augment.policy", "none", policy_names,
               "trivial: TrivialAugment, one random operation of random strength on each picture; "
               "none: no policy",
               .since = 2, .implied = "none"),
    KEY_F64(S, mixup, "augment.mixup", "0", 0, 100, "1",
            "MixUp: blend pairs of pictures by shares from Beta(x, x), 0.4 is common; 0: no MixUp"),
    KEY_F64(S, cutmix, "augment.cutmix", "0", 0, 100, "1",
            "CutMix: paste a box of another picture into each, its area from Beta(x, x), 1 is "
            "common; 0: no CutMix"),
    KEY_END,
};
#undef S
