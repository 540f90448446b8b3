/* checkpoint_record.c - see checkpoint_record.h. SPDX-License-Identifier: MIT */
#include "experiment/checkpoint_record.h"

#include <string.h>

static const double most = 1e300, whole = 9e18; /* of what has no bound */
enum { SIDE_MAX = 8192, PRESIZE_MAX = 65500, CLASSES_MAX = 1000000 };

// clang-format off
static const struct field normalisation_fields[] = {
    FIELD_LIST(struct checkpoint_normalisation, mean, "mean", "three numbers"),
    FIELD_LIST(struct checkpoint_normalisation, std, "std", "three numbers"),
    FIELD_END,
};

const struct field checkpoint_parent_fields[] = {
    FIELD_TEXT(struct checkpoint_parents, config, "config", "SHA-256 of the configuration, as in run.json"),
    FIELD_TEXT(struct checkpoint_parents, tables, "tables",
               "of the SHA-256 digits, joined, of the tables that keys name (split, class weights, sample "
               "weights, cleaning), empty without"),
    FIELD_TEXT(struct checkpoint_parents, index, "index", "of index.json"),
    FIELD_TEXT(struct checkpoint_parents, manifest, "manifest", "of the set's manifest.jsonl"),
    FIELD_TEXT(struct checkpoint_parents, initial_weights, "initial_weights", "of the tensors before the first step"),
    FIELD_END,
};

const struct field checkpoint_fields[] = {
    FIELD_INT(struct checkpoint_record, version, "version", 1, INT32_MAX, "",
              "3; 2 has no `sha256`; a reader refuses others, but predicts with 1"),
    FIELD_TEXT(struct checkpoint_record, experiment, "experiment", "name of the experiment"),
    FIELD_TEXT(struct checkpoint_record, arch, "arch", "`resnet18` …"),
    FIELD_TEXT(struct checkpoint_record, precision, "precision", "what ran: `fp32`, `bf16`"),
    FIELD_INT(struct checkpoint_record, size, "size", 1, SIDE_MAX, "px", "side of the pictures that the network saw"),
    FIELD_INT(struct checkpoint_record, presize, "presize", 1, PRESIZE_MAX, "px",
              "short side of the presized pictures"),
    FIELD_REAL(struct checkpoint_record, max_aspect, "max_aspect", 1, 1e300, "", "longest side over shortest"),
    FIELD_TEXT(struct checkpoint_record, exif, "exif",
               "`apply` or `ignore`, the set's `decode.exif`: predictions turn pictures alike", .implied = "ignore"),
    FIELD_RECORD(struct checkpoint_record, normalisation, "normalisation", normalisation_fields,
                 "of R, G, B in [0, 1]"),
    FIELD_INT(struct checkpoint_record, epochs, "epochs", 0, UINT32_MAX, "", "done so far in the run"),
    FIELD_INT(struct checkpoint_record, steps, "steps", 0, 1e18, "", "likewise"),
    FIELD_TEXT(struct checkpoint_record, weights_sha256, "weights_sha256",
               "of the tensors' bytes in the order of their names"),
    FIELD_RECORD(struct checkpoint_record, parents, "parents", checkpoint_parent_fields, "what it was made from"),
    FIELD_TEXT(struct checkpoint_record, augment, "augment",
               "`presize`, `fastai` or `none`, the run's `augment.mode`: predictions shrink pictures alike. "
               "Missing in older ones"),
    FIELD_TEXT(struct checkpoint_record, resize, "resize", "the run's `augment.resize`; missing: `crop`",
               .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct checkpoint_record, pad, "pad", "the run's `augment.pad`; missing: `reflection`",
               .flags = FIELD_OPTIONAL),
    FIELD_LIST(struct checkpoint_record, vocab, "vocab", "the classes, in the order of the outputs"),
    FIELD_OBJECT(struct checkpoint_record, resume, "resume", "of last.json: the state to resume from (below)",
                 .flags = FIELD_OPTIONAL, .fields = resume_fields),
    FIELD_OBJECT(struct checkpoint_record, files, "files", "SHA-256 of the other files of this checkpoint",
                 .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct checkpoint_record, sha256, "sha256", "of all other members in their order as one line of JSON",
               .flags = FIELD_OPTIONAL, .since = 3),
    FIELD_END,
};

static const struct field smooth_fields[] = {
    FIELD_REAL(struct resume_smooth, value, "value", -most, most, "nat", "the running sum"),
    FIELD_INT(struct resume_smooth, count, "count", -whole, whole, "", "steps in it"),
    FIELD_END,
};

static const struct field watch_fields[] = {
    FIELD_REAL(struct resume_watch, best, "best", -most, most, "",
               "the best value of the phase, negated where higher is better", .flags = FIELD_NULL),
    FIELD_INT(struct resume_watch, since, "since", -whole, whole, "", "epochs without a better one"),
    FIELD_INT(struct resume_watch, since_drop, "since_drop", -whole, whole, "", "likewise, since the rate last fell"),
    FIELD_REAL(struct resume_watch, scale, "scale", -most, most, "", "of its rates"),
    FIELD_END,
};

/* Counters have no bounds here: what they must be follows from the recipe and metrics.jsonl (learn/state.c). */
const struct field resume_fields[] = {
    FIELD_INT(struct resume_record, phase, "phase", -whole, whole, "", "where the run is, from 0"),
    FIELD_INT(struct resume_record, phase_epoch, "phase_epoch", -whole, whole, "", "in the phase"),
    FIELD_INT(struct resume_record, epoch, "epoch", -whole, whole, "", "of the run"),
    FIELD_INT(struct resume_record, step, "step", -whole, whole, "", "training steps that are done"),
    FIELD_INT(struct resume_record, adam_step, "adam_step", -whole, whole, "", "since the moments were cleared"),
    FIELD_RECORD(struct resume_record, smooth_loss, "smooth_loss", smooth_fields, "the smoothed loss"),
    FIELD_INT(struct resume_record, best_epoch, "best_epoch", -whole, whole, "", "the best epoch; -1: none yet"),
    FIELD_INT(struct resume_record, best_phase, "best_phase", -whole, whole, "", "its phase"),
    FIELD_INT(struct resume_record, metrics_bytes, "metrics_bytes", -whole, whole, "bytes", "length of metrics.jsonl"),
    FIELD_LIST(struct resume_record, curve, "curve",
               "points of the plots: epoch, train loss, rate of the head, rate of the first layers; at most 100 "
               "an epoch"),
    FIELD_RECORD(struct resume_record, watch, "watch", watch_fields, "of the phase"),
    FIELD_INT(struct resume_record, epoch_step, "epoch_step", -whole, whole, "", "steps of the epoch in progress"),
    FIELD_INT(struct resume_record, ranks, "ranks", 1, INT32_MAX, "", "processes that share the batch", .implied = "1"),
    FIELD_REAL(struct resume_record, best_value, "best_value", -most, most, "",
               "the best epoch's value of `train.monitor`, negated where higher is better", .flags = FIELD_OPTIONAL),
    FIELD_OBJECT(struct resume_record, best, "best", "the line of metrics.jsonl of the best epoch",
                 .flags = FIELD_OPTIONAL),
    FIELD_OBJECT(struct resume_record, last, "last", "that of the last epoch", .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct resume_record, metrics_sha256, "metrics_sha256",
               "SHA-256 of so many bytes of metrics.jsonl; missing in older ones", .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct resume_record, best_sha256, "best_sha256", "of best.json; missing in older ones",
               .flags = FIELD_OPTIONAL),
    FIELD_END,
};
// clang-format on

void checkpoint_record_read(struct checkpoint_record *r, const json_t *json)
{
    fields_read(checkpoint_fields, 0, r, json, NULL);
}

int checkpoint_record_predicts(const struct checkpoint_record *r, struct err *err)
{
    static const char *const needed[] = {"vocab", "size", "presize", "max_aspect"};
    const size_t classes = json_array_size(r->vocab);

    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (field_is_missing(field_find(checkpoint_fields, needed[i]), r))
            return err_set(err, ERR_FORMAT, "\"%s\" is missing, of another type or out of range",
                           needed[i]);
    if (classes == 0 || classes > CLASSES_MAX)
        return err_set(err, ERR_FORMAT, "\"vocab\": %zu labels", classes);
    if (strcmp(r->exif, "apply") != 0 && strcmp(r->exif, "ignore") != 0)
        return err_set(err, ERR_FORMAT, "\"exif\": expected apply or ignore");
    return 0;
}
