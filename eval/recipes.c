/* recipes.c - groups, their units, and what sign flips over units say.
 * SPDX-License-Identifier: MIT */
#include "recipes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "run/repeats.h"
#include "run/stats.h"

/* --- units ---------------------------------------------------------------------------------------- */

struct cell {
    const struct trial *t;
    size_t group;
};

/* By group, seed, split, fold; then by name, so that of equal ones the same counts always. */
static int by_unit(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;
    const int64_t keys[][2] = {{(int64_t)x->group, (int64_t)y->group},
                               {x->t->seed, y->t->seed},
                               {x->t->split_seed, y->t->split_seed},
                               {x->t->fold, y->t->fold}};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    return strcmp(x->t->name, y->t->name);
}

static bool same_unit(const struct cell *a, const struct cell *b)
{
    return a->group == b->group && a->t->seed == b->t->seed && a->t->split_seed == b->t->split_seed;
}

static int leave_out(struct trials *t, const struct trial *trial, const char *why, struct err *err)
{
    return tabular_add(t->left_out, json_pack("[o, s]", tabular_string(trial->name), why), err);
}

/* Pictures of all N cells, each in one of them, in one rising list. */
static int join_folds(struct unit *u, const struct cell *cells, size_t n, struct err *err)
{
    size_t *at = calloc(n, sizeof *at);

    for (size_t k = 0; k < n; k++)
        u->n += cells[k].t->n;
    u->pictures = calloc((size_t)u->n + 1, sizeof *u->pictures);
    u->wrong = calloc((size_t)u->n + 1, 1);
    u->owned = true;
    if (!at || !u->pictures || !u->wrong) {
        free(at);
        return err_set(err, ERR_NOMEM, "%u pictures", u->n);
    }
    for (uint32_t i = 0; i < u->n; i++) {
        size_t least = n;

        for (size_t k = 0; k < n; k++)
            if (at[k] < cells[k].t->n &&
                (least == n || cells[k].t->pictures[at[k]] < cells[least].t->pictures[at[least]]))
                least = k;
        u->pictures[i] = cells[least].t->pictures[at[least]];
        u->wrong[i] = cells[least].t->wrong[at[least]++];
    }
    free(at);
    return 0;
}

/* CELLS: N of one unit, in the order of folds; runs that are there again are left out. */
static int add_unit(struct recipe_group *g, struct trials *t, struct cell *cells, size_t n,
                    struct err *err)
{
    const int64_t folds = cells[0].t->folds;
    struct unit *u = &g->units[g->n];
    size_t kept = 1;
    double n_pictures = 0;

    for (size_t i = 1; i < n; i++) {
        if (folds > 0 && cells[i].t->fold != cells[kept - 1].t->fold)
            cells[kept++] = cells[i];
        else if (leave_out(t, cells[i].t, "the same recipe, seed, split and fold as another run",
                           err) < 0)
            return -1;
    }
    if (folds > 0 && (int64_t)kept < folds) {
        for (size_t i = 0; i < kept; i++)
            if (leave_out(t, cells[i].t, "other folds of its seed are missing", err) < 0)
                return -1;
        return 0;
    }
    *u = (struct unit){.seed = cells[0].t->seed, .split_seed = cells[0].t->split_seed};
    g->n++;
    for (size_t i = 0; i < kept; i++) {
        u->errors += cells[i].t->errors;
        u->clean_rate += cells[i].t->clean_rate * cells[i].t->n;
        n_pictures += cells[i].t->n;
        g->leaks = g->leaks || cells[i].t->leaks;
        g->relabelled = g->relabelled || cells[i].t->relabelled;
        json_array_append_new(g->runs, tabular_string(cells[i].t->name));
    }
    u->clean_rate /= n_pictures > 0 ? n_pictures : 1;
    if (folds > 0)
        return join_folds(u, cells, kept, err);
    u->n = cells[0].t->n;
    u->pictures = cells[0].t->pictures;
    u->wrong = cells[0].t->wrong;
    return 0;
}

/* --- groups --------------------------------------------------------------------------------------- */

/* Numbers the groups in the order of the runs. */
static int find_groups(struct recipe_groups *g, struct cell *cells, const struct trials *t,
                       struct err *err)
{
    json_t *seen = json_object();

    for (size_t i = 0; i < t->n; i++) {
        char *text = json_dumps(t->all[i].recipe, JSON_COMPACT | JSON_SORT_KEYS);
        const json_t *number = text ? json_object_get(seen, text) : NULL;

        cells[i] = (struct cell){&t->all[i], number ? (size_t)json_integer_value(number) : g->n};
        if (!number && text) {
            g->all[g->n].recipe = t->all[i].recipe;
            json_object_set_new(seen, text, json_integer((json_int_t)g->n++));
        }
        free(text);
        if (!text) {
            json_decref(seen);
            return err_set(err, ERR_NOMEM, "runs");
        }
    }
    json_decref(seen);
    for (size_t i = 0; i < g->n; i++) {
        g->all[i].units = calloc(t->n, sizeof *g->all[i].units);
        g->all[i].runs = json_array();
        if (!g->all[i].units || !g->all[i].runs)
            return err_set(err, ERR_NOMEM, "runs");
    }
    return 0;
}

static bool ends_alike(const char *a, const char *b)
{
    const char *x = strrchr(a, '.'), *y = strrchr(b, '.');

    return strcmp(x ? x + 1 : a, y ? y + 1 : b) == 0;
}

/* Keys in which the groups differ; the value is whether the key's last part says which. Owned by the caller. */
static json_t *differing(const struct recipe_groups *g)
{
    json_t *keys = json_object(), *value;
    const char *key, *other;
    void *next;

    for (size_t i = 1; i < g->n; i++)
        for (int turned = 0; turned < 2; turned++) { /* keys of this one, then those of the first */
            json_t *a = g->all[turned ? 0 : i].recipe, *b = g->all[turned ? i : 0].recipe;

            json_object_foreach(a, key, value)
            {
                if (!json_equal(json_object_get(b, key), value))
                    json_object_set_new(keys, key, json_true());
            }
        }
    json_object_foreach_safe(keys, next, key, value)
    {
        json_t *again;

        json_object_foreach(keys, other, again)
        {
            if (strcmp(key, other) != 0 && ends_alike(key, other))
                json_object_set_new(keys, key, json_false());
        }
    }
    return keys;
}

static void label_groups(struct recipe_groups *g, const struct trials *t)
{
    json_t *keys = differing(g), *is_short;
    const char *key;

    for (size_t i = 0; i < g->n; i++) {
        size_t used = 0;

        if (g->n == 1)
            snprintf(g->all[i].label, sizeof g->all[i].label, "%s", t->all[0].experiment);
        json_object_foreach(keys, key, is_short)
        {
            const json_t *value = json_object_get(g->all[i].recipe, key);
            char *text = value ? json_text(value, 0) : NULL;
            const char *dot = json_is_true(is_short) ? strrchr(key, '.') : NULL;
            const char *shown = json_is_string(value) ? json_string_value(value) : text;

            if (used < sizeof g->all[i].label)
                used += (size_t)snprintf(g->all[i].label + used, sizeof g->all[i].label - used,
                                         "%s%s=%s", used > 0 ? "," : "", dot ? dot + 1 : key,
                                         !shown     ? "-"
                                         : shown[0] ? shown
                                                    : "none");
            free(text);
        }
    }
    json_decref(keys);
}

static int measure_group(struct recipe_group *g, struct err *err)
{
    double *rates = calloc((size_t)g->n + 1, sizeof *rates);

    if (!rates)
        return err_set(err, ERR_NOMEM, "runs");
    for (int i = 0; i < g->n; i++)
        rates[i] = g->units[i].n > 0 ? (double)g->units[i].errors / g->units[i].n : 0;
    stats_mean(&g->mean, &g->deviation, rates, g->n);
    for (int i = 0; i < g->n; i++)
        g->clean_mean += g->units[i].clean_rate / g->n;
    g->low = 1;
    if (g->n > 1) {
        student_interval(&g->low, &g->high, g->mean, g->deviation, g->n);
        g->low = fmax(g->low, 0);
        g->high = fmin(g->high, 1);
    }
    free(rates);
    return 0;
}

/* --- contrasts ------------------------------------------------------------------------------------ */

static bool same_pictures(const struct unit *a, const struct unit *b)
{
    return a->n == b->n && memcmp(a->pictures, b->pictures, a->n * sizeof *a->pictures) == 0;
}

/* Differences of the units that both have (N of them), and the table of pictures where all are the same ones. */
struct paired {
    double *difference;
    int8_t *table; /* NULL where a unit has other pictures than the first */
    int n;
    uint32_t pictures;
    bool other_pictures; /* some have the same seed and other pictures */
};

static int pair_units(struct paired *p, const struct recipe_group *a, const struct recipe_group *b,
                      struct err *err)
{
    const struct unit *first = NULL;
    bool one_table = true;

    memset(p, 0, sizeof *p);
    p->difference = calloc((size_t)a->n + 1, sizeof *p->difference);
    for (int i = 0, k = 0; p->difference && i < a->n && k < b->n;) {
        const struct unit *x = &a->units[i], *y = &b->units[k];
        const int order = x->seed != y->seed ? (x->seed < y->seed ? -1 : 1)
                          : x->split_seed != y->split_seed
                              ? (x->split_seed < y->split_seed ? -1 : 1)
                              : 0;

        i += order <= 0;
        k += order >= 0;
        if (order != 0)
            continue;
        if (!same_pictures(x, y)) {
            p->other_pictures = true;
            continue;
        }
        if (!first) {
            first = x;
            p->pictures = x->n;
            p->table = malloc((size_t)a->n * (x->n + 1));
        }
        one_table &= same_pictures(first, x);
        for (uint32_t j = 0; p->table && one_table && j < x->n; j++)
            p->table[(size_t)p->n * x->n + j] = (int8_t)(y->wrong[j] - x->wrong[j]);
        p->difference[p->n++] = ((double)y->errors - (double)x->errors) / x->n;
    }
    if (!p->difference || (first && !p->table))
        return err_set(err, ERR_NOMEM, "comparison of recipes");
    if (!one_table) {
        free(p->table);
        p->table = NULL;
    }
    return 0;
}

static int test_pair(struct contrast *c, const struct paired *p, struct err *err)
{
    struct two_way t;
    double deviation;

    c->n = p->n;
    c->pictures = p->pictures;
    stats_mean(&c->difference, &deviation, p->difference, p->n);
    c->p = c->adjusted = sign_flip(p->difference, p->n);
    c->missed = deviation;
    c->low = 1; /* none, as low > high */
    if (p->n > 1)
        student_interval(&c->low, &c->high, c->difference, deviation, p->n);
    if (p->n < 2 || !p->table || p->pictures < 2)
        return 0;
    if (two_way_difference(&t, p->table, p->n, p->pictures, err) < 0)
        return -1;
    c->new_pictures = true;
    c->low = fmax(t.low, -1);
    c->high = fmin(t.high, 1);
    return 0;
}

static int contrast(struct contrast *c, const struct recipe_group *first,
                    const struct recipe_group *g, struct err *err)
{
    struct paired p;
    int rc = pair_units(&p, first, g, err);

    if (rc == 0 && p.n > 0) {
        c->verdict = SEEDS_SAME;
        rc = test_pair(c, &p, err);
    } else if (rc == 0) {
        snprintf(c->why_not, sizeof c->why_not, "%s",
                 p.other_pictures && (first->relabelled || g->relabelled)
                     ? "labels differ (data.clean); eval --compare judges both by one table"
                 : p.other_pictures ? "runs of the same seed were scored on different pictures"
                                    : "no seed in common: train both recipes with the same seeds");
    }
    free(p.difference);
    free(p.table);
    return rc;
}

/* Once all are adjusted. M: tests at once. */
static void decide(struct contrast *c, size_t m)
{
    const double alpha = 0.05 / (double)m;
    const bool can = sign_flip_least(c->n) < alpha;

    c->needed = sign_flip_needed(alpha);
    c->missed = can ? c->missed * sign_flip_detectable(c->n, alpha) : INFINITY;
    if (c->adjusted < 0.05)
        c->verdict = c->difference > 0 ? SEEDS_WORSE : SEEDS_BETTER;
    else
        c->verdict = can ? SEEDS_SAME : SEEDS_FEW;
}

static int find_contrasts(struct recipe_groups *g, struct err *err)
{
    double *p = calloc(g->n + 1, sizeof *p);
    int n = 0, rc = p ? 0 : err_set(err, ERR_NOMEM, "comparison of recipes");

    for (size_t i = 1; i < g->n && rc == 0; i++) {
        rc = contrast(&g->contrasts[i], &g->all[0], &g->all[i], err);
        if (rc == 0 && g->contrasts[i].verdict != SEEDS_UNTESTED)
            p[n++] = g->contrasts[i].p;
    }
    if (rc == 0) {
        stats_holm(p, n);
        g->n_tests = (size_t)n;
        n = 0;
        for (size_t i = 1; i < g->n; i++)
            if (g->contrasts[i].verdict != SEEDS_UNTESTED) {
                g->contrasts[i].adjusted = p[n++];
                decide(&g->contrasts[i], g->n_tests);
            }
    }
    free(p);
    return rc;
}

int recipe_groups_make(struct recipe_groups *g, struct trials *t, struct err *err)
{
    struct cell *cells = calloc(t->n + 1, sizeof *cells);
    int rc = -1;

    memset(g, 0, sizeof *g);
    g->all = calloc(t->n + 1, sizeof *g->all);
    g->contrasts = calloc(t->n + 1, sizeof *g->contrasts);
    if (!cells || !g->all || !g->contrasts) {
        err_set(err, ERR_NOMEM, "runs");
        goto out;
    }
    if (find_groups(g, cells, t, err) < 0)
        goto out;
    label_groups(g, t);
    qsort(cells, t->n, sizeof *cells, by_unit);
    for (size_t i = 0, end; i < t->n; i = end) {
        for (end = i + 1; end < t->n && same_unit(&cells[i], &cells[end]);)
            end++;
        if (add_unit(&g->all[cells[i].group], t, cells + i, end - i, err) < 0)
            goto out;
    }
    for (size_t i = 0; i < g->n; i++)
        if (measure_group(&g->all[i], err) < 0)
            goto out;
    rc = find_contrasts(g, err);
out:
    free(cells);
    return rc;
}

void recipe_groups_free(struct recipe_groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        for (int k = 0; k < g->all[i].n; k++)
            if (g->all[i].units[k].owned) {
                free(g->all[i].units[k].pictures);
                free(g->all[i].units[k].wrong);
            }
        free(g->all[i].units);
        json_decref(g->all[i].runs);
    }
    free(g->all);
    free(g->contrasts);
    memset(g, 0, sizeof *g);
}

const char *contrast_word(const struct contrast *c)
{
    static const char *const words[] = {[SEEDS_UNTESTED] = "not tested",
                                        [SEEDS_FEW] = "too few seeds to decide",
                                        [SEEDS_SAME] = "not distinguishable",
                                        [SEEDS_BETTER] = "better",
                                        [SEEDS_WORSE] = "worse"};

    return words[c->verdict];
}
