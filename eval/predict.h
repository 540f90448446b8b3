/* predict.h - what a run's network says of pictures that it has not seen.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_PREDICT_H
#define PRESIZE_EVAL_PREDICT_H

#include "request.h"

/* R->words: picture files, any number, decoded and presized as prep does. Files that cannot be
 * decoded are named on stderr, the others predicted; then -1 with how many failed. */
int predict_files(FILE *out, const struct request *r, struct err *err) MUST_USE;

/* The same of one picture file that is in memory, SIZE BYTES of any format: *out is what --json prints of a file, owned
 * by the caller. ERR_FORMAT: no picture. */
int predict_bytes(json_t **out, const struct request *r, const void *bytes, size_t size,
                  struct err *err) MUST_USE;

#endif
