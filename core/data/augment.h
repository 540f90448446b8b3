/* augment.h - draws a picture's augmentation and composes it into one map; touches no pixels.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_AUGMENT_H
#define PRESIZE_DATA_AUGMENT_H

#include <stdint.h>

#include "base/key.h"
#include "step/geometry.h"

enum augment_mode { AUGMENT_PRESIZE, AUGMENT_FASTAI, AUGMENT_NONE };
enum augment_resize { RESIZE_CROP, RESIZE_SQUISH, RESIZE_PAD };
enum augment_pad { PAD_REFLECTION, PAD_ZEROS };
enum augment_policy { POLICY_NONE, POLICY_TRIVIAL }; /* policy.h; mode presize only */

/* Keys augment.*; defaults are those of aug_transforms(size=224, min_scale=0.75) (fastai.md 3.1). */
struct augment_options {
    int mode;
    int resize,
        pad; /* enum augment_resize, augment_pad; others than the first not in mode fastai */
    double min_scale; /* area of the smallest crop, (0, 1] */
    bool flip;
    double max_rotate; /* degrees */
    double min_zoom, max_zoom;
    double max_warp, max_lighting;
    double p_affine, p_lighting;
    double vflip;           /* probability to turn a picture upside down */
    double saturation, hue; /* largest change: of the factor 1; of the hue, in circles */
    double erase;           /* probability to erase a rectangle */
    int policy;             /* enum augment_policy */
    double mixup, cutmix;   /* parameter of their Beta distribution; 0: none (mixing.h) */
};
extern const struct key augment_keys[];

/* The random parameters of a picture, for tests and for showing. */
struct augment_draw {
    /* Crop: its sides are sqrt(scale_area) times those of what is resized. crop: the square of min(h, w); squish: the
     * picture; pad: the square of max(h, w), so that top and left may be negative. Mode fastai: area 1 */
    double scale_area, top, left;
    double flip;                 /* 1 or -1 */
    double rotate;               /* degrees */
    double zoom, zoom_x, zoom_y; /* centre fractions */
    double warp_x, warp_y;
    double brightness, contrast; /* neutral: 0.5, 1 */
    double upside_down;          /* 0 or 1 */
    double saturation, hue;      /* added to the factor 1; in circles; neutral: 0, 0 */
    int32_t resize, pad;         /* of the options */
};

/* Training: draws for the picture at POSITION of EPOCH (fastai.md 3.2, architecture 13). Every
 * parameter has its own fixed draw, so that turning one option off leaves the others as they were. */
const char *augment_mode_name(int mode); /* "presize", "fastai", "none" */
const char *augment_resize_name(int resize);
const char *augment_pad_name(int pad);
void augment_draw(struct augment_draw *d, const struct augment_options *o, int height, int width,
                  uint64_t seed, uint32_t epoch, uint32_t position);
/* One matrix, lighting and samples per pixel from the draw, to SIZE x SIZE. */
void augment_compose(struct sample_map *m, const struct augment_draw *d, int height, int width,
                     int size);
/* Without augmentation: the centre square, whole, shrunk to SIZE, no draw. */
void augment_centre(struct sample_map *m, int height, int width, int size);
/* Validation under O's mode, resize and pad: augment_centre(), fastai's way to the same, or the whole picture squished
 * or padded on both sides. */
void augment_validation(struct sample_map *m, const struct augment_options *o, int height,
                        int width, int size);
/* Training under O's mode: the picture at POSITION of EPOCH, in the batch whose first is at FIRST. */
void augment_training(struct sample_map *m, const struct augment_options *o, int height, int width,
                      int size, uint64_t seed, uint32_t epoch, uint32_t position, uint32_t first);
/* Random erasing (Zhong et al. 2017, arXiv 1708.04896) as torchvision's RandomErasing: with probability augment.erase a
 * rectangle of 2 to 33 % of the SIZE x SIZE output, its height over its width from 0.3 to 3.3, both uniform (the
 * latter in logarithms), at a uniform place; after 10 rectangles that do not fit, none. */
void augment_erase(struct sample_map *m, const struct augment_options *o, int size, uint64_t seed,
                   uint32_t epoch, uint32_t position);
/* The same for ROUND (from 0) of test-time augmentation, the draw belonging to the pixels, whose
 * CRC-32C is given: neither place nor neighbours matter, so mode fastai has a crop per picture here.
 * Nothing is erased, and no policy applies. */
void augment_tta(struct sample_map *m, const struct augment_options *o, int height, int width,
                 int size, uint64_t seed, uint32_t round, uint32_t crc);

/* --- mode fastai (fastai.md 3.2-3.8): two interpolations, one crop for a whole batch ------------- */

struct augment_crop { /* in the square that Resize leaves, whose side is min(h, w) */
    int side, left, top;
};
/* RandomResizedCropGPU's draw for the batch whose first picture is at FIRST of EPOCH. */
void augment_crop(struct augment_crop *c, const struct augment_options *o, int side, uint64_t seed,
                  uint32_t epoch, uint32_t first);
/* The map of the draw: D's scale_area is 1, its top and left place the square. */
void augment_two_steps(struct sample_map *m, const struct augment_draw *d,
                       const struct augment_crop *c, int height, int width, int size);

/* The map of the draw from output to source in the crop's coordinates, both [-1, 1] over the crop,
 * x to the right: row-major 3 x 3, projective. Zoom, rotation, flip, then the warp. */
void augment_matrix(double m[9], const struct augment_draw *d);
/* fastai's perspective (find_coeffs): x' = (c0 x + c1 y + c2) / (c6 x + c7 y + 1), y' likewise with
 * c3..c5. |WX|, |WY| < 1. */
void augment_warp(double c[8], double wx, double wy);

#endif
