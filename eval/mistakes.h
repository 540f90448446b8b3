/* mistakes.h - who is taken for whom, and the pictures that cost most.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_MISTAKES_H
#define PRESIZE_EVAL_MISTAKES_H

#include "request.h"
#include "run/predictions.h"

int mistakes_confused(FILE *out, const struct request *r, struct err *err) MUST_USE;
/* Writes plots/confusion.svg, .png and confusion.csv again and prints the matrix where it is small. */
int mistakes_matrix(FILE *out, const struct request *r, struct err *err) MUST_USE;
/* With R->show also draws them on a sheet; ERR_INPUT where the shards are not there. */
int mistakes_losses(FILE *out, const struct request *r, struct err *err) MUST_USE;

/* Rows [actual, predicted, count] for mistakes_print_pairs(), at most MOST (0: all); owned by the
 * caller. */
int mistakes_pairs(json_t **rows, const struct predictions *p, uint32_t min, size_t most,
                   struct err *err) MUST_USE;
void mistakes_print_pairs(FILE *out, enum form form, const json_t *rows);

#endif
