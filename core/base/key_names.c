/* key_names.c - rows by their names: those that there are, those that were, and the nearest.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/key_private.h"

enum { NEAR_LEN = 64 };

/* --- versions --- */

bool key_is_retired(const struct key *row, int version)
{
    return row->retired && row->retired <= version;
}

bool key_exists(const struct key *row, int version)
{
    return row->since <= version && !key_is_retired(row, version);
}

static int newest(const struct key *rows)
{
    int version = 1;

    for (const struct key *row = rows; row->name; row++) {
        int inside = row->type == KEY_TYPE_LIST ? newest(row->items) : 1;

        version = version < row->since ? row->since : version;
        version = version < row->retired ? row->retired : version;
        version = version < inside ? inside : version;
    }
    return version;
}

int keys_version(const struct key_table *tables, size_t n)
{
    int version = 1;

    for (size_t t = 0; t < n; t++) {
        int own = newest(tables[t].rows);

        version = version < own ? own : version;
    }
    return version;
}

/* --- by name --- */

const struct key *key_find(const struct key_join *j, const char *name, char **obj)
{
    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            if (strcmp(row->name, name) == 0) {
                *obj = j->obj + j->tables[t].offset;
                return row;
            }
    return NULL;
}

int key_refuse(const struct key *row, const char *shown, struct err *err)
{
    return err_set(err, ERR_INPUT, "%s: this key was retired; %s", shown, row->instead);
}

/* The row of NAME, "train.phases.1.lr": a list's name, a number, and a name in the list. */
static const struct key *find_inside(const struct key_join *j, const char *name)
{
    char *unused;
    const struct key *row = key_find(j, name, &unused);

    for (size_t t = 0; !row && t < j->n; t++)
        for (const struct key *list = j->tables[t].rows; !row && list->name; list++) {
            const size_t size = strlen(list->name);
            const char *rest;
            struct key_table items = {list->items, 0};
            struct key_join inside = {.tables = &items, .n = 1, .version = j->version};

            if (list->type != KEY_TYPE_LIST || strncmp(list->name, name, size) || name[size] != '.')
                continue;
            rest = name + size + 1;
            rest += strspn(rest, "0123456789");
            if (*rest == '\0')
                row = list;
            else if (*rest == '.')
                row = key_is_retired(list, j->version) ? list : find_inside(&inside, rest + 1);
        }
    return row;
}

int keys_check_name(const struct key_table *tables, size_t n, int version, const char *name,
                    struct err *err)
{
    struct key_join j = {.tables = tables, .n = n, .version = version};
    char *copy = strndup(name, strcspn(name, "="));
    const struct key *row;
    int rc = 0;

    if (!copy)
        return err_set(err, ERR_NOMEM, "keys: out of memory");
    row = find_inside(&j, copy);
    if (row && key_is_retired(row, version))
        rc = key_refuse(row, copy, err);
    free(copy);
    return rc;
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

/* The one name that begins with WORD; NULL where there is none or several, and for a word of a letter or two. */
static const char *only_longer(const char *word, const char *const *names, size_t count)
{
    const char *found = NULL;

    for (size_t i = 0; strlen(word) > 2 && i < count; i++) {
        if (strncmp(names[i], word, strlen(word)) != 0)
            continue;
        if (found)
            return NULL;
        found = names[i];
    }
    return found;
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
    const char *nearest = only_longer(word, names, count);
    size_t limit = strlen(word) / 3, best;

    if (nearest)
        return nearest;
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
static const char *same_ending(const struct key_join *j, const char *name)
{
    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++) {
            const char *dot = strrchr(row->name, '.'), *mine = strrchr(name, '.');

            if (!key_is_retired(row, j->version) && dot &&
                strcmp(dot + 1, mine ? mine + 1 : name) == 0)
                return row->name;
        }
    return NULL;
}

/* A group of keys: "train" for "trian", in FOUND. */
static const char *nearest_group(const struct key_join *j, const char *name,
                                 char found[NEAR_LEN + 1])
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

bool keys_flagged(const struct key_table *tables, size_t n, const char *name, enum key_flag flag)
{
    for (size_t t = 0; t < n; t++)
        for (const struct key *row = tables[t].rows; row->name; row++)
            if (strcmp(row->name, name) == 0)
                return (row->flags & (unsigned)flag) != 0;
    return false;
}

bool key_has(void *join, const char *key)
{
    const struct key_join *j = join;
    char name[NAME_MAX_LEN], *obj;
    const char *digit = strpbrk(key, "0123456789");
    const struct key *row;

    snprintf(name, sizeof name, "%.*s", (int)(digit ? digit - key - 1 : (long)strlen(key)), key);
    row = key_find(j, name, &obj);
    if (!row || !digit)
        return row != NULL;
    for (const struct key *item = row->items; item && item->name; item++)
        if (strcmp(item->name, digit + 2) == 0)
            return true;
    return false;
}

int key_unknown(const struct key_join *j, const char *shown, const char *name, struct err *err)
{
    char group[NEAR_LEN + 1];
    const char *near = NULL, *typed = key_typed(name, key_has, (void *)(uintptr_t)j);
    const char **names;
    size_t n = 0;

    for (size_t t = 0; t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            n++;
    names = calloc(n ? n : 1, sizeof *names);
    n = 0;
    for (size_t t = 0; names && t < j->n; t++)
        for (const struct key *row = j->tables[t].rows; row->name; row++)
            if (!key_is_retired(row, j->version))
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
