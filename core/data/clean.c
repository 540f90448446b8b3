/* clean.c - labels that people have put right (data.clean), and labels that are made wrong to measure who finds them
 * (data.plant). Both come after the split, so that no picture changes sides.
 *
 * Labels change in the set in memory, so whoever asks for a picture sees the one in effect: the stream, the loss, the
 * weights of classes, predictions. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/rng.h"
#include "data/cleaning_record.h"
#include "data/csv.h"
#include "data/offenders.h"
#include "data/split_private.h"

const struct csv_columns split_clean_columns = {CSV_PATH_COLUMNS, CSV_ACTION_COLUMNS, .paths = true,
                                                .extra = CSV_NEW_LABEL_COLUMNS, .repeats = true};

enum action { ACTION_KEEP, ACTION_DROP, ACTION_RELABEL, ACTIONS };
static const char *const actions[ACTIONS] = {"keep", "drop", "relabel"};

const char *split_clean_file(const struct data_options *o)
{
    return o->clean[0] && o->clean_copy[0] ? o->clean_copy : o->clean;
}

/* --- rows --------------------------------------------------------------------------------------- */

static int bad(struct err *err, const char *file, const struct csv_row *row, const char *what)
{
    return err_set(err, ERR_INPUT, "data.clean: %s: line %u: %s: %s", file, row->line, row->key,
                   what);
}

static enum action action_of(const struct csv_row *row)
{
    int a = 0;

    while (a < ACTIONS && strcasecmp(row->value, actions[a]) != 0)
        a++;
    return (enum action)a;
}

/* A label that the set has: *LABEL, -1 where the row names none. */
static int check_row(int32_t *label, const char *file, const struct csv_row *row,
                     const struct shard_set *s, struct err *err)
{
    char what[700];

    *label = row->extra[0] ? shard_set_find_label(s, row->extra) : -1;
    if (row->extra[0] && *label < 0) {
        const int32_t n = shard_set_classes(s);
        const char **names = calloc((size_t)n, sizeof *names), *near;

        for (int32_t c = 0; names && c < n; c++)
            names[c] = shard_set_label(s, c);
        near = names ? nearest_name(row->extra, names, (size_t)n) : NULL;
        snprintf(what, sizeof what, "the set has no label '%.200s'%s%.200s%s", row->extra,
                 near ? "; is '" : "", near ? near : "", near ? "' meant?" : "");
        free(names);
        return bad(err, file, row, what);
    }
    return 0;
}

static int check_action(const char *file, const struct csv_row *row, struct err *err)
{
    if (action_of(row) == ACTIONS)
        return err_set(err, ERR_INPUT,
                       "%s: line %u: %s: the action is '%.200s', not keep, drop or relabel", file,
                       row->line, row->key, row->value);
    if (action_of(row) == ACTION_RELABEL && !row->extra[0])
        return err_set(err, ERR_INPUT,
                       "%s: line %u: %s: relabel needs the right label in the column label", file,
                       row->line, row->key);
    return 0;
}

int split_check_rows(const char *file, const struct csv *csv, struct remarks *remarks,
                     struct err *err)
{
    for (size_t i = 0; i < csv->n; i++) {
        const struct csv_row *a = i > 0 ? &csv->rows[i - 1] : NULL, *b = &csv->rows[i];

        if (check_action(file, b, err) < 0)
            return -1;
        if (!a || strcmp(a->key, b->key) != 0)
            continue;
        if (action_of(a) != action_of(b) || strcmp(a->extra, b->extra) != 0)
            return err_set(err, ERR_INPUT,
                           "%s: lines %u and %u contradict one another about %s: %s%s%s and "
                           "%s%s%s; keep one of the two",
                           file, a->line, b->line, a->key, a->value, *a->extra ? " " : "", a->extra,
                           b->value, *b->extra ? " " : "", b->extra);
        if (remarks)
            remarks_add(remarks, REMARK_CLEAN_WITHOUT_EFFECT, "line %u: %s, as line %u", b->line,
                        b->key, a->line);
    }
    return 0;
}

/* Every row names a picture; *OF: the rank of each row's, one per row. */
static int find_pictures(uint32_t *of, const char *file, struct csv *csv, const struct shard_set *s,
                         struct err *err)
{
    struct offenders unknown = {0};

    for (uint32_t i = 0; i < shard_set_count(s); i++) {
        struct csv_row *row = csv_find_picture(csv, shard_set_picture(s, i)->path);

        if (!row)
            continue;
        while (row > csv->rows && strcmp(row[-1].key, row->key) == 0)
            row--; /* the first of equal ones */
        if (row->used)
            return bad(err, file, row,
                       "several pictures are called that; write the path with its ending");
        row->used = true;
        of[row - csv->rows] = i;
    }
    for (size_t i = 0; i < csv->n; i++) {
        if (i > 0 && strcmp(csv->rows[i].key, csv->rows[i - 1].key) == 0)
            csv->rows[i].used = csv->rows[i - 1].used;
        if (!csv->rows[i].used)
            offenders_add(&unknown, "line %u: %s", csv->rows[i].line, csv->rows[i].key);
    }
    if (unknown.n == 0)
        return 0;
    err_set(err, ERR_INPUT,
            "data.clean: %s: %u %s no picture of the set (or one that another row names)", file,
            unknown.n, unknown.n == 1 ? "row names" : "rows name");
    return offenders_append(err, &unknown);
}

/* --- data.clean --------------------------------------------------------------------------------- */

static void no_effect(struct split *p, const struct csv_row *row, const char *why)
{
    remarks_add(&p->remarks, REMARK_CLEAN_WITHOUT_EFFECT, "line %u: %s %s", row->line, row->key,
                why);
}

static int apply_row(struct split *p, uint8_t *parts, const struct csv_row *row, uint32_t rank,
                     int32_t label, struct shard_set *s, const char *file, struct err *err)
{
    const struct shard_picture *picture = shard_set_picture(s, rank);
    const uint8_t part = parts[rank];
    char what[700];

    if (action_of(row) != ACTION_RELABEL && label >= 0 && label != picture->label) {
        snprintf(what, sizeof what, "%s, but its label is %.200s, not %.200s (relabel changes it)",
                 row->value, shard_set_label(s, picture->label), row->extra);
        return bad(err, file, row, what);
    }
    if (part == LEFT_OUT) {
        no_effect(p, row, "is in no part of the split");
        return 0;
    }
    switch (action_of(row)) {
    case ACTION_DROP:
        parts[rank] = DROPPED;
        p->cleaning.dropped[part - TRAIN]++;
        remarks_add(&p->remarks, REMARK_DROPPED, "%s", picture->path);
        return 0;
    case ACTION_RELABEL:
        if (label == picture->label) {
            no_effect(p, row, "has that label already");
            return 0;
        }
        p->cleaning.relabelled[part - TRAIN]++;
        remarks_add(&p->remarks, REMARK_RELABELLED, "%s (%s, was %s)", picture->path,
                    shard_set_label(s, label), shard_set_label(s, picture->label));
        shard_set_relabel(s, rank, label);
        return 0;
    default:
        p->cleaning.kept++;
        return 0;
    }
}

int split_clean(struct split *p, uint8_t *parts, const struct data_options *o, struct shard_set *s,
                struct err *err)
{
    const char *file = split_clean_file(o);
    uint32_t *of = NULL;
    struct csv csv;
    int rc = -1;

    if (!file[0])
        return 0;
    if (csv_read(&csv, file, &split_clean_columns, err) < 0)
        return err_wrap(err, "data.clean");
    of = calloc(csv.n + 1, sizeof *of);
    if (!of)
        err_set(err, ERR_NOMEM, "%s: %zu rows", file, csv.n);
    else if (split_check_rows(file, &csv, &p->remarks, err) < 0)
        err_wrap(err, "data.clean");
    else
        rc = find_pictures(of, file, &csv, s, err);
    for (size_t i = 0; rc == 0 && i < csv.n; i++) {
        int32_t label;

        rc = check_row(&label, file, &csv.rows[i], s, err);
        if (rc == 0 && (i == 0 || strcmp(csv.rows[i].key, csv.rows[i - 1].key) != 0))
            rc = apply_row(p, parts, &csv.rows[i], of[i], label, s, file, err);
    }
    free(of);
    csv_free(&csv);
    return rc;
}

/* --- data.plant --------------------------------------------------------------------------------- */

struct drawn {
    uint32_t rank, word;
};

static int by_word(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;

    if (x->word != y->word)
        return x->word < y->word ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_rank(const void *a, const void *b)
{
    const struct planted *x = a, *y = b;

    return (x->rank > y->rank) - (x->rank < y->rank);
}

int split_plant(struct split *p, const uint8_t *parts, const struct data_options *o,
                struct shard_set *s, struct err *err)
{
    const uint32_t n = shard_set_count(s), others = (uint32_t)shard_set_classes(s) - 1;
    struct drawn *pool;
    uint32_t n_pool = 0, n_planted;

    if (!(o->plant > 0))
        return 0;
    if (others == 0)
        return err_set(err, ERR_INPUT, "data.plant: the set has one class, so no label is wrong");
    pool = malloc(n * sizeof *pool);
    p->cleaning.planted = calloc(n, sizeof *p->cleaning.planted);
    if (!pool || !p->cleaning.planted) {
        free(pool);
        return err_set(err, ERR_NOMEM, "data.plant: %u pictures", n);
    }
    /* The pictures with the smallest draws: a picture's draw depends on its rank alone, and the pool of all folds of a
     * split is the same. */
    for (uint32_t i = 0; i < n; i++)
        if (parts[i] == TRAIN || parts[i] == VALID) {
            struct rng r = rng_begin((uint64_t)o->split_seed, RNG_PLANT, 0, i);

            pool[n_pool++] = (struct drawn){i, rng_u32(&r)};
        }
    qsort(pool, n_pool, sizeof *pool, by_word);
    n_planted = (uint32_t)lround(o->plant * n_pool);
    for (uint32_t k = 0; k < n_planted; k++) {
        const uint32_t rank = pool[k].rank;
        struct rng r = rng_begin((uint64_t)o->split_seed, RNG_PLANT, 1, rank);
        const int32_t right = shard_set_picture(s, rank)->label;
        const int32_t other = (int32_t)rng_below(&r, others);
        const int32_t wrong = other + (other >= right);

        p->cleaning.planted[k] = (struct planted){rank, right, wrong};
        p->cleaning.planted_valid += parts[rank] == VALID;
        remarks_add(&p->remarks, REMARK_PLANTED, "%s (%s, is %s)", shard_set_picture(s, rank)->path,
                    shard_set_label(s, wrong), shard_set_label(s, right));
        shard_set_relabel(s, rank, wrong);
    }
    p->cleaning.n_planted = n_planted;
    free(pool);
    if (n_planted > 0)
        qsort(p->cleaning.planted, n_planted, sizeof *p->cleaning.planted, by_rank);
    return 0;
}

/* --- records ------------------------------------------------------------------------------------ */

static struct cleaning_parts by_part(const uint32_t n[3])
{
    return (struct cleaning_parts){n[0], n[1], n[2]};
}

json_t *split_cleaning_json(const struct split *p, const struct data_options *o)
{
    const struct cleaning *c = &p->cleaning;
    struct cleaning_record r;

    if (!o->clean[0] && !(o->plant > 0))
        return json_null();
    fields_clear(cleaning_fields, &r);
    if (o->clean[0]) {
        r.file = path_base(o->clean);
        r.kept = c->kept;
        r.dropped = by_part(c->dropped);
        r.relabelled = by_part(c->relabelled);
    }
    if (o->plant > 0)
        r.planted = (struct cleaning_planted){o->plant, c->n_planted, c->planted_valid};
    return fields_json(cleaning_fields, &r);
}
