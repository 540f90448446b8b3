/* epoch.c - see epoch.h. SPDX-License-Identifier: MIT */
#include "run/epoch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"

enum { FIELDS_MAX = 64 };
static const double most = 1e300; /* of what has no bound */

// clang-format off
#define ALWAYS(id, member, key, label, direction, what) \
    FIELD_REAL(struct epoch_line, metric[MONITOR_##id], key, -most, most, "", what, .decimals = 4),
#define CHOSEN(id, member, key, label, direction, what) \
    FIELD_REAL(struct epoch_line, metric[MONITOR_##id], key, -most, most, "", "where `train.monitor` chose it: " what, \
               .flags = FIELD_OPTIONAL, .decimals = 4),
// clang-format on

const struct field epoch_fields[] = {
    FIELD_INT(struct epoch_line, epoch, "epoch", 0, UINT32_MAX, "", "of the run, from 0"),
    FIELD_TEXT(struct epoch_line, phase, "phase", "name of its phase"),
    FIELD_TEXT(struct epoch_line, split, "split", "`valid`: whose pictures the metrics are of"),
    FIELD_REAL(struct epoch_line, train_loss, "train_loss", -most, most, "nat",
               "smoothed over the steps of the phase", .decimals = 4),
    EACH_EPOCH_METRIC(ALWAYS) // clang-format off
    FIELD_REAL(struct epoch_line, lr, "lr", 0, most, "", "rate of the head in the last step"),
    FIELD_REAL(struct epoch_line, lr_first, "lr_first", 0, most, "", "rate of the first layers in the last step"),
    FIELD_INT(struct epoch_line, steps, "steps", 0, 1e18, "", "training steps since the run began"),
    FIELD_TEXT(struct epoch_line, weights_sha256, "weights_sha256", "of the weights, as in WHICH.json"),
    EACH_CHOSEN_METRIC(CHOSEN)
    FIELD_END,
};

const struct field timing_fields[] = {
    FIELD_INT(struct epoch_timing, epoch, "epoch", 0, UINT32_MAX, "", "as in metrics.jsonl"),
    FIELD_TEXT(struct epoch_timing, phase, "phase", "likewise"),
    FIELD_REAL(struct epoch_timing, seconds, "seconds", 0, most, "s", "training and validation"),
    FIELD_REAL(struct epoch_timing, train_seconds, "train_seconds", 0, most, "s", "training"),
    FIELD_REAL(struct epoch_timing, valid_seconds, "valid_seconds", 0, most, "s", "validation"),
    FIELD_REAL(struct epoch_timing, images_per_s, "images_per_s", 0, most, "",
               "training pictures in a second of training"),
    FIELD_REAL(struct epoch_timing, wait_ms, "wait_ms", 0, most, "ms", "that training waited for pictures"),
    FIELD_INT(struct epoch_timing, peak_bytes, "peak_bytes", 0, 1e18, "bytes", "the most memory of the process so far"),
    FIELD_REAL(struct epoch_timing, processor_seconds, "processor_seconds", 0, most, "s",
               "of the training steps, all processes; missing in older lines", .flags = FIELD_OPTIONAL),
    FIELD_INT(struct epoch_timing, exchanges, "exchanges", 0, 1e18, "",
              "calls of MPI by rank 0 in the training steps; one process has none", .flags = FIELD_OPTIONAL),
    FIELD_INT(struct epoch_timing, sent_bytes, "sent_bytes", 0, 1e18, "bytes", "that it sent in them",
              .flags = FIELD_OPTIONAL),
    FIELD_INT(struct epoch_timing, meetings, "meetings", 0, 1e18, "", "with the processes of its machine in them",
              .flags = FIELD_OPTIONAL),
    FIELD_REAL(struct epoch_timing, exchange_ms, "exchange_ms", 0, most, "ms", "that its calls of MPI took",
               .flags = FIELD_OPTIONAL),
    FIELD_REAL(struct epoch_timing, exchange_wait_ms, "exchange_wait_ms", 0, most, "ms",
               "that its training waited for them; the rest of `exchange_ms` passed beside the backward pass",
               .flags = FIELD_OPTIONAL),
    FIELD_END,
};

const struct field leaks_fields[] = {
    FIELD_REAL(struct leaks_record, error_rate, "error_rate", 0, 1, "",
               "on the pictures that have no duplicate in training", .decimals = 4),
    FIELD_INT(struct leaks_record, pictures, "pictures", 0, UINT32_MAX, "", "how many these are"),
    FIELD_LIST(struct leaks_record, leaking, "leaking",
               "ids of the pictures that have a duplicate in training; missing in older runs",
               .flags = FIELD_OPTIONAL),
    FIELD_END,
};

const struct field train_record_fields[] = {
    FIELD_REAL(struct train_record, loss, "loss", 0, most, "nat", "mean loss"),
    FIELD_REAL(struct train_record, error_rate, "error_rate", 0, 1, "", "share that is wrong"),
    FIELD_REAL(struct train_record, accuracy, "accuracy", 0, 1, "", "share that is right"),
    FIELD_INT(struct train_record, pictures, "pictures", 0, UINT32_MAX, "", "how many"),
    FIELD_END,
};

const struct field metrics_fields[] = {
    FIELD_RECORD(struct metrics_record, final, "final", epoch_fields,
                 "the line of the epoch whose weights the run ended and predicted with", .flags = FIELD_NULL),
    FIELD_RECORD(struct metrics_record, best, "best", epoch_fields, "the line of the best epoch by `train.monitor`",
                 .flags = FIELD_NULL),
    FIELD_RECORD(struct metrics_record, last, "last", epoch_fields, "the line of the last epoch", .flags = FIELD_NULL),
    FIELD_RECORD(struct metrics_record, without_leaks, "without_leaks", leaks_fields,
                 "where validation pictures have duplicates in training", .flags = FIELD_OPTIONAL),
    FIELD_RECORD(struct metrics_record, train, "train", train_record_fields,
                 "with `train.score_train`: the training pictures, not augmented", .flags = FIELD_OPTIONAL),
    FIELD_END,
};
// clang-format on

int epochs_read(struct field_lines *out, const char *folder, struct err *err)
{
    char path[PATH_LEN];

    *out = (struct field_lines){0};
    if (path_format(path, err, "%s/metrics.jsonl", folder) < 0)
        return -1;
    return fields_read_lines(out, epoch_fields, sizeof(struct epoch_line), path, err);
}

int timings_read(struct field_lines *out, const char *folder, struct err *err)
{
    char path[PATH_LEN];

    *out = (struct field_lines){0};
    if (path_format(path, err, "%s/timing.jsonl", folder) < 0)
        return -1;
    return fields_read_lines(out, timing_fields, sizeof(struct epoch_timing), path, err);
}

int epochs_curve(double *x, double *y, const struct field_lines *epochs, const char *member)
{
    const struct field *row = field_find(epoch_fields, member);
    const struct epoch_line *lines = epochs->all;
    int n = 0;

    for (size_t i = 0; i < epochs->n; i++) {
        const double value = field_number(row, &lines[i]);

        if (isnan(value) || lines[i].epoch == FIELD_NO_INT)
            continue;
        x[n] = (double)lines[i].epoch + 1;
        y[n++] = value;
    }
    return n;
}

static bool is_column(const struct field *row, const struct field_lines *epochs)
{
    const struct epoch_line *lines = epochs->all;

    if (row->type != FIELD_TYPE_INT && row->type != FIELD_TYPE_REAL &&
        strcmp(row->name, "phase") != 0)
        return false;
    for (size_t i = 0; i < epochs->n; i++)
        if (!field_is_missing(row, &lines[i]))
            return true;
    return false;
}

/* A cell: a number as metrics.jsonl has it, or the name of a phase. NULL: out of memory. */
static char *cell(const struct field *row, const struct epoch_line *line)
{
    json_t *value;
    char *text;

    if (field_is_missing(row, line))
        return strdup("");
    if (row->type == FIELD_TYPE_TEXT)
        return strdup(field_text(row, line));
    value = field_json(row, line);
    text = value ? json_text(value, 0) : NULL;
    json_decref(value);
    return text;
}

int epochs_write_csv(const struct field_lines *epochs, const char *folder, struct err *err)
{
    const struct epoch_line *lines = epochs->all;
    bool column[FIELDS_MAX] = {false};
    struct new_file file = {0};
    char path[PATH_LEN];

    for (size_t k = 0; epoch_fields[k].name; k++) {
        BUG_IF(k >= FIELDS_MAX);
        column[k] = is_column(&epoch_fields[k], epochs);
    }
    if (path_format(path, err, "%s/history.csv", folder) < 0 ||
        new_file_begin(&file, path, err) < 0)
        return -1;
    for (size_t i = 0; i <= epochs->n; i++) { /* the header, then the epochs */
        bool first = true;

        for (const struct field *row = epoch_fields; row->name; row++) {
            char *text;

            if (!column[row - epoch_fields])
                continue;
            text = i == 0 ? strdup(row->name) : cell(row, &lines[i - 1]);
            if (!text) {
                new_file_abort(&file);
                return err_set(err, ERR_NOMEM, "%s", path);
            }
            fprintf(file.file, "%s%s", first ? "" : ",", text);
            free(text);
            first = false;
        }
        fputc('\n', file.file);
    }
    return new_file_finish(&file, err);
}
