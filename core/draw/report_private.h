/* report_private.h - what the parts of a run's page share.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_REPORT_PRIVATE_H
#define PRESIZE_DRAW_REPORT_PRIVATE_H

#include <stdbool.h>
#include <stdio.h>

#include "draw/report.h"
#include "run/metrics.h"
#include "run/predictions.h"
#include "run/run.h"

enum {
    LOSS_PICTURES = 25,
    MISTAKE_PICTURES = 400,
    RIGHT_PICTURES = 160,
    MATRIX_CLASSES = 100,
    PAIR_ROWS = 20,
    PAIR_PICTURES = 3, /* as many as run.js shows */
};

struct report {
    const struct report_sources *from;
    struct run_entry run;
    json_t *params;             /* params.yaml, flat; {} where it is not there */
    struct field_lines epochs;  /* struct epoch_line, of metrics.jsonl */
    struct field_lines timings; /* struct epoch_timing, of timing.jsonl */
    /* [epoch, train loss, rate, rate of the first layers] of the last checkpoint; NULL */
    json_t *points;
    struct predictions *p;      /* NULL: none */
    const char *no_predictions; /* why p is NULL */
    char fault[1200];           /* storage for it */
    uint32_t errors;            /* of p */
    uint32_t *order;            /* of p, by falling loss */
    uint32_t *counts;           /* of p: (classes, classes) */
    struct class_score *scores; /* of p: classes */
    struct confused *most;      /* of p: n_most pairs */
    size_t n_most;
    struct metrics metrics; /* of p */
    int32_t *shown;         /* classes of the matrix, n_shown */
    int32_t n_shown;
    json_t *pictures; /* of the page: [{"id", "actual", ..., "jpeg"}], by falling loss */
};

/* report_open.c: reads all of it. Files that are missing or torn leave their members empty. */
int report_open(struct report *r, const char *folder, const struct report_sources *from,
                struct err *err) MUST_USE;
void report_close(struct report *r);

/* report_run.c: what the run is. */
int report_summary(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_curves(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_scores(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_time(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_settings(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_origin(FILE *out, struct report *r, struct err *err) MUST_USE;

/* report_pictures.c: what it predicts. */
int report_matrix(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_pairs(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_losses(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_classes(FILE *out, struct report *r, struct err *err) MUST_USE;
int report_calibration(FILE *out, struct report *r, struct err *err) MUST_USE;

#endif
