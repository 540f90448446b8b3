/* weighting.c - weights from counts or from a table.
 * SPDX-License-Identifier: MIT */
#include "data/weighting.h"

#include <stdlib.h>
#include <string.h>

#include "data/csv.h"
#include "data/offenders.h"

bool weighting_is_on(const char *how)
{
    return *how && strcmp(how, "none") != 0;
}

static int bad(struct err *err, const char *path, const struct csv_row *row, const char *what)
{
    return err_set(err, ERR_INPUT, "%s: line %u: %s: %s", path, row->line, row->key, what);
}

static int read_weight(double *out, const char *path, const struct csv_row *row, struct err *err)
{
    char *end;

    *out = strtod(row->value, &end);
    if (end == row->value || *end || !(*out == 0 || (*out >= 1e-6 && *out <= 1e6)))
        return bad(err, path, row, "the weight must be 0, or a number from 1e-6 to 1e6");
    return 0;
}

/* n / (classes count) of every class; 0 of one without pictures. */
static void balance(double *weights, const uint32_t *ranks, uint32_t n, const struct shard_set *s)
{
    int32_t classes = shard_set_classes(s);

    memset(weights, 0, (size_t)classes * sizeof *weights);
    for (uint32_t i = 0; i < n; i++)
        weights[shard_set_picture(s, ranks[i])->label]++;
    for (int32_t c = 0; c < classes; c++)
        if (weights[c] > 0)
            weights[c] = n / (classes * weights[c]);
}

static int classes_of_table(double *weights, const char *path, const struct shard_set *s,
                            struct err *err)
{
    int32_t classes = shard_set_classes(s);
    struct offenders missing = {0};
    struct csv csv;
    double total = 0;
    int rc = -1;

    if (csv_read(&csv, path, &(struct csv_columns){CSV_LABEL_COLUMNS, "weight", .paths = false},
                 err) < 0)
        return -1;
    for (size_t i = 0; i < csv.n; i++) {
        int32_t c = shard_set_find_label(s, csv.rows[i].key);

        if (c < 0) {
            bad(err, path, &csv.rows[i], "the set has no such class");
            goto out;
        }
        if (read_weight(&weights[c], path, &csv.rows[i], err) < 0)
            goto out;
        total += weights[c];
    }
    for (int32_t c = 0; c < classes; c++)
        if (!csv_find(&csv, shard_set_label(s, c)))
            offenders_add(&missing, "%s", shard_set_label(s, c));
    if (missing.n > 0) {
        err_set(err, ERR_INPUT, "%s: no weight for %u class%s of the set", path, missing.n,
                missing.n == 1 ? "" : "es");
        offenders_append(err, &missing);
        goto out;
    }
    if (!(total > 0)) {
        err_set(err, ERR_INPUT, "%s: no class has a weight above 0", path);
        goto out;
    }
    rc = 0;
out:
    csv_free(&csv);
    return rc;
}

int weighting_classes(double *weights, const char *how, const uint32_t *ranks, uint32_t n,
                      const struct shard_set *s, struct err *err)
{
    for (int32_t c = 0; c < shard_set_classes(s); c++)
        weights[c] = 1;
    if (!weighting_is_on(how))
        return 0;
    if (strcmp(how, "balanced") != 0)
        return classes_of_table(weights, how, s, err);
    balance(weights, ranks, n, s);
    return 0;
}

static int pictures_of_table(double *weights, const char *path, const uint32_t *ranks, uint32_t n,
                             const struct shard_set *s, struct err *err)
{
    struct csv csv;
    int rc = -1;

    if (csv_read(&csv, path, &(struct csv_columns){CSV_PATH_COLUMNS, "weight", .paths = true},
                 err) < 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        const struct csv_row *row = csv_find_picture(&csv, shard_set_picture(s, ranks[i])->path);

        weights[i] = 1;
        if (row && read_weight(&weights[i], path, row, err) < 0)
            goto out;
    }
    for (uint32_t i = 0; i < shard_set_count(s); i++) {
        struct csv_row *row = csv_find_picture(&csv, shard_set_picture(s, i)->path);

        if (row)
            row->used = true;
    }
    for (size_t i = 0; i < csv.n; i++)
        if (!csv.rows[i].used) {
            bad(err, path, &csv.rows[i], "no such picture in the set");
            goto out;
        }
    rc = 0;
out:
    csv_free(&csv);
    return rc;
}

int weighting_pictures(double *sums, const char *how, const uint32_t *ranks, uint32_t n,
                       const struct shard_set *s, struct err *err)
{
    bool balanced = strcmp(how, "balanced") == 0;
    double *classes = calloc((size_t)shard_set_classes(s), sizeof *classes);

    if (!classes)
        return err_set(err, ERR_NOMEM, "weights of %d classes", shard_set_classes(s));
    if (balanced)
        balance(classes, ranks, n, s);
    for (uint32_t i = 0; i < n && balanced; i++)
        sums[i] = classes[shard_set_picture(s, ranks[i])->label];
    free(classes);
    if (!balanced && pictures_of_table(sums, how, ranks, n, s, err) < 0)
        return -1;
    for (uint32_t i = 1; i < n; i++)
        sums[i] += sums[i - 1];
    if (!(sums[n - 1] > 0))
        return err_set(err, ERR_INPUT, "%s: no training picture has a weight above 0", how);
    return 0;
}

uint32_t weighting_pick(const double *sums, uint32_t n, double u)
{
    uint32_t low = 0, high = n - 1;
    double at = u * sums[n - 1];

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (at < sums[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void weighting_batch(float *out, const double *classes, const struct picture *pictures,
                     const struct mix *mixes, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        double share = mixes ? (double)mixes[i].share : 0;
        int partner = mixes ? mixes[i].partner : i;

        sum += (1 - share) * classes[pictures[i].label] + share * classes[pictures[partner].label];
    }
    for (int i = 0; i < n; i++) /* all of weight 0: the batch teaches nothing */
        out[i] = sum > 0 ? (float)(classes[pictures[i].label] * n / sum) : 0;
}
