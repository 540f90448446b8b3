/* field_unknown.c - members of a record that no row knows: a newer program wrote them, and this one passes over them,
 * but not without a word. SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <string.h>

#include "base/field.h"
#include "base/log.h"
#include "base/path.h"
#include "base/text.h"

enum { NAME_BYTES = 200, SHOWN = 12, WARNED_MAX = 1000 };

/* Adds the names to the set NAMES, made when there is one; PREFIX is that of the record itself, "machine.". */
static void collect(json_t **names, const struct field *rows, const json_t *json,
                    const char *prefix)
{
    char inside[NAME_BYTES];
    size_t known = 0, i;
    const char *name;
    json_t *value;

    json_array_foreach(json, i, value)
    {
        collect(names, rows, value, prefix);
    }
    for (const struct field *row = rows; row->name; row++) {
        value = json_object_get(json, row->name);
        known += value != NULL;
        if (value && row->fields) {
            snprintf(inside, sizeof inside, "%s%s.", prefix, row->name);
            collect(names, row->fields, value, inside);
        }
    }
    if (known == json_object_size(json)) /* almost always: the names need not be compared */
        return;
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        if (field_find(rows, name))
            continue;
        if (!*names)
            *names = json_object();
        snprintf(inside, sizeof inside, "%s%s", prefix, name);
        json_object_set_new_nocheck(*names, inside, json_true()); /* a cut name may be no UTF-8 */
    }
}

/* "a, b.c and 3 more". */
static void list(char *out, size_t size, json_t *names)
{
    const size_t n = json_object_size(names);
    size_t i = 0, used = 0;
    const char *name;
    json_t *value;

    out[0] = 0;
    json_object_foreach(names, name, value)
    {
        if (i == SHOWN || used + strlen(name) + 32 > size)
            break;
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", name);
        i++;
    }
    if (i < n)
        snprintf(out + used, size - used, "%s%zu more", i > 0 ? " and " : "", n - i);
}

size_t fields_unknown(char *out, size_t size, const struct field *rows, const json_t *json)
{
    json_t *names = NULL;
    size_t n;

    collect(&names, rows, json, "");
    list(out, size, names);
    n = json_object_size(names);
    json_decref(names);
    return n;
}

/* Takes out of NAMES those that were warned of in a file of the same name. */
static void leave_new(json_t *names, const char *path)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static json_t *warned; /* a set of "run.json: machine.gpu" */
    char line[NAME_BYTES + 80];
    const char *name;
    json_t *value;
    void *next;

    pthread_mutex_lock(&mutex);
    if (!warned)
        warned = json_object();
    json_object_foreach_safe(names, next, name, value)
    {
        snprintf(line, sizeof line, "%.60s: %s", path_base(path), name);
        if (json_object_get(warned, line) || json_object_size(warned) >= WARNED_MAX)
            json_object_del(names, name);
        else
            json_object_set_new_nocheck(warned, line, json_true());
    }
    pthread_mutex_unlock(&mutex);
}

void fields_warn_unknown(const struct field *rows, const json_t *json, const char *path,
                         const char *writer)
{
    json_t *names = NULL;
    char text[1024], by[80] = "a newer presize may have written it";
    size_t n;

    collect(&names, rows, json, "");
    if (!names)
        return;
    if (writer && strcmp(writer, PRESIZE_VERSION) != 0)
        snprintf(by, sizeof by, "presize %.40s wrote it", writer);
    leave_new(names, path);
    n = json_object_size(names);
    if (n > 0) {
        list(text, sizeof text, names);
        log_warn("%s has %zu member%s that presize " PRESIZE_VERSION
                 " does not know: %s; ignored here and in every other %s (%s)",
                 path, n, PLURAL(n), text, path_base(path), by);
    }
    json_decref(names);
}
