/* cam.h - class activation maps: where a network looked for a class.
 *
 * Grad-CAM (Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra 2017, ICCV) on the last block: the gradient of the
 * class's logit with respect to each channel, averaged over its positions, weighs the channel; the weighted sum of
 * the channels, where it is above 0, is the map. The body runs on the backend; the head's gradient is exact, in
 * double, here.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_CAM_H
#define PRESIZE_EXPERIMENT_CAM_H

#include "experiment/infer.h"

/* The head's parameters, read once. */
struct cam_head;
/* ERR_NOMEM, and what the backend says when it reads parameters. Released before the network. */
int cam_head_new(struct cam_head **out, const struct device *device, const struct network *n,
                 struct err *err) MUST_USE;
void cam_head_free(struct cam_head *h); /* NULL is fine */
/* MAP (h, w), from 0 to 1 (all 0: nothing speaks for the class), of the FEATURES (channels, h, w) of one picture.
 * ERR_NOMEM. */
int cam_of_features(float *map, const struct cam_head *head, const float *features, int h, int w,
                    int class, struct err *err) MUST_USE;

/* A finished run's network, ready for maps. */
struct cam;
/* T is borrowed. ERR_NOMEM, ERR_UNSUPPORTED. */
int cam_new(struct cam **out, const struct trained *t, struct err *err) MUST_USE;
void cam_free(struct cam *c);      /* before T is closed; NULL is fine */
int cam_side(const struct cam *c); /* px: maps are as high as wide */
/* MAPS (n, side, side) of N pictures, any number, with their maps set as for infer_run(): of class CLASSES[i] of
 * picture I. ERR_NOMEM, and what the backend says. */
int cam_run(struct cam *c, const struct picture *pictures, int n, const int *classes, float *maps,
            struct err *err) MUST_USE;

#endif
