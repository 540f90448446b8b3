/* weights_private.h - shared by weights.c (a network's tensors) and weights_kept.c (the optimiser's).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_WEIGHTS_PRIVATE_H
#define PRESIZE_NN_WEIGHTS_PRIVATE_H

#include "nn/weights.h"
#include "tensorfile/fits.h"

enum { NAME_LEN = 96 };

/* Room for the largest tensor of N; NULL with ERR. Released with free(). */
float *weights_buffer(const struct network *n, struct err *err);
/* An fp32 tensor of P's shape. */
int weights_declare(struct safetensors_writer *w, const char *name, const struct param *p,
                    struct err *err) MUST_USE;

/* ERR_FORMAT where M has something: the file PATH does not fit N. */
int weights_misfit(const struct misfits *m, const char *path, const struct network *n,
                   struct err *err) MUST_USE;

#endif
