/* key.c - key tables: values from trees of strings into structs, and back.
 * SPDX-License-Identifier: MIT */
#include "base/key.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/yaml.h"

enum { NAME_MAX_LEN = 192, NEAR_LEN = 64 };

/* --- one value --- */

static bool parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(text, yes[i]) == 0) {
            *out = true;
            return true;
        }
        if (strcmp(text, no[i]) == 0) {
            *out = false;
            return true;
        }
    }
    return false;
}

static bool parse_int(const char *text, int64_t *out)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (end == text || *end || errno == ERANGE)
        return false;
    *out = value;
    return true;
}

static bool parse_f64(const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !isfinite(value))
        return false;
    *out = value;
    return true;
}

/* "0.1" or "[1e-5, 1e-3]": presets; files and command lines come as trees. */
static bool parse_f64s(const char *text, struct key_f64s *out)
{
    char part[32];

    out->n = 0;
    while (*text) {
        size_t skip = strspn(text, "[], "), size = strcspn(text + skip, "[], ");

        text += skip;
        if (size == 0)
            break;
        if (out->n == 8 || size >= sizeof part)
            return false;
        memcpy(part, text, size);
        part[size] = '\0';
        if (!parse_f64(part, &out->v[out->n++]))
            return false;
        text += size;
    }
    return true;
}

static int find_choice(const struct key *row, const char *text)
{
    for (int i = 0; row->choices[i]; i++)
        if (strcmp(row->choices[i], text) == 0)
            return i;
    return -1;
}

/* Text into the target; no range. The target is left alone when the text does not fit the type. */
static bool parse_text(const struct key *row, const char *text, void *target)
{
    int choice;

    switch (row->type) {
    case KEY_TYPE_BOOL:
        return parse_bool(text, target);
    case KEY_TYPE_INT:
        return parse_int(text, target);
    case KEY_TYPE_F64:
        return parse_f64(text, target);
    case KEY_TYPE_STR:
        if (strlen(text) >= row->size)
            return false;
        memset(target, 0, row->size);
        memcpy(target, text, strlen(text));
        return true;
    case KEY_TYPE_CHOICE:
        choice = find_choice(row, text);
        if (choice >= 0)
            *(int *)target = choice;
        return choice >= 0;
    case KEY_TYPE_F64S:
        return parse_f64s(text, target);
    case KEY_TYPE_LIST:
        break;
    }
    return false;
}

/* A JSON scalar as the text it would have in a file; NULL for null, maps and lists. */
static const char *scalar_text(const json_t *value, char room[JSON_REAL_TEXT])
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_value(value);
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_INTEGER:
        snprintf(room, JSON_REAL_TEXT, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return room;
    case JSON_REAL:
        json_real_text(json_real_value(value), room);
        return room;
    default:
        return NULL;
    }
}

static void number_text(double x, char out[JSON_REAL_TEXT])
{
    snprintf(out, JSON_REAL_TEXT, "%.15g", x);
}

/* "0 to 10", "at least 1", "any number"; bounds beyond 1e15 are none. */
static void range_text(const struct key *row, char *out, size_t size)
{
    char min[JSON_REAL_TEXT], max[JSON_REAL_TEXT];

    number_text(row->min, min);
    number_text(row->max, max);
    if (row->min > -1e15 && row->max < 1e15)
        snprintf(out, size, "%s to %s", min, max);
    else if (row->min > -1e15)
        snprintf(out, size, "at least %s", min);
    else if (row->max < 1e15)
        snprintf(out, size, "at most %s", max);
    else
        snprintf(out, size, "any");
}

static void expected_text(const struct key *row, char *out, size_t size)
{
    char range[2 * JSON_REAL_TEXT + 16];
    const char *unit = row->unit && strcmp(row->unit, "1") != 0 ? row->unit : "";
    size_t used = 0;

    range_text(row, range, sizeof range);
    switch (row->type) {
    case KEY_TYPE_BOOL:
        snprintf(out, size, "true or false");
        return;
    case KEY_TYPE_STR:
        snprintf(out, size, "text of at most %zu bytes", row->size - 1);
        return;
    case KEY_TYPE_LIST:
        snprintf(out, size, "a list of at most %d maps", KEY_LIST_MAX);
        return;
    case KEY_TYPE_CHOICE:
        snprintf(out, size, "one of");
        for (int i = 0; row->choices[i]; i++) {
            used = strlen(out);
            snprintf(out + used, size - used, "%s %s", i ? "," : "", row->choices[i]);
        }
        return;
    case KEY_TYPE_INT:
        snprintf(out, size, "a whole number, %s", range);
        break;
    case KEY_TYPE_F64:
        snprintf(out, size, "a number, %s", range);
        break;
    case KEY_TYPE_F64S:
        snprintf(out, size, "a number or a list of at most 8, each %s", range);
        break;
    }
    used = strlen(out);
    if (*unit)
        snprintf(out + used, size - used, " %s", unit);
}

static int refuse(const struct key *row, const char *name, const json_t *value, struct err *err)
{
    char *got = json_text(value, 0);
    char expected[1024];

    expected_text(row, expected, sizeof expected);
    err_set(err, ERR_INPUT, "%s: %.200s: expected %s", name, got ? got : "this value", expected);
    free(got);
    return -1;
}

static const char *nearest_choice(const struct key *row, const char *text)
{
    size_t n = 0;

    while (row->choices[n])
        n++;
    return nearest_name(text, row->choices, n);
}

static bool in_range(const struct key *row, double x)
{
    struct key_f64s preset = {0};

    if (x >= row->min && x <= row->max)
        return true;
    return row->preset && parse_f64s(row->preset, &preset) && preset.n == 1 && preset.v[0] == x;
}

static bool is_allowed(const struct key *row, const void *target)
{
    const struct key_f64s *list = target;

    if (row->type == KEY_TYPE_INT)
        return in_range(row, (double)*(const int64_t *)target);
    if (row->type == KEY_TYPE_F64)
        return in_range(row, *(const double *)target);
    for (int i = 0; row->type == KEY_TYPE_F64S && i < list->n; i++)
        if (!in_range(row, list->v[i]))
            return false;
    return true;
}

static void set_preset(const struct key *row, char *obj)
{
    char *target = obj + row->offset;
    static const struct {
        size_t bytes;
    } widths[] = {
        [KEY_TYPE_BOOL] = {sizeof(bool)},
        [KEY_TYPE_INT] = {sizeof(int64_t)},
        [KEY_TYPE_F64] = {sizeof(double)},
        [KEY_TYPE_STR] = {0},
        [KEY_TYPE_CHOICE] = {sizeof(int)},
        [KEY_TYPE_F64S] = {sizeof(struct key_f64s)},
        [KEY_TYPE_LIST] = {sizeof(struct key_list)},
    };

    memset(target, 0, row->type == KEY_TYPE_STR ? row->size : widths[row->type].bytes);
    if (row->type == KEY_TYPE_LIST)
        memset(obj + row->items_offset, 0, row->size * KEY_LIST_MAX);
    else if (row->preset)
        BUG_IF(!parse_text(row, row->preset, target));
}

static bool set_f64s(const json_t *list, struct key_f64s *out)
{
    struct key_f64s all = {0};
    size_t n = json_array_size(list);

    if (n > 8)
        return false;
    for (size_t i = 0; i < n; i++) {
        char room[JSON_REAL_TEXT];
        const char *text = scalar_text(json_array_get(list, i), room);

        if (!text || !parse_f64(text, &all.v[i]))
            return false;
    }
    all.n = (int)n;
    *out = all;
    return true;
}

static int set_list(const struct key *row, const char *name, const json_t *value, char *obj,
                    struct err *err);

static int set_value(const struct key *row, const char *name, const json_t *value, char *obj,
                     struct err *err)
{
    char room[JSON_REAL_TEXT];
    const char *text = scalar_text(value, room);
    char *target = obj + row->offset;
    bool ok;

    if (json_is_null(value) && row->type != KEY_TYPE_STR) { /* "key:" with nothing behind */
        set_preset(row, obj);
        return 0;
    }
    if (row->type == KEY_TYPE_LIST)
        return set_list(row, name, value, obj, err);
    if (row->type == KEY_TYPE_F64S && json_is_array(value))
        ok = set_f64s(value, (struct key_f64s *)(void *)target);
    else if (row->type == KEY_TYPE_STR && json_is_null(value))
        ok = parse_text(row, "", target);
    else
        ok = text && (row->type != KEY_TYPE_F64S || (*text && !strpbrk(text, "[], "))) &&
             parse_text(row, text, target);
    if (!ok || !is_allowed(row, target)) {
        const char *near = row->type == KEY_TYPE_CHOICE && text ? nearest_choice(row, text) : NULL;

        refuse(row, name, value, err);
        if (near)
            err_append(err, "; did you mean %s?", near);
        return -1;
    }
    return 0;
}

/* --- trees --- */

struct join {
    const struct key_table *tables;
    size_t n;
    char *obj;
};

static int unknown(const struct join *j, const char *shown, const char *name, struct err *err);

/* The row NAME and, in *obj, its module's struct. */
static const struct key *find_row(const struct join *j, const char *name, char **obj)
{
    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            if (strcmp(row->name, name) == 0) {
                *obj = j->obj + j->tables[t].offset;
                return row;
            }
    return NULL;
}

static bool is_group(const struct join *j, const char *name)
{
    size_t size = strlen(name);

    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            if (strncmp(row->name, name, size) == 0 && row->name[size] == '.')
                return true;
    return false;
}

/* MAP's keys are GROUP.key in the tables and SHOWN.key in messages (they differ inside lists). */
static int apply_map(const struct join *j, const char *group, const char *shown, const json_t *map,
                     struct err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        char name[NAME_MAX_LEN], full[NAME_MAX_LEN];
        const struct key *row;
        char *obj;
        int rc = 0;

        snprintf(name, sizeof name, "%s%s%s", group, *group ? "." : "", key);
        snprintf(full, sizeof full, "%s%s%s", shown, *shown ? "." : "", key);
        if (strchr(key, '.'))
            return err_set(err, ERR_INPUT,
                           "%s: in a file, keys with a dot are written as nested maps", full);
        row = find_row(j, name, &obj);
        if (row)
            rc = set_value(row, full, value, obj, err);
        else if (!is_group(j, name))
            rc = unknown(j, full, name, err);
        else if (json_is_object(value))
            rc = apply_map(j, name, full, value, err);
        else if (!json_is_null(value))
            rc = err_set(err, ERR_INPUT, "%s: expected a map of keys", full);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int set_list(const struct key *row, const char *name, const json_t *value, char *obj,
                    struct err *err)
{
    struct key_list *count = (struct key_list *)(void *)(obj + row->offset);
    size_t n = json_array_size(value);

    if (!json_is_array(value) || n > KEY_LIST_MAX)
        return refuse(row, name, value, err);
    set_preset(row, obj);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(value, i);
        char shown[NAME_MAX_LEN + 24];
        struct key_table table = {.rows = row->items, .offset = 0};
        struct join j = {.tables = &table, .n = 1, .obj = obj + row->items_offset + i * row->size};

        snprintf(shown, sizeof shown, "%s.%zu", name, i);
        if (!json_is_object(item))
            return err_set(err, ERR_INPUT, "%s: expected a map of keys", shown);
        keys_default(&table, 1, j.obj);
        if (apply_map(&j, "", shown, item, err) < 0)
            return -1;
    }
    count->n = (int)n;
    return 0;
}

void keys_default(const struct key_table *tables, size_t n, void *obj)
{
    for (size_t t = 0; t < n; t++)
        for (const struct key *row = tables[t].rows; row->name; row++)
            set_preset(row, (char *)obj + tables[t].offset);
}

int keys_apply(const struct key_table *tables, size_t n, void *obj, const json_t *tree,
               const char *origin, struct err *err)
{
    struct join j = {.tables = tables, .n = n, .obj = obj};

    if (json_is_null(tree))
        return 0;
    if (!json_is_object(tree))
        return err_set(err, ERR_INPUT, "%s: expected a map of keys", origin);
    if (apply_map(&j, "", "", tree, err) < 0)
        return err_wrap(err, "%s", origin);
    return 0;
}

/* --- did you mean --- */

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours
 * (Damerau 1964). */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NEAR_LEN + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    size_t na = strlen(a), nb = strlen(b);

    if (na > NEAR_LEN || nb > NEAR_LEN)
        return NEAR_LEN;
    for (size_t j = 0; j <= nb; j++)
        last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *swap = before;

        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

            best = best < last[j] + 1 ? best : last[j] + 1;
            best = best < now[j - 1] + 1 ? best : now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = best < before[j - 2] + 1 ? best : before[j - 2] + 1;
            now[j] = best;
        }
        before = last;
        last = now;
        now = swap;
    }
    return last[nb];
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t limit = strlen(word) / 3, best;

    best = (limit < 1 ? 1 : limit) + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, names[i]);

        if (distance < best && distance < strlen(names[i])) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

/* A key that ends in what was written without its group: "lr" for "optim.lr". */
static const char *same_ending(const struct join *j, const char *name)
{
    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++) {
            const char *dot = strrchr(row->name, '.'), *mine = strrchr(name, '.');

            if (dot && strcmp(dot + 1, mine ? mine + 1 : name) == 0)
                return row->name;
        }
    return NULL;
}

/* A group of keys: "train" for "trian", in FOUND. */
static const char *nearest_group(const struct join *j, const char *name, char found[NEAR_LEN + 1])
{
    size_t best = strlen(name) / 3;

    best = (best < 1 ? 1 : best) + 1;
    found[0] = '\0';
    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            for (const char *dot = strchr(row->name, '.'); dot; dot = strchr(dot + 1, '.')) {
                char group[NEAR_LEN + 1];
                size_t length = (size_t)(dot - row->name), distance;

                if (length > NEAR_LEN)
                    break;
                memcpy(group, row->name, length);
                group[length] = '\0';
                distance = edit_distance(name, group);
                if (distance < best && distance < length) {
                    best = distance;
                    memcpy(found, group, length + 1);
                }
            }
    return found[0] ? found : NULL;
}

/* An item of a list ("train.phases.0.lr") is there where the list has it. */
static bool has_key(void *join, const char *key)
{
    const struct join *j = join;
    char name[NAME_MAX_LEN], *obj;
    const char *digit = strpbrk(key, "0123456789");
    const struct key *row;

    snprintf(name, sizeof name, "%.*s", (int)(digit ? digit - key - 1 : (long)strlen(key)), key);
    row = find_row(j, name, &obj);
    if (!row || !digit)
        return row != NULL;
    for (const struct key *item = row->items; item && item->name; item++)
        if (strcmp(item->name, digit + 2) == 0)
            return true;
    return false;
}

static int unknown(const struct join *j, const char *shown, const char *name, struct err *err)
{
    char group[NEAR_LEN + 1];
    const char *near = NULL, *typed = key_typed(name, has_key, (void *)(uintptr_t)j);
    const char **names;
    size_t n = 0;

    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            n++;
    names = calloc(n ? n : 1, sizeof *names);
    n = 0;
    for (size_t t = 0; names && t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            names[n++] = row->name;
    if (typed)
        near = typed;
    else if (names)
        near = nearest_name(name, names, n);
    free(names);
    if (!near)
        near = nearest_group(j, name, group);
    if (!near)
        near = same_ending(j, name);
    err_set(err, ERR_INPUT, "%s: there is no such key", shown);
    if (near)
        err_append(err, "; did you mean %.*s%s?", (int)(strlen(shown) - strlen(name)), shown, near);
    return -1;
}
