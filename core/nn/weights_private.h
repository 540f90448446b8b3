/* weights_private.h - shared by weights.c (a network's tensors) and weights_kept.c (the optimiser's).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_WEIGHTS_PRIVATE_H
#define PRESIZE_NN_WEIGHTS_PRIVATE_H

#include "nn/weights.h"
#include "tensorfile/tensorfile.h"

enum { NAME_LEN = 96 };

/* Room for the largest tensor of N; NULL with ERR. Released with free(). */
float *weights_buffer(const struct network *n, struct err *err);
bool weights_ends_in(const char *name, const char *suffix);
/* An fp32 tensor of P's shape. */
int weights_declare(struct safetensors_writer *w, const char *name, const struct param *p,
                    struct err *err) MUST_USE;

struct complaint { /* missing, extra or misshapen tensors, the first few named */
    char text[2048];
    int n;
};
void complaint_add(struct complaint *c, const char *what, const char *name, const char *detail);
/* ERR_FORMAT with all that was complained of. */
int complaint_settle(const struct complaint *c, const char *path, const struct network *n,
                     struct err *err) MUST_USE;
bool weights_shape_fits(const struct st_tensor *t, const struct param *p, char detail[128]);

#endif
