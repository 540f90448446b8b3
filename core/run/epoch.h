/* epoch.h - what a run writes after each epoch: a line of metrics.jsonl, one of timing.jsonl, and metrics.json, which
 * repeats lines.
 *
 * Every member has a row; whoever writes, reads or prints one uses the struct. A metric is a row of base/monitor.h.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_EPOCH_H
#define PRESIZE_RUN_EPOCH_H

#include "base/field.h"
#include "base/monitor.h"

/* A line of metrics.jsonl; nothing in it differs between equal runs. */
struct epoch_line {
    int64_t epoch;
    const char *phase, *split;
    double train_loss;
    double metric[MONITORS]; /* by enum monitor; NAN: not computed */
    double lr, lr_first;
    int64_t steps;
    const char *weights_sha256;
};
extern const struct field epoch_fields[];

/* A line of timing.jsonl. */
struct epoch_timing {
    int64_t epoch;
    const char *phase;
    double seconds, train_seconds, valid_seconds, images_per_s, wait_ms;
    int64_t peak_bytes;
    double processor_seconds;
    int64_t exchanges, sent_bytes, meetings;
    double exchange_ms, exchange_wait_ms;
};
extern const struct field timing_fields[];

/* metrics.json. */
struct leaks_record { /* without_leaks */
    double error_rate;
    int64_t pictures;
    const json_t *leaking;
};
struct train_record { /* train */
    double loss, error_rate, accuracy;
    int64_t pictures;
};
struct metrics_record {
    struct epoch_line final, best, last;
    struct train_record train;
    struct leaks_record without_leaks;
};
extern const struct field leaks_fields[];
extern const struct field train_record_fields[];
extern const struct field metrics_fields[];

/* The lines of metrics.jsonl (struct epoch_line) and of timing.jsonl (struct epoch_timing) of the run in FOLDER, as
 * fields_read_lines(). */
int epochs_read(struct field_lines *out, const char *folder, struct err *err) MUST_USE;
int timings_read(struct field_lines *out, const char *folder, struct err *err) MUST_USE;
/* FOLDER/history.csv: a row per epoch, the name of its phase and every number of EPOCHS that a line has; for programs
 * that draw curves from tables. ERR_IO, ERR_NOMEM. */
int epochs_write_csv(const struct field_lines *epochs, const char *folder,
                     struct err *err) MUST_USE;
/* Points of a curve: the epochs that are done at each line's end, and its MEMBER, a number; lines without it are left
 * out. X and Y: room for EPOCHS->n. How many. */
int epochs_curve(double *x, double *y, const struct field_lines *epochs, const char *member);

#endif
