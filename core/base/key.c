/* key.c - key tables: values from trees of strings into structs, and back.
 * SPDX-License-Identifier: MIT */
#include "base/key.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/key_private.h"
#include "base/yaml.h"

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

/* "-1" for unset and the like, of the presets: they need not be in the range. */
static bool is_preset(const char *preset, double x)
{
    struct key_f64s number = {0};

    return preset && parse_f64s(preset, &number) && number.n == 1 && number.v[0] == x;
}

static bool in_range(const struct key *row, double x)
{
    return (x >= row->min && x <= row->max) || is_preset(row->preset, x) ||
           is_preset(row->implied, x);
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

void key_default(const struct key *row, int version, void *target)
{
    const char *text = row->since > version && row->implied ? row->implied : row->preset;
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
    if (row->type != KEY_TYPE_LIST && text)
        BUG_IF(!parse_text(row, text, target));
}

static void set_default(const struct key *row, int version, char *obj)
{
    key_default(row, version, obj + row->offset);
    if (row->type == KEY_TYPE_LIST)
        memset(obj + row->items_offset, 0, row->size * KEY_LIST_MAX);
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

static int set_list(const struct key *row, int version, const char *name, const json_t *value,
                    char *obj, struct err *err);

static int set_value(const struct key *row, int version, const char *name, const json_t *value,
                     char *obj, struct err *err)
{
    char room[JSON_REAL_TEXT];
    const char *text = scalar_text(value, room);
    char *target = obj + row->offset;
    bool ok;

    if (json_is_null(value) && row->type != KEY_TYPE_STR) { /* "key:" with nothing behind */
        set_default(row, version, obj);
        return 0;
    }
    if (row->type == KEY_TYPE_LIST)
        return set_list(row, version, name, value, obj, err);
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

static bool is_group(const struct key_join *j, const char *name)
{
    size_t size = strlen(name);

    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            if (strncmp(row->name, name, size) == 0 && row->name[size] == '.')
                return true;
    return false;
}

/* A value where a group of keys is due, as in model=resnet50: names the group's keys. */
static int not_a_map(const struct key_join *j, const char *name, const char *full, struct err *err)
{
    const char *before = ": ";
    size_t size = strlen(name);

    err_set(err, ERR_INPUT, "%s: expected a map of keys", full);
    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            if (strncmp(row->name, name, size) == 0 && row->name[size] == '.' &&
                !key_is_retired(row, j->version)) {
                err_append(err, "%s%s%s", before, full, row->name + size);
                before = ", ";
            }
    return -1;
}

/* MAP's keys are GROUP.key in the tables and SHOWN.key in messages (they differ inside lists). */
static int apply_map(const struct key_join *j, const char *group, const char *shown,
                     const json_t *map, struct err *err)
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
        row = key_find(j, name, &obj);
        if (row && key_is_retired(row, j->version))
            rc = key_refuse(row, full, err);
        else if (row)
            rc = set_value(row, j->version, full, value, obj, err);
        else if (!is_group(j, name))
            rc = key_unknown(j, full, name, err);
        else if (json_is_object(value))
            rc = apply_map(j, name, full, value, err);
        else if (!json_is_null(value))
            rc = not_a_map(j, name, full, err);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int set_list(const struct key *row, int version, const char *name, const json_t *value,
                    char *obj, struct err *err)
{
    struct key_list *count = (struct key_list *)(void *)(obj + row->offset);
    size_t n = json_array_size(value);

    if (!json_is_array(value) || n > KEY_LIST_MAX)
        return refuse(row, name, value, err);
    set_default(row, version, obj);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(value, i);
        char shown[NAME_MAX_LEN + 24];
        struct key_table table = {.rows = row->items, .offset = 0};
        struct key_join j = {.tables = &table,
                             .n = 1,
                             .version = version,
                             .obj = obj + row->items_offset + i * row->size};

        snprintf(shown, sizeof shown, "%s.%zu", name, i);
        if (!json_is_object(item))
            return err_set(err, ERR_INPUT, "%s: expected a map of keys", shown);
        keys_default(&table, 1, version, j.obj);
        if (apply_map(&j, "", shown, item, err) < 0)
            return -1;
    }
    count->n = (int)n;
    return 0;
}

void keys_default(const struct key_table *tables, size_t n, int version, void *obj)
{
    for (size_t t = 0; t < n; t++)
        for (const struct key *row = tables[t].rows; row->name; row++)
            set_default(row, version, (char *)obj + tables[t].offset);
}

int keys_apply(const struct key_table *tables, size_t n, int version, void *obj, const json_t *tree,
               const char *origin, struct err *err)
{
    struct key_join j = {.tables = tables, .n = n, .version = version, .obj = obj};

    if (json_is_null(tree))
        return 0;
    if (!json_is_object(tree))
        err_set(err, ERR_INPUT, "expected a map of keys");
    else if (apply_map(&j, "", "", tree, err) == 0)
        return 0;
    return origin ? err_wrap(err, "%s", origin) : err_usage(err);
}
