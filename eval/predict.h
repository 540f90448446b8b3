/* predict.h - what a run's network says of pictures that it has not seen.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_PREDICT_H
#define PRESIZE_EVAL_PREDICT_H

#include "experiment/infer.h"
#include "request.h"

/* R->words: picture files, any number, decoded and presized as prep does. Files that cannot be
 * decoded are named on stderr, the others predicted; then -1 with how many failed. */
int predict_files(FILE *out, const struct request *r, struct err *err) MUST_USE;

/* A network that stays ready for picture files that come one after the other. T is borrowed. ERR_NOMEM, and the
 * errors of a step (backend.h). */
struct predictor;
int predictor_new(struct predictor **out, const struct trained *t, struct err *err) MUST_USE;
void predictor_free(struct predictor *p); /* before T is closed; NULL is fine */
/* One picture file that is in memory, SIZE BYTES of any format: *out is what --json prints of a file, owned by the
 * caller. ERR_FORMAT: no picture. */
int predict_bytes(json_t **out, struct predictor *p, const void *bytes, size_t size,
                  struct err *err) MUST_USE;

#endif
