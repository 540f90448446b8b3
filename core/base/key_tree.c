/* key_tree.c - trees of keys changed by words and by one another, and key tables shown.
 * SPDX-License-Identifier: MIT */
#include "base/key.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/key_private.h"
#include "base/yaml.h"

enum {
    WORD_MAX = 4096,
    FLAT_NAME_MAX = 4096,
    DEPTH_MAX = 16,
    DEFAULT_MAX = 4096 /* bytes of the longest text */
};

/* --- KEY=VALUE --- */

static bool is_number(const char *part)
{
    size_t n = strlen(part);

    return n > 0 && n <= 4 && strspn(part, "0123456789") == n;
}

/* The item PART of NODE (a map or a list), or NULL; *index is set for a list. */
static int child_of(json_t **child, json_t *node, const char *part, const char *name,
                    struct err *err)
{
    *child = NULL;
    if (json_is_object(node)) {
        *child = json_object_get(node, part);
        return 0;
    }
    if (!is_number(part) || strtoul(part, NULL, 10) > json_array_size(node))
        return err_set(err, ERR_INPUT,
                       "%s: \"%s\" is no place in a list of %zu (they count from 0; %zu appends)",
                       name, part, json_array_size(node), json_array_size(node));
    *child = json_array_get(node, strtoul(part, NULL, 10));
    return 0;
}

/* Puts VALUE (taken over, also on an error) at PART of NODE. */
static int put_child(json_t *node, const char *part, json_t *value, struct err *err)
{
    size_t i = is_number(part) ? strtoul(part, NULL, 10) : 0;
    int rc;

    if (json_is_object(node))
        rc = json_object_set_new(node, part, value);
    else if (i == json_array_size(node))
        rc = json_array_append_new(node, value);
    else
        rc = json_array_set_new(node, i, value);
    return rc < 0 ? err_set(err, ERR_INPUT, "%s: not UTF-8, or out of memory", part) : 0;
}

/* Sets NAME ("a.b.0.c", its dots made 0 in PARTS) to VALUE, which is taken over. */
static int set_path(json_t *tree, char *const parts[], int n, const char *name, json_t *value,
                    struct err *err)
{
    json_t *node = tree;

    for (int i = 0; i < n; i++) {
        json_t *child;

        if (child_of(&child, node, parts[i], name, err) < 0)
            goto fail;
        if (i == n - 1)
            return put_child(node, parts[i], value, err);
        if (!json_is_object(child) && !json_is_array(child)) {
            child = is_number(parts[i + 1]) ? json_array() : json_object();
            if (!child || put_child(node, parts[i], child, err) < 0)
                goto fail;
        }
        node = child;
    }
fail:
    json_decref(value);
    return -1;
}

int keys_override(json_t *tree, const char *word, struct err *err)
{
    const char *equals = strchr(word, '=');
    char name[WORD_MAX], copy[WORD_MAX], *parts[DEPTH_MAX];
    json_t *value;
    int n = 0;

    if (!equals || equals == word)
        return err_set(err, ERR_INPUT, "\"%s\": expected KEY=VALUE, such as optim.lr=0.01", word);
    if ((size_t)(equals - word) >= sizeof name)
        return err_set(err, ERR_INPUT, "%.60s...: too long for a key", word);
    snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
    memcpy(copy, name, strlen(name) + 1);
    for (char *part = copy; part;) {
        char *dot = strchr(part, '.');

        if (dot)
            *dot = '\0';
        if (!*part || n == DEPTH_MAX)
            return err_set(err, ERR_INPUT, "%s: expected names with single dots between", name);
        for (char *c = part; *c; c++)
            if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
                return err_set(err, ERR_INPUT, "%s: expected letters, digits, _ and dots", name);
        parts[n++] = part;
        part = dot ? dot + 1 : NULL;
    }
    if (equals[1] == '\0') { /* an unset variable of the shell, say: not the preset by stealth */
        value = json_string("");
        if (!value)
            return err_set(err, ERR_NOMEM, "keys: out of memory");
    } else if (yaml_parse(&value, equals + 1, err) < 0) {
        return err_wrap(err, "%s", name);
    }
    return set_path(tree, parts, n, name, value, err);
}

static int merge(json_t *base, const json_t *over, int depth, struct err *err)
{
    const char *key;
    json_t *value;

    if (depth > DEPTH_MAX)
        return err_set(err, ERR_INPUT, "maps nested deeper than %d levels", DEPTH_MAX);
    json_object_foreach((json_t *)(uintptr_t)over, key, value)
    {
        json_t *old = json_object_get(base, key);

        if (json_is_object(old) && json_is_object(value)) {
            if (merge(old, value, depth + 1, err) < 0)
                return -1;
        } else if (json_object_set_new(base, key, json_deep_copy(value)) < 0) {
            return err_set(err, ERR_NOMEM, "keys: out of memory");
        }
    }
    return 0;
}

int keys_merge(json_t *base, const json_t *over, struct err *err)
{
    if (json_is_null(over))
        return 0;
    if (!json_is_object(base) || !json_is_object(over))
        return err_set(err, ERR_INPUT, "expected a map of keys");
    return merge(base, over, 0, err);
}

/* --- values as a tree --- */

static json_t *f64s_tree(const struct key_f64s *list)
{
    json_t *array;

    if (list->n == 1)
        return json_real(list->v[0]);
    array = json_array();
    for (int i = 0; array && i < list->n; i++)
        if (json_array_append_new(array, json_real(list->v[i])) < 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

static json_t *value_tree(const struct key *row, const char *target)
{
    switch (row->type) {
    case KEY_TYPE_BOOL:
        return json_boolean(*(const bool *)target);
    case KEY_TYPE_INT:
        return json_integer(*(const int64_t *)(const void *)target);
    case KEY_TYPE_F64:
        return json_real(*(const double *)(const void *)target);
    case KEY_TYPE_STR:
        return json_string(target);
    case KEY_TYPE_CHOICE:
        return json_string(row->choices[*(const int *)(const void *)target]);
    case KEY_TYPE_F64S:
        return f64s_tree((const struct key_f64s *)(const void *)target);
    case KEY_TYPE_LIST:
        break;
    }
    return NULL;
}

/* Puts VALUE, taken over, at NAME of TREE, making the maps on the way. */
static bool put_nested(json_t *tree, const char *name, json_t *value)
{
    char part[128];
    const char *dot;

    while ((dot = strchr(name, '.')) != NULL && (size_t)(dot - name) < sizeof part) {
        json_t *map;

        snprintf(part, sizeof part, "%.*s", (int)(dot - name), name);
        map = json_object_get(tree, part);
        if (!map) {
            map = json_object();
            if (json_object_set_new(tree, part, map) < 0) {
                json_decref(value);
                return false;
            }
        }
        tree = map;
        name = dot + 1;
    }
    return json_object_set_new(tree, name, value) == 0;
}

/* Which keys are put into a tree, and how. */
struct pick {
    int version;
    bool flat, outdated; /* outdated: those that were retired after VERSION, not at their default */
};

static bool is_default(const struct key *row, int version, const char *target)
{
    _Alignas(max_align_t) char room[DEFAULT_MAX];
    json_t *preset, *value;
    bool same;

    if (row->type == KEY_TYPE_LIST)
        return ((const struct key_list *)(const void *)target)->n == 0;
    BUG_IF(row->size > sizeof room);
    key_default(row, version, room);
    preset = value_tree(row, room);
    value = value_tree(row, target);
    same = json_equal(preset, value);
    json_decref(preset);
    json_decref(value);
    return same;
}

static bool is_picked(const struct key *row, const struct pick *p, const char *target)
{
    if (p->outdated)
        return row->retired && key_exists(row, p->version) && !is_default(row, p->version, target);
    return key_exists(row, p->version) ||
           (!key_is_retired(row, p->version) && !is_default(row, p->version, target));
}

static bool add_rows(json_t *tree, const struct key *rows, const char *obj, const char *prefix,
                     const struct pick *p);

static bool add_list(json_t *tree, const struct key *row, const char *obj, const char *prefix,
                     const struct pick *p)
{
    const struct key_list *count = (const struct key_list *)(const void *)(obj + row->offset);
    json_t *array = p->flat ? NULL : json_array();
    bool ok = p->flat || array;

    for (int i = 0; ok && i < count->n; i++) {
        const char *item = obj + row->items_offset + (size_t)i * row->size;
        char name[256];
        json_t *map;

        snprintf(name, sizeof name, "%s%s.%d.", prefix, row->name, i);
        if (p->flat) {
            ok = add_rows(tree, row->items, item, name, p);
            continue;
        }
        map = json_object();
        ok = add_rows(map, row->items, item, "", p) && json_array_append(array, map) == 0;
        json_decref(map);
    }
    if (p->flat)
        return ok;
    if (ok)
        return put_nested(tree, row->name, array);
    json_decref(array);
    return false;
}

static bool add_rows(json_t *tree, const struct key *rows, const char *obj, const char *prefix,
                     const struct pick *p)
{
    for (const struct key *row = rows; row->name; row++) {
        const char *target = obj + row->offset;
        const bool picked = is_picked(row, p, target);
        char name[256];

        if (row->type == KEY_TYPE_LIST) {
            /* of a list that was retired as a whole, all its keys are outdated */
            const struct pick inside = {p->version, p->flat, p->outdated && !picked};

            if ((picked || p->outdated) && !add_list(tree, row, obj, prefix, &inside))
                return false;
            continue;
        }
        if (!picked)
            continue;
        snprintf(name, sizeof name, "%s%s", prefix, row->name);
        if (p->flat ? json_object_set_new(tree, name, value_tree(row, target)) < 0
                    : !put_nested(tree, name, value_tree(row, target)))
            return false;
    }
    return true;
}

static json_t *pick_tree(const struct key_table *tables, size_t n, const void *obj,
                         const struct pick *p)
{
    json_t *tree = json_object();

    for (size_t t = 0; tree && t < n; t++)
        if (!add_rows(tree, tables[t].rows, (const char *)obj + tables[t].offset, "", p)) {
            json_decref(tree);
            tree = NULL;
        }
    return tree;
}

json_t *keys_tree(const struct key_table *tables, size_t n, int version, const void *obj, bool flat)
{
    return pick_tree(tables, n, obj, &(struct pick){.version = version, .flat = flat});
}

/* Adds VALUE to OUT, of which NAME (SIZE bytes, changed and put back) is the dotted name: maps and lists of maps part
 * by part. */
static int flatten(json_t *out, char *name, size_t size, json_t *value)
{
    const size_t length = strlen(name);
    const bool maps = json_is_object(json_array_get(value, 0));
    const char *key;
    json_t *part;
    size_t i;
    int rc = 0;

    if (json_is_object(value)) {
        json_object_foreach(value, key, part)
        {
            snprintf(name + length, size - length, "%s%s", length ? "." : "", key);
            rc |= flatten(out, name, size, part);
        }
    } else if (maps) {
        json_array_foreach(value, i, part)
        {
            snprintf(name + length, size - length, ".%zu", i);
            rc |= flatten(out, name, size, part);
        }
    } else {
        rc = json_object_set(out, name, value);
    }
    name[length] = '\0';
    return rc;
}

json_t *keys_flatten(json_t *tree)
{
    char name[FLAT_NAME_MAX] = "";
    json_t *out = json_object();

    if (out && flatten(out, name, sizeof name, tree) < 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *keys_outdated(const struct key_table *tables, size_t n, int version, const void *obj)
{
    return pick_tree(tables, n, obj,
                     &(struct pick){.version = version, .flat = true, .outdated = true});
}

/* --- Markdown --- */

static void document_range(FILE *file, const struct key *row)
{
    bool low = row->min > -1e15, high = row->max < 1e15; /* bounds beyond are none */

    switch (row->type) {
    case KEY_TYPE_BOOL:
        fputs("true, false", file);
        break;
    case KEY_TYPE_CHOICE:
        for (int i = 0; row->choices[i]; i++)
            fprintf(file, "%s%s", i ? ", " : "", row->choices[i]);
        break;
    case KEY_TYPE_STR:
        fputs("text", file);
        break;
    case KEY_TYPE_LIST:
        fprintf(file, "list of at most %d", KEY_LIST_MAX);
        break;
    case KEY_TYPE_INT:
    case KEY_TYPE_F64:
    case KEY_TYPE_F64S:
        if (low && high)
            fprintf(file, "%.15g to %.15g", row->min, row->max);
        else if (low)
            fprintf(file, "≥ %.15g", row->min);
        else if (high)
            fprintf(file, "≤ %.15g", row->max);
        else
            fputs("any", file);
        if (row->type == KEY_TYPE_F64S)
            fputs(", or a list", file);
    }
}

struct each { /* the arguments of keys_each() */
    void (*say)(void *to, const char *name, const char *range, const struct key *row);
    void *to;
};

static void each_row(const struct each *e, const struct key *rows, const char *prefix)
{
    for (const struct key *row = rows; row->name; row++) {
        char name[NAME_MAX_LEN], inside[NAME_MAX_LEN], range[512] = "";
        FILE *file = row->retired ? NULL : fmemopen(range, sizeof range, "w");

        if (!file)
            continue;
        document_range(file, row);
        fclose(file);
        snprintf(name, sizeof name, "%.90s%.90s", prefix, row->name);
        e->say(e->to, name, range, row);
        if (row->type == KEY_TYPE_LIST) {
            snprintf(inside, sizeof inside, "%.180s.N.", name);
            each_row(e, row->items, inside);
        }
    }
}

void keys_each(const struct key_table *tables, size_t n,
               void (*say)(void *to, const char *name, const char *range, const struct key *row),
               void *to)
{
    const struct each e = {say, to};

    for (size_t t = 0; t < n; t++)
        each_row(&e, tables[t].rows, "");
}

static void document_row(void *to, const char *name, const char *range, const struct key *row)
{
    const char *preset = row->preset ? row->preset : "";
    FILE *file = to;

    fprintf(file, "| `%s` | %s%s%s | %s | %s | %s", name, *preset ? "`" : "", preset,
            *preset ? "`" : "", range, row->unit ? row->unit : "", row->help ? row->help : "");
    if (row->flags & KEY_NO_RESULT)
        fputs("; changes no bit of the weights", file);
    if (row->since > 1)
        fprintf(file, " (since version %d; older records: `%s`)", row->since,
                row->implied ? row->implied : preset);
    fputs(" |\n", file);
}

static void document_retired(FILE *file, const struct key *rows, const char *prefix, bool *any)
{
    for (const struct key *row = rows; row->name; row++) {
        char name[256];

        if (row->retired) {
            fprintf(file, "%s| `%s%s` | %d | %s |\n",
                    *any ? "" : "\n| retired key | in version | instead |\n|---|---|---|\n", prefix,
                    row->name, row->retired, row->instead);
            *any = true;
        } else if (row->type == KEY_TYPE_LIST) {
            snprintf(name, sizeof name, "%.100s%.100s.N.", prefix, row->name);
            document_retired(file, row->items, name, any);
        }
    }
}

void keys_document(FILE *file, const struct key_table *tables, size_t n)
{
    bool any = false;

    fputs("| key | default | range or choices | unit | meaning |\n|---|---|---|---|---|\n", file);
    keys_each(tables, n, document_row, file);
    for (size_t t = 0; t < n; t++)
        document_retired(file, tables[t].rows, "", &any);
}
