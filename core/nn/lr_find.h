/* lr_find.h - the learning-rate range test (Smith 2017, section 3.3): its rates, when it stops, and
 * what four rules read off its curve. Pure functions; semantics of fastai's lr_find.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_LR_FIND_H
#define PRESIZE_NN_LR_FIND_H

#include <stdbool.h>

#include "base/err.h"

enum {
    LR_FIND_STEPS = 100,
    LR_FIND_FIRST = LR_FIND_STEPS / 10, /* points before it are not looked at */
    LR_FIND_LAST = 5,                   /* nor are so many at the end */
    LR_FIND_LEAST = 16                  /* points that must be left: slide compares over 15 */
};

/* Rate of every group at step I of LR_FIND_STEPS: 1e-7 (10 / 1e-7)^(i / steps). */
double lr_find_rate(int i);

/* Whether the curve has left its valley: SMOOTH above 4 times *BEST, the lowest so far (INFINITY
 * before the first step), which is brought up to date first. Never for a loss that is no number. */
bool lr_find_diverged(double *best, double smooth);

enum lr_rule { LR_VALLEY, LR_SLIDE, LR_MINIMUM, LR_STEEP, LR_RULES };
extern const char *const lr_rule_names[LR_RULES];

struct lr_suggestion {
    double rate;     /* what to train with */
    double at, loss; /* the curve's point it was read off; at = 10 rate for LR_MINIMUM */
};
/* Reads OUT off the N points (lr rising, smoothed loss), of which those from LR_FIND_FIRST to
 * LR_FIND_LAST before the end count, up to the first loss that is not finite. ERR_INPUT when fewer
 * than LR_FIND_LEAST are left. */
int lr_find_suggest(struct lr_suggestion out[LR_RULES], const double *lr, const double *loss, int n,
                    struct err *err) MUST_USE;

#endif
