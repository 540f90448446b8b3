/* axes.c - recipes times repeats, each a list of words KEY=VALUE with a name.
 * SPDX-License-Identifier: MIT */
#include "axes.h"

#include <stdlib.h>
#include <string.h>

#include "axes_file.h"
#include "base/hash.h"
#include "base/json.h"
#include "learn/begin.h"
#include "learn/useful.h"
#include "run/study.h"

enum { RUNS_MOST = 100000, NAME_SHOWN = 120 };

/* --- recipes -------------------------------------------------------------------------------------- */

/* A recipe, a repeat or what one axis adds to them, as a run that is not named yet: NAME is its label. NAME (a string)
 * and WORDS are taken over. NULL: out of memory. */
static json_t *make_run(json_t *name, const char *experiment, json_t *words)
{
    const struct study_run r = {json_string_value(name), experiment, words};
    json_t *run = fields_json(study_run_fields, &r);

    json_decref(name);
    json_decref(words);
    return run;
}

/* The words of A, then those of B. */
static json_t *join_words(const json_t *a, const json_t *b)
{
    json_t *words = json_copy((json_t *)(uintptr_t)a);

    json_array_extend(words, (json_t *)(uintptr_t)b);
    return words;
}

/* RECIPES := each of them with each of OPTIONS. Both are taken over. NULL: out of memory. */
static json_t *multiply(json_t *recipes, json_t *options)
{
    json_t *all = json_array();
    const json_t *recipe, *option;
    size_t i, k;

    json_array_foreach(recipes, i, recipe)
    {
        json_array_foreach(options, k, option)
        {
            const struct study_run a = study_run_of(recipe), b = study_run_of(option);

            json_array_append_new(
                all, make_run(json_sprintf("%s%s%s", a.name, *a.name && *b.name ? "," : "", b.name),
                              a.experiment, join_words(a.words, b.words)));
        }
    }
    json_decref(recipes);
    json_decref(options);
    return all;
}

/* The last part of a dotted key, or all of it where another key of KEYS ends alike. */
static const char *short_key(const char *key, const json_t *keys)
{
    const char *last = strrchr(key, '.') ? strrchr(key, '.') + 1 : key, *other;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)keys, other, value)
    {
        const char *end = strrchr(other, '.') ? strrchr(other, '.') + 1 : other;

        if (strcmp(other, key) != 0 && strcmp(end, last) == 0)
            return key;
    }
    return last;
}

static json_t *option_of(const char *key, const char *value, const json_t *keys)
{
    return make_run(json_sprintf("%s=%s", short_key(key, keys), value), "",
                    json_pack("[o]", json_sprintf("%s=%s", key, value)));
}

/* Each set of keys of the file's list as an option. */
static json_t *list_options(const json_t *list, const json_t *keys)
{
    json_t *options = json_array(), *value;
    const json_t *entry;
    const char *key;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        json_t *both = json_array();

        json_array_append_new(both, make_run(json_string(""), "", json_array()));
        json_object_foreach((json_t *)(uintptr_t)entry, key, value)
        {
            json_t *one = json_array();

            json_array_append_new(one, option_of(key, json_string_value(value), keys));
            both = multiply(both, one);
        }
        json_array_append(options, json_array_get(both, 0));
        json_decref(both);
    }
    return options;
}

static json_t *make_recipes(const struct axes_file *f)
{
    json_t *recipes = json_array(), *keys = json_copy(f->grid), *values;
    const json_t *entry, *value;
    const char *key;
    size_t i;

    json_array_foreach(f->experiments, i, value)
    {
        const char *name = json_string_value(value);

        json_array_append_new(recipes, make_run(json_array_size(f->experiments) > 1
                                                    ? axes_experiment_name(name)
                                                    : json_string(""),
                                                name, json_incref(f->words)));
    }
    json_array_foreach(f->list, i, entry)
    {
        json_object_update(keys, (json_t *)(uintptr_t)entry);
    }
    if (json_array_size(f->list) > 0)
        recipes = multiply(recipes, list_options(f->list, keys));
    json_object_foreach(f->grid, key, values)
    {
        json_t *options = json_array();

        json_array_foreach(values, i, value)
        {
            json_array_append_new(options, option_of(key, json_string_value(value), keys));
        }
        recipes = multiply(recipes, options);
    }
    json_decref(keys);
    return recipes;
}

/* --- repeats -------------------------------------------------------------------------------------- */

/* Every repeat as an option: its words, and what its runs' names end in. */
static json_t *make_repeats(const struct axes_file *f)
{
    json_t *all = json_array();
    const struct {
        const json_t *numbers;
        const char *key, *label;
    } axes[] = {{f->seeds, "seed", "seed"}, {f->split_seeds, "data.split_seed", "split_seed"}};

    json_array_append_new(all, make_run(json_string(""), "", json_array()));
    for (size_t a = 0; a < 2; a++) {
        json_t *options = json_array();
        const json_t *number;
        size_t i;

        json_array_foreach(axes[a].numbers, i, number)
        {
            const json_int_t n = json_integer_value(number);

            json_array_append_new(
                options, make_run(json_sprintf("%s=%" JSON_INTEGER_FORMAT, axes[a].label, n), "",
                                  json_pack("[o]", json_sprintf("%s=%" JSON_INTEGER_FORMAT,
                                                                axes[a].key, n))));
        }
        if (json_array_size(options) > 0)
            all = multiply(all, options);
        else
            json_decref(options);
    }
    if (f->folds > 0) {
        json_t *options = json_array();

        for (int i = 1; i <= f->folds; i++)
            json_array_append_new(
                options, make_run(json_sprintf("fold=%d", i), "",
                                  json_pack("[o, o]", json_sprintf("data.folds=%d", f->folds),
                                            json_sprintf("data.fold=%d", i))));
        all = multiply(all, options);
    }
    return all;
}

/* --- checks --------------------------------------------------------------------------------------- */

/* WORDS (strings) as an array, which points into it. Owned by the caller; NULL: out of memory. */
static char **word_array(const json_t *words)
{
    char **all = calloc(json_array_size(words) + 1, sizeof *all);

    for (size_t i = 0; all && i < json_array_size(words); i++)
        all[i] = (char *)(uintptr_t)json_string_value(json_array_get(words, i));
    return all;
}

/* No key twice, be it by keys, grid, list or an axis that repeats. */
static int check_once(const json_t *words, const char *origin, struct err *err)
{
    json_t *seen = json_object();
    const json_t *word;
    int rc = 0;
    size_t i;

    json_array_foreach(words, i, word)
    {
        const char *text = json_string_value(word);
        char key[256];

        snprintf(key, sizeof key, "%.*s", (int)strcspn(text, "="), text);
        if (json_object_get(seen, key)) {
            rc = err_in(err, origin,
                        "%s is set twice: a key is either an axis (grid, list, "
                        "seeds, split_seeds, folds) or the same in all runs",
                        key);
            break;
        }
        json_object_set_new(seen, key, json_true());
    }
    json_decref(seen);
    return rc;
}

/* One recipe can be trained, and is not the same as one before it. SEEN: labels by hash of configuration. */
static int check_recipe(json_t *seen, const json_t *recipe, const char *origin, struct err *err)
{
    const struct study_run r = study_run_of(recipe);
    char **words = word_array(r.words);
    const char *before;
    struct experiment *e = NULL;
    char hex[SHA256_HEX];
    int rc;

    if (!words)
        return err_set(err, ERR_NOMEM, "study");
    rc = useful_read(&e, r.experiment, words, (int)json_array_size(r.words), err);
    free(words);
    if (rc < 0)
        return origin ? err_usage_of(err, origin) : -1;
    rc = experiment_sha256(e, hex, err);
    experiment_free(e);
    if (rc < 0)
        return -1;
    before = json_string_value(json_object_get(seen, hex));
    if (before)
        return err_in(err, origin, "%s and %s are the same recipe: their runs would be duplicates",
                      before, r.name);
    return json_object_set_new(seen, hex, json_string(r.name)) < 0
               ? err_set(err, ERR_NOMEM, "study")
               : 0;
}

static int check_recipes(const json_t *recipes, const json_t *repeats, const char *origin,
                         struct err *err)
{
    json_t *seen = json_object();
    const json_t *recipe;
    int rc = 0;
    size_t i;

    json_array_foreach(recipes, i, recipe)
    {
        const struct study_run r = study_run_of(recipe),
                               first = study_run_of(json_array_get(repeats, 0));
        json_t *words = join_words(r.words, first.words);
        json_t *one = make_run(json_string(r.name), r.experiment, json_incref(words));

        rc = check_once(words, origin, err);
        if (rc == 0)
            rc = check_recipe(seen, one, origin, err);
        json_decref(words);
        json_decref(one);
        if (rc < 0)
            break;
    }
    json_decref(seen);
    return rc;
}

/* --- the list of runs ----------------------------------------------------------------------------- */

/* A folder's name from LABEL that no run of NAMES has: what a shell or a path would not take becomes '_'. */
static json_t *run_name(const char *label, json_t *names)
{
    char name[256], hex[SHA256_HEX];
    size_t n = 0, whole;

    for (const char *c = label; *c && n < NAME_SHOWN; c++, n++)
        name[n] = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') ||
                          strchr("=,.+-_", *c)
                      ? *c
                      : '_';
    name[n] = 0;
    if (name[0] == '.' || name[0] == '-')
        name[0] = '_';
    if (strlen(label) > NAME_SHOWN) {
        sha256_of(label, strlen(label), hex);
        snprintf(name + n, sizeof name - n, "-%.8s", hex);
    }
    whole = strlen(name);
    for (int i = 2; json_object_get(names, name); i++)
        snprintf(name + whole, sizeof name - whole, "-%d", i);
    json_object_set_new(names, name, json_true());
    return json_string(name);
}

static json_t *list_runs(const json_t *recipes, const json_t *repeats)
{
    json_t *runs = json_array(), *names = json_object();
    const json_t *recipe, *repeat;
    size_t i, k;

    json_array_foreach(repeats, k, repeat)
    {
        json_array_foreach(recipes, i, recipe)
        {
            const struct study_run a = study_run_of(recipe), b = study_run_of(repeat);
            json_t *label = *a.name || *b.name ? json_sprintf("%s%s%s", a.name,
                                                              *a.name && *b.name ? "," : "", b.name)
                                               : axes_experiment_name(a.experiment);

            json_array_append_new(runs, make_run(run_name(json_string_value(label), names),
                                                 a.experiment, join_words(a.words, b.words)));
            json_decref(label);
        }
    }
    json_decref(names);
    return runs;
}

/* Keys of the experiment NAME that change what is computed, flat. */
static int base_of(json_t **out, const char *name, struct err *err)
{
    struct experiment *e;
    const char *key;
    void *next;
    json_t *value;
    int rc;

    *out = NULL;
    if (experiment_read(&e, name, NULL, 0, err) < 0)
        return -1;
    rc = experiment_params(out, e, err);
    experiment_free(e);
    if (rc < 0)
        return -1;
    json_object_foreach_safe(*out, next, key, value)
    {
        if (experiment_is_harmless(key))
            json_object_del(*out, key);
    }
    return 0;
}

static int make_base(json_t **out, const json_t *experiments, struct err *err)
{
    const json_t *name;
    json_t *params;
    size_t i;

    *out = json_object();
    json_array_foreach(experiments, i, name)
    {
        if (base_of(&params, json_string_value(name), err) < 0)
            return -1;
        if (json_object_set_new(*out, json_string_value(name), params) < 0)
            return err_set(err, ERR_NOMEM, "study");
    }
    return 0;
}

static int name_study(char name[256], const struct axes_request *r, const struct axes_file *f,
                      const json_t *recipes, struct err *err)
{
    const char *first = json_string_value(json_array_get(f->experiments, 0));
    json_t *base = axes_experiment_name(r->file ? r->file : first);
    char hex[SHA256_HEX], *text = json_text(recipes, 0);

    if (!base || !text) {
        json_decref(base);
        free(text);
        return err_set(err, ERR_NOMEM, "study");
    }
    sha256_of(text, strlen(text), hex);
    if (r->file)
        snprintf(name, 256, "%.200s", json_string_value(base));
    else
        snprintf(name, 256, "%.200s-study-%.8s", json_string_value(base), hex);
    free(text);
    json_decref(base);
    return begin_check_name(name, err);
}

int axes_plan(json_t **out, char name[256], const struct axes_request *r, struct err *err)
{
    const char *origin = r->file;
    struct axes_file f = {0};
    json_t *recipes = NULL, *repeats = NULL, *base = NULL, *runs = NULL, *labels = json_array();
    const json_t *recipe;
    size_t i;
    int rc = -1;

    *out = NULL;
    if (axes_file_read(&f, r, err) < 0 || make_base(&base, f.experiments, err) < 0)
        goto out;
    if (axes_file_runs(&f) > RUNS_MOST) {
        err_in(err, origin, "%.0f runs; a study has at most %d", axes_file_runs(&f), RUNS_MOST);
        goto out;
    }
    recipes = make_recipes(&f);
    repeats = make_repeats(&f);
    if (check_recipes(recipes, repeats, origin, err) < 0 ||
        name_study(name, r, &f, recipes, err) < 0)
        goto out;
    json_array_foreach(recipes, i, recipe)
    {
        json_array_append_new(labels, json_string(study_run_of(recipe).name));
    }
    runs = list_runs(recipes, repeats);
    *out = fields_json(study_fields, &(struct study_record){.version = STUDY_VERSION,
                                                            .title = f.title,
                                                            .base = base,
                                                            .recipes = labels,
                                                            .seeds = f.seeds,
                                                            .split_seeds = f.split_seeds,
                                                            .folds = f.folds,
                                                            .runs = runs});
    rc = *out ? 0 : err_set(err, ERR_NOMEM, "study");
out:
    json_decref(recipes);
    json_decref(repeats);
    json_decref(base);
    json_decref(runs);
    json_decref(labels);
    axes_file_free(&f);
    return rc;
}

/* --- a study that is there ------------------------------------------------------------------------ */

/* The first key of which THEN and NOW differ is named. */
static int same_base(const char *name, const json_t *then, const json_t *now, struct err *err)
{
    json_t *both = json_copy((json_t *)(uintptr_t)then), *value;
    const char *key;
    int rc = 0;

    json_object_update(both, (json_t *)(uintptr_t)now);
    json_object_foreach(both, key, value)
    {
        const json_t *a = json_object_get(then, key), *b = json_object_get(now, key);

        if (a && b && !json_equal(a, b)) {
            char *x = json_text(a, 0), *y = json_text(b, 0);

            rc =
                err_set(err, ERR_INPUT,
                        "the experiment %s changed since the study was begun: %s was %.200s and is "
                        "%.200s; change it back, or begin another study (--name)",
                        name, key, x ? x : "?", y ? y : "?");
            free(x);
            free(y);
            break;
        }
    }
    json_decref(both);
    return rc;
}

int axes_check_base(const json_t *study, struct err *err)
{
    struct study_record r;
    json_t *then, *now;
    const char *name;

    fields_read(study_fields, STUDY_VERSION, &r, study, NULL);
    json_object_foreach((json_t *)(uintptr_t)r.base, name, then)
    {
        int rc;

        if (base_of(&now, name, err) < 0)
            return -1;
        rc = same_base(name, then, now, err);
        json_decref(now);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static json_t *by_name(const json_t *runs)
{
    json_t *all = json_object();
    json_t *run;
    size_t i;

    json_array_foreach(runs, i, run)
    {
        json_object_set(all, study_run_of(run).name, run);
    }
    return all;
}

/* The words of a run whose keys change a result. */
static json_t *essence(const json_t *of)
{
    json_t *words = json_copy((json_t *)(uintptr_t)of);

    for (size_t i = json_array_size(words); i-- > 0;) {
        const char *word = json_string_value(json_array_get(words, i));
        char key[256];

        snprintf(key, sizeof key, "%.*s", (int)strcspn(word, "="), word);
        if (experiment_is_harmless(key))
            json_array_remove(words, i);
    }
    return words;
}

static bool same_run(const struct study_run *a, const struct study_run *b)
{
    json_t *x = essence(a->words), *y = essence(b->words);
    const bool same = x && y && json_equal(x, y) && strcmp(a->name, b->name) == 0 &&
                      strcmp(a->experiment, b->experiment) == 0;

    json_decref(x);
    json_decref(y);
    return same;
}

static int other_words(const struct study_run *a, const struct study_run *b, struct err *err)
{
    char *x = json_text(a->words, 0), *y = json_text(b->words, 0);

    err_set(err, ERR_INPUT,
            "the study was begun with other keys: run %s has %.500s there and %.500s now; begin "
            "another study (--name)",
            a->name, x ? x : "?", y ? y : "?");
    free(x);
    free(y);
    return -1;
}

int axes_extend(json_t *plan, const json_t *old, bool (*is_made)(void *ctx, const char *run),
                void *ctx, struct err *err)
{
    struct study_record before, after;
    json_t *now, *runs = json_array(), *run;
    int rc = -1;
    size_t i;

    fields_read(study_fields, STUDY_VERSION, &before, old, NULL);
    fields_read(study_fields, STUDY_VERSION, &after, plan, NULL);
    now = by_name(after.runs);
    json_array_foreach((json_t *)(uintptr_t)before.runs, i, run)
    {
        const struct study_run was = study_run_of(run);
        json_t *same = json_object_get(now, was.name);
        struct study_run is;

        if (!same && is_made(ctx, was.name)) {
            err_set(err, ERR_INPUT,
                    "run %s of the study is in no axis any more; a study only grows: add to its "
                    "axes, or begin another one (--name)",
                    was.name);
            goto out;
        }
        if (!same)
            continue;
        is = study_run_of(same);
        if (!same_run(&is, &was)) {
            other_words(&was, &is, err);
            goto out;
        }
        json_array_append(runs, same);
        json_object_del(now, was.name);
    }
    json_array_foreach((json_t *)(uintptr_t)after.runs, i, run)
    {
        if (json_object_get(now, study_run_of(run).name))
            json_array_append(runs, run);
    }
    rc = json_object_set(plan, "runs", runs) < 0 ? err_set(err, ERR_NOMEM, "study") : 0;
out:
    json_decref(runs);
    json_decref(now);
    return rc;
}
