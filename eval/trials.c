/* trials.c - predictions become mistakes of numbered pictures.
 * SPDX-License-Identifier: MIT */
#include "trials.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "experiment/experiment.h"

int trials_begin(struct trials *t, struct err *err)
{
    *t = (struct trials){.numbers = json_object(), .left_out = json_array()};
    return t->numbers && t->left_out ? 0 : err_set(err, ERR_NOMEM, "runs");
}

void trials_free(struct trials *t)
{
    for (size_t i = 0; i < t->n; i++) {
        json_decref(t->all[i].recipe);
        free(t->all[i].pictures);
        free(t->all[i].wrong);
    }
    free(t->all);
    json_decref(t->numbers);
    json_decref(t->left_out);
    memset(t, 0, sizeof *t);
}

/* Keys that change what is computed, but for those that repeat a recipe, and what is as good as keys. */
static json_t *recipe_of(const struct look *l, struct err *err)
{
    json_t *recipe = json_copy(l->params), *value;
    const char *key;
    void *next;

    json_object_foreach_safe(recipe, next, key, value)
    {
        if (experiment_is_harmless(key) || experiment_is_repeat(key))
            json_object_del(recipe, key);
    }
    if (recipe && look_add_facts(recipe, l, err) == 0)
        return recipe;
    json_decref(recipe);
    err_set(err, ERR_NOMEM, "%s", l->run.name);
    return NULL;
}

static int64_t number_of(const struct look *l, const char *key)
{
    const char *text = json_text_at(l->params, key, NULL, NULL);

    return text ? strtoll(text, NULL, 10) : 0;
}

struct mark {
    uint32_t picture;
    uint8_t wrong;
};

static int by_picture(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;

    return (x->picture > y->picture) - (x->picture < y->picture);
}

/* The number of picture I of P, which has the same id and label in all runs. */
static int64_t number_picture(struct trials *t, const struct predictions *p, uint32_t i)
{
    char id[8192];
    json_t *number;

    snprintf(id, sizeof id, "%.4000s\x1f%.4000s", p->ids[i], p->vocab[p->actual[i]]);
    number = json_object_get(t->numbers, id);
    if (!number) {
        number = json_integer((json_int_t)json_object_size(t->numbers));
        if (json_object_set_new_nocheck(t->numbers, id, number) < 0)
            return -1;
    }
    return json_integer_value(number);
}

static int mark_pictures(struct trial *trial, struct trials *t, const struct predictions *p,
                         struct err *err)
{
    struct mark *marks = calloc((size_t)p->n + 1, sizeof *marks);
    int rc = marks ? 0 : err_set(err, ERR_NOMEM, "%u pictures", p->n);

    trial->pictures = calloc((size_t)p->n + 1, sizeof *trial->pictures);
    trial->wrong = calloc((size_t)p->n + 1, 1);
    if (rc == 0 && (!trial->pictures || !trial->wrong))
        rc = err_set(err, ERR_NOMEM, "%u pictures", p->n);
    for (uint32_t i = 0; i < p->n && rc == 0; i++) {
        const int64_t number = number_picture(t, p, i);

        marks[i] = (struct mark){(uint32_t)number, p->predicted[i] != p->actual[i]};
        if (number < 0)
            rc = err_set(err, ERR_NOMEM, "%u pictures", p->n);
    }
    if (rc == 0) {
        qsort(marks, p->n, sizeof *marks, by_picture);
        trial->n = p->n;
        for (uint32_t i = 0; i < p->n; i++) {
            trial->pictures[i] = marks[i].picture;
            trial->wrong[i] = marks[i].wrong;
            trial->errors += marks[i].wrong;
        }
    }
    free(marks);
    return rc;
}

static int leave_out(struct trials *t, const char *name, const char *why, struct err *err)
{
    return tabular_add(t->left_out, json_pack("[o, o]", tabular_string(name), tabular_string(why)),
                       err);
}

int trials_add(struct trials *t, const struct look *l, struct err *err)
{
    struct err why = {0};
    struct trial *trial;

    if (look_needs_predictions(l, &why) < 0)
        return leave_out(t, l->run.name, why.msg, err);
    if (json_object_size(l->params) == 0)
        return leave_out(t, l->run.name, "its keys (resolved.yaml, params.yaml) are missing", err);
    if (t->n == t->capacity) {
        const size_t capacity = t->capacity ? 2 * t->capacity : 64;
        struct trial *more = realloc(t->all, capacity * sizeof *more);

        if (!more)
            return err_set(err, ERR_NOMEM, "%zu runs", capacity);
        t->all = more;
        t->capacity = capacity;
    }
    trial = &t->all[t->n++];
    memset(trial, 0, sizeof *trial);
    snprintf(trial->name, sizeof trial->name, "%s", l->run.name);
    snprintf(trial->experiment, sizeof trial->experiment, "%.255s",
             l->run.facts.experiment ? l->run.facts.experiment : "");
    trial->seed = number_of(l, "seed");
    trial->split_seed = number_of(l, "data.split_seed");
    trial->fold = number_of(l, "data.fold");
    trial->folds = number_of(l, "data.folds");
    trial->clean_rate = l->p->n > 0 ? look_clean_rate(l) : 0;
    trial->leaks = leaks_are(&l->leaks);
    trial->relabelled = look_cleaning(l).file != NULL;
    trial->recipe = recipe_of(l, err);
    if (!trial->recipe)
        return -1;
    return mark_pictures(trial, t, l->p, err);
}

int trials_open(struct trials *t, const struct request *r, const char *folder, struct err *err)
{
    struct err why = {0};
    struct look l;
    int rc;

    if (look_open(&l, r, folder, &why) < 0)
        return why.kind == ERR_NOMEM ? err_set(err, ERR_NOMEM, "%s", why.msg)
                                     : leave_out(t, path_base(folder), why.msg, err);
    rc = trials_add(t, &l, err);
    look_close(&l);
    return rc;
}
