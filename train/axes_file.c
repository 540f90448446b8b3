/* axes_file.c - YAML members and options to axes.
 * SPDX-License-Identifier: MIT */
#include "axes_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/key.h"
#include "base/path.h"
#include "base/text.h"
#include "base/yaml.h"
#include "experiment/experiment.h"

enum { REPEATS_MOST = 10000, FOLDS_MOST = 1000, VALUE_LEN = 2000 };

enum member { TITLE, EXP, KEYS, GRID, LIST, SEEDS, SPLIT_SEEDS, FOLDS, MEMBERS };
static const char *const member_names[MEMBERS] = {"title", "exp",   "keys",        "grid",
                                                  "list",  "seeds", "split_seeds", "folds"};

json_t *axes_experiment_name(const char *path)
{
    const char *base = path_base(path);
    size_t n = strlen(base);

    if (text_ends_in(base, ".yaml"))
        n -= 5;
    return json_stringn(base, n);
}

void axes_file_free(struct axes_file *f)
{
    json_decref(f->experiments);
    json_decref(f->words);
    json_decref(f->grid);
    json_decref(f->list);
    json_decref(f->seeds);
    json_decref(f->split_seeds);
    memset(f, 0, sizeof *f);
}

double axes_file_runs(const struct axes_file *f)
{
    double n = (double)json_array_size(f->experiments);
    const char *key;
    json_t *values;

    n *= json_array_size(f->list) ? (double)json_array_size(f->list) : 1;
    n *= json_array_size(f->seeds) ? (double)json_array_size(f->seeds) : 1;
    n *= json_array_size(f->split_seeds) ? (double)json_array_size(f->split_seeds) : 1;
    n *= f->folds > 0 ? f->folds : 1;
    json_object_foreach(f->grid, key, values)
    {
        n *= (double)json_array_size(values);
    }
    return n;
}

/* --- values --------------------------------------------------------------------------------------- */

static void put(char *out, size_t size, const char *text)
{
    const size_t used = strlen(out);

    snprintf(out + used, size - used, "%s", text);
}

/* VALUE appended to OUT as a word has it: YAML in flow style. */
static void put_value(char *out, size_t size, const json_t *value)
{
    const char *text = json_string_value(value), *key;
    json_t *item;
    size_t i;

    if (text && *text &&
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                     "0123456789._/+-") == strlen(text)) {
        put(out, size, text);
    } else if (json_is_array(value)) {
        put(out, size, "[");
        json_array_foreach(value, i, item)
        {
            put(out, size, i ? ", " : "");
            put_value(out, size, item);
        }
        put(out, size, "]");
    } else if (json_is_object(value)) {
        put(out, size, "{");
        i = 0;
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
        {
            put(out, size, i++ ? ", " : "");
            put(out, size, key);
            put(out, size, ": ");
            put_value(out, size, item);
        }
        put(out, size, "}");
    } else { /* a string that YAML would read otherwise, quoted; null as '' */
        char *quoted = text ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

        put(out, size, quoted ? quoted : "''");
        free(quoted);
    }
}

/* As a JSON string; NULL with ERR where it is too long. */
static json_t *value_text(const json_t *value, const char *origin, const char *key, struct err *err)
{
    char text[VALUE_LEN] = "";

    put_value(text, sizeof text, value);
    if (strlen(text) + 1 < sizeof text)
        return json_string(text);
    err_in(err, origin, "%s: a value of more than %d characters", key, VALUE_LEN - 2);
    return NULL;
}

/* TREE's leaves by dotted key, as word values: {"train": {"batch": 32}} becomes {"train.batch": "32"}. */
static int flatten(json_t *out, const json_t *tree, const char *prefix, const char *origin,
                   struct err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)tree, key, value)
    {
        char name[512];
        json_t *text;

        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (json_is_object(value)) {
            if (flatten(out, value, name, origin, err) < 0)
                return -1;
            continue;
        }
        text = value_text(value, origin, name, err);
        if (!text)
            return -1;
        json_object_set_new(out, name, text);
    }
    return 0;
}

/* --- members -------------------------------------------------------------------------------------- */

/* M: those of TREE, borrowed; NULL: there is no such. */
static int find_members(json_t *m[MEMBERS], const json_t *tree, const char *origin, struct err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(tree))
        return err_in(err, origin,
                      "expected a study: exp, keys, grid, list, seeds, "
                      "split_seeds, folds");
    json_object_foreach((json_t *)(uintptr_t)tree, key, value)
    {
        const char *near;
        int i = 0;

        while (i < MEMBERS && strcmp(key, member_names[i]) != 0)
            i++;
        if (i < MEMBERS) {
            m[i] = value;
            continue;
        }
        err_in(err, origin,
               "%s is no axis of a study (exp, keys, grid, list, seeds, split_seeds, folds)", key);
        near = nearest_name(key, member_names, MEMBERS);
        return near ? err_append(err, "; did you mean %s?", near)
                    : err_append(err, "; a key of the experiment goes below keys or grid");
    }
    return 0;
}

/* An experiment NAME of the study file: a file beside it first, as with extends. */
static json_t *experiment_path(const char *name, const char *file)
{
    const char *end = text_ends_in(name, ".yaml") ? "" : ".yaml";
    char path[PATH_LEN];

    if (file && name[0] != '/' &&
        path_format(path, NULL, "%.*s%s%s", (int)(path_base(file) - file), file, name, end) == 0 &&
        path_is_file(path) && strcmp(path, file) != 0)
        return json_string(path);
    return json_string(name);
}

static int read_experiments(struct axes_file *f, const struct axes_request *r, const json_t *exp,
                            const char *origin, struct err *err)
{
    const json_t *name;
    size_t i;

    f->experiments = json_array();
    if (exp && r->experiment)
        return err_in(err, origin, "names its experiment (exp): leave out --exp %s", r->experiment);
    if (r->experiment && json_array_append_new(f->experiments, json_string(r->experiment)) < 0)
        return err_set(err, ERR_INPUT, "--exp %s: the name is not UTF-8", r->experiment);
    if (r->experiment)
        return 0;
    if (json_is_string(exp))
        return json_array_append_new(f->experiments,
                                     experiment_path(json_string_value(exp), r->file));
    if (json_is_array(exp) && json_array_size(exp) > 0) {
        json_array_foreach(exp, i, name)
        {
            if (!json_is_string(name))
                break;
            json_array_append_new(f->experiments,
                                  experiment_path(json_string_value(name), r->file));
        }
        if (i == json_array_size(exp))
            return 0;
    }
    return err_in(err, origin,
                  exp ? "exp: expected the name of an experiment, or a list of names"
                      : "which experiment? Add `exp: NAME`, or --exp NAME");
}

/* Keys that all runs have: those of the file, then those of the command line, which replace them. */
static int read_keys(struct axes_file *f, const struct axes_request *r, const json_t *keys,
                     const char *origin, struct err *err)
{
    json_t *flat = json_object(), *value;
    const char *key;
    int rc = 0;

    f->words = json_array();
    if (keys && !json_is_null(keys) && !json_is_object(keys))
        rc = err_in(err, origin, "keys: expected KEY: VALUE");
    if (rc == 0)
        rc = flatten(flat, keys, "", origin, err);
    for (int i = 0; i < r->n_words; i++) {
        char name[512];

        snprintf(name, sizeof name, "%.*s", (int)strcspn(r->words[i], "="), r->words[i]);
        json_object_del(flat, name);
    }
    json_object_foreach(flat, key, value)
    {
        json_array_append_new(f->words, json_sprintf("%s=%s", key, json_string_value(value)));
    }
    for (int i = 0; i < r->n_words && rc == 0; i++)
        if (json_array_append_new(f->words, json_string(r->words[i])) < 0)
            rc = err_in(err, NULL, "a word that is not UTF-8");
    json_decref(flat);
    return rc;
}

/* A grid may be nested as an experiment is; its leaves are lists of values. */
static int read_grid(json_t *out, const json_t *grid, const char *prefix, const char *origin,
                     struct err *err)
{
    const json_t *item;
    const char *key;
    json_t *value;
    size_t i;

    if (grid && !json_is_null(grid) && !json_is_object(grid))
        return err_in(err, origin, "grid: expected KEY: [VALUE, VALUE]");
    json_object_foreach((json_t *)(uintptr_t)grid, key, value)
    {
        json_t *values;
        char name[512];

        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (json_is_object(value)) {
            if (read_grid(out, value, name, origin, err) < 0)
                return -1;
            continue;
        }
        if (!json_is_array(value) || json_array_size(value) == 0)
            return err_in(err, origin,
                          "grid: %s: expected a list of values, at least one: [VALUE, VALUE]",
                          name);
        values = json_array();
        json_object_set_new(out, name, values);
        json_array_foreach(value, i, item)
        {
            json_t *text = value_text(item, origin, name, err);

            if (!text)
                return -1;
            json_array_append_new(values, text);
        }
    }
    return 0;
}

static int read_list(struct axes_file *f, const json_t *list, const char *origin, struct err *err)
{
    const json_t *entry;
    size_t i;

    f->list = json_array();
    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return err_in(err, origin,
                      "list: expected sets of keys, at least one: [{KEY: VALUE}, ...]");
    json_array_foreach(list, i, entry)
    {
        json_t *flat = json_object();

        json_array_append_new(f->list, flat);
        if (!json_is_object(entry) || json_object_size(entry) == 0)
            return err_in(err, origin, "list: entry %zu: expected {KEY: VALUE, ...}", i + 1);
        if (flatten(flat, entry, "", origin, err) < 0)
            return -1;
    }
    return 0;
}

/* --- numbers -------------------------------------------------------------------------------------- */

static int number(int64_t *out, const json_t *value, int64_t low, int64_t high, const char *origin,
                  const char *axis, struct err *err)
{
    const char *text = json_string_value(value);
    char *end = NULL;

    errno = 0;
    *out = text ? strtoll(text, &end, 10) : 0;
    if (text && isalnum((unsigned char)text[0]) && !*end && !errno && *out >= low && *out <= high)
        return 0;
    return err_in(err, origin, "%s: %.100s: expected a whole number from %lld to %lld", axis,
                  text ? text : "no number", (long long)low, (long long)high);
}

/* "5": 5 numbers from FIRST on; a list: those. VALUE NULL: no such axis. */
static int read_numbers(json_t **out, const json_t *value, int64_t first, int64_t most,
                        const char *origin, const char *axis, struct err *err)
{
    const json_t *item;
    int64_t n;
    size_t i;

    if (!value)
        return 0;
    *out = json_array();
    if (json_is_array(value) && json_array_size(value) == 0)
        return err_in(err, origin, "%s is an empty list: give a number, or at least one", axis);
    if (!json_is_array(value)) {
        if (number(&n, value, 1, REPEATS_MOST, origin, axis, err) < 0)
            return -1;
        for (int64_t k = 0; k < n; k++)
            json_array_append_new(*out, json_integer(first + k));
        return first + n - 1 <= most
                   ? 0
                   : err_in(err, origin, "%s: beyond %lld", axis, (long long)most);
    }
    json_array_foreach(value, i, item)
    {
        if (number(&n, item, 0, most, origin, axis, err) < 0)
            return -1;
        for (size_t k = 0; k < i; k++)
            if (json_integer_value(json_array_get(*out, k)) == n)
                return err_in(err, origin, "%s: %lld is there twice", axis, (long long)n);
        json_array_append_new(*out, json_integer(n));
    }
    return 0;
}

/* As typed: "5" a string, "1,2,7" a list of them. */
static json_t *typed(const char *text)
{
    json_t *list;

    if (!strchr(text, ','))
        return json_string(text);
    list = json_array();
    for (const char *at = text; list; at++) {
        const size_t n = strcspn(at, ",");

        json_array_append_new(list, json_stringn(at, n));
        at += n;
        if (!*at)
            break;
    }
    return list;
}

/* Axes of numbers: the option, or else the file's member. */
static int read_repeats(struct axes_file *f, const struct axes_request *r, json_t *const m[MEMBERS],
                        const char *origin, struct err *err)
{
    json_t *seeds = r->seeds ? typed(r->seeds) : json_incref(m[SEEDS]);
    json_t *splits = r->split_seeds ? typed(r->split_seeds) : json_incref(m[SPLIT_SEEDS]);
    json_t *folds = r->folds ? typed(r->folds) : json_incref(m[FOLDS]);
    struct experiment *e;
    int64_t n = 0;
    int rc;

    rc = experiment_read(&e, json_string_value(json_array_get(f->experiments, 0)), NULL, 0, err);
    if (rc == 0) {
        rc = read_numbers(&f->seeds, seeds, e->seed, 9007199254740992, r->seeds ? NULL : origin,
                          r->seeds ? "--seeds" : "seeds", err);
        if (rc == 0)
            rc = read_numbers(&f->split_seeds, splits, e->data.split_seed, 4294967295,
                              r->split_seeds ? NULL : origin,
                              r->split_seeds ? "--split-seeds" : "split_seeds", err);
        if (rc == 0 && folds)
            rc = number(&n, folds, 2, FOLDS_MOST, r->folds ? NULL : origin,
                        r->folds ? "--folds" : "folds", err);
        experiment_free(e);
    }
    f->folds = (int)n;
    json_decref(seeds);
    json_decref(splits);
    json_decref(folds);
    return rc;
}

int axes_file_read(struct axes_file *f, const struct axes_request *r, struct err *err)
{
    const char *origin = r->file;
    json_t *tree = NULL, *m[MEMBERS] = {NULL};
    int rc = -1;

    memset(f, 0, sizeof *f);
    f->grid = json_object();
    if (r->file && yaml_read(&tree, r->file, err) < 0)
        goto out;
    if (!tree)
        tree = json_object();
    if (find_members(m, tree, origin, err) < 0)
        goto out;
    snprintf(f->title, sizeof f->title, "%s",
             json_is_string(m[TITLE]) ? json_string_value(m[TITLE]) : "");
    if (read_experiments(f, r, m[EXP], origin, err) < 0 ||
        read_keys(f, r, m[KEYS], origin, err) < 0 ||
        read_grid(f->grid, m[GRID], "", origin, err) < 0 ||
        read_list(f, m[LIST], origin, err) < 0 || read_repeats(f, r, m, origin, err) < 0)
        goto out;
    rc = 0;
out:
    json_decref(tree);
    if (rc < 0)
        axes_file_free(f);
    return rc;
}
