/* checkpoint_record.h - WHICH.json of a checkpoint, and the metadata of WHICH.safetensors: every member with a row.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_CHECKPOINT_RECORD_H
#define PRESIZE_EXPERIMENT_CHECKPOINT_RECORD_H

#include "base/field.h"

struct checkpoint_normalisation {
    const json_t *mean, *std; /* of R, G, B */
};
struct checkpoint_parents {
    const char *config, *tables, *index, *manifest, *initial_weights;
};

/* Texts and JSON are borrowed: of whom fills it, or of the JSON it was read from. */
struct checkpoint_record {
    int64_t version;
    const char *experiment, *arch, *precision;
    int64_t size, presize;
    double max_aspect;
    const char *exif;
    struct checkpoint_normalisation normalisation;
    int64_t epochs, steps;
    const char *weights_sha256;
    struct checkpoint_parents parents;
    const char *augment, *resize, *pad;
    const json_t *vocab, *resume, *files;
    const char *sha256;
};
extern const struct field checkpoint_fields[];
extern const struct field checkpoint_parent_fields[]; /* of struct checkpoint_parents */

/* `resume` of checkpoints/last.json; texts and JSON are borrowed. */
struct resume_smooth {
    double value;
    int64_t count;
};
struct resume_watch {
    double best; /* NAN: none yet */
    int64_t since, since_drop;
    double scale;
};
struct resume_record {
    int64_t phase, phase_epoch, epoch, step, adam_step;
    struct resume_smooth smooth_loss;
    int64_t best_epoch, best_phase, metrics_bytes;
    const json_t *curve;
    struct resume_watch watch;
    int64_t epoch_step, ranks;
    double best_value;
    const json_t *best, *last;
    const char *metrics_sha256, *best_sha256;
};
extern const struct field resume_fields[];

/* JSON, a checkpoint's (checkpoint_state()) or a file's metadata; what is not right counts as missing. */
void checkpoint_record_read(struct checkpoint_record *r, const json_t *json);
/* ERR_FORMAT where R lacks what predicting needs: vocab, size, presize or max_aspect. */
int checkpoint_record_predicts(const struct checkpoint_record *r, struct err *err) MUST_USE;

#endif
