/* json.c - jansson with our errors and our form of numbers.
 * SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"

enum { FILE_MAX = 256 << 20 };

int json_read(json_t **out, const char *path, struct err *err)
{
    json_error_t at;
    char *data;
    size_t size;

    *out = NULL;
    if (path_read(&data, &size, path, FILE_MAX, err) < 0)
        return -1;
    *out = json_loadb(data, size, JSON_REJECT_DUPLICATES, &at);
    free(data);
    if (!*out)
        return err_set(err, ERR_FORMAT, "%s: line %d, column %d: %s", path, at.line, at.column,
                       at.text);
    return 0;
}

void json_real_text(double real, char out[JSON_REAL_TEXT])
{
    char exponent[8];
    size_t at;

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, JSON_REAL_TEXT, "%.*g", digits, real);
        if (strtod(out, NULL) == real)
            break;
    }
    if (!isfinite(real) || strchr(out, '.'))
        return;
    at = strcspn(out, "e"); /* 1e-05: YAML 1.1 takes a number without a point for text */
    snprintf(exponent, sizeof exponent, "%s", out + at);
    snprintf(out + at, JSON_REAL_TEXT - at, ".0%s", exponent);
}

struct text {
    FILE *file;
    int indent;
};

static void put_break(const struct text *t, int depth)
{
    if (t->indent > 0)
        fprintf(t->file, "\n%*s", t->indent * depth, "");
}

static bool put_string(const struct text *t, const char *s)
{
    json_t *string = json_string(s);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    bool ok = quoted && fputs(quoted, t->file) >= 0;

    free(quoted);
    json_decref(string);
    return ok;
}

static bool put_value(const struct text *t, const json_t *value, int depth);

static bool put_object(const struct text *t, const json_t *value, int depth)
{
    const char *key;
    json_t *item;
    bool first = true;

    fputc('{', t->file);
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (!first)
            fputs(t->indent > 0 ? "," : ", ", t->file);
        first = false;
        put_break(t, depth + 1);
        if (!put_string(t, key))
            return false;
        fputs(": ", t->file);
        if (!put_value(t, item, depth + 1))
            return false;
    }
    if (!first)
        put_break(t, depth);
    fputc('}', t->file);
    return true;
}

static bool put_array(const struct text *t, const json_t *value, int depth)
{
    size_t n = json_array_size(value);

    fputc('[', t->file);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            fputs(t->indent > 0 ? "," : ", ", t->file);
        put_break(t, depth + 1);
        if (!put_value(t, json_array_get(value, i), depth + 1))
            return false;
    }
    if (n > 0)
        put_break(t, depth);
    fputc(']', t->file);
    return true;
}

static bool put_value(const struct text *t, const json_t *value, int depth)
{
    char real[JSON_REAL_TEXT];

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(t, value, depth);
    case JSON_ARRAY:
        return put_array(t, value, depth);
    case JSON_STRING:
        return put_string(t, json_string_value(value));
    case JSON_INTEGER:
        fprintf(t->file, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return true;
    case JSON_REAL:
        json_real_text(json_real_value(value), real);
        fputs(real, t->file);
        return true;
    case JSON_TRUE:
        fputs("true", t->file);
        return true;
    case JSON_FALSE:
        fputs("false", t->file);
        return true;
    case JSON_NULL:
        fputs("null", t->file);
        return true;
    }
    return false;
}

char *json_text(const json_t *value, int indent)
{
    char *text = NULL;
    size_t size = 0;
    struct text t = {.file = open_memstream(&text, &size), .indent = indent};
    bool ok;

    if (!t.file)
        return NULL;
    ok = put_value(&t, value, 0) && !ferror(t.file);
    if (fclose(t.file) != 0 || !ok) {
        free(text);
        return NULL;
    }
    return text;
}

int json_write(const char *path, const json_t *value, struct err *err)
{
    struct new_file f;
    char *text = json_text(value, 2);

    if (!text)
        return err_set(err, ERR_NOMEM, "cannot write %s: out of memory", path);
    if (new_file_begin(&f, path, err) < 0) {
        free(text);
        return -1;
    }
    fprintf(f.file, "%s\n", text); /* an error stays in the stream: new_file_finish() sees it */
    free(text);
    return new_file_finish(&f, err);
}

int json_append_line(FILE *file, const json_t *value, struct err *err)
{
    char *text = json_text(value, 0);
    int rc = 0;

    if (!text)
        return err_set(err, ERR_NOMEM, "cannot write a line of JSON: out of memory");
    if (fprintf(file, "%s\n", text) < 0 || fflush(file) != 0 || fsync(fileno(file)) < 0)
        rc = err_errno(err, "cannot append a line of JSON");
    free(text);
    return rc;
}

static int get(json_t **out, const json_t *obj, const char *key, json_type type, const char *what,
               struct err *err)
{
    *out = json_object_get(obj, key);
    if (!*out)
        return err_set(err, ERR_FORMAT, "\"%s\" is missing", key);
    if (json_typeof(*out) != type)
        return err_set(err, ERR_FORMAT, "\"%s\" is not %s", key, what);
    return 0;
}

int json_get_string(const json_t *obj, const char *key, const char **out, struct err *err)
{
    json_t *value;

    *out = NULL;
    if (get(&value, obj, key, JSON_STRING, "text", err) < 0)
        return -1;
    *out = json_string_value(value);
    return 0;
}

int json_get_int(const json_t *obj, const char *key, json_int_t *out, struct err *err)
{
    json_t *value;

    *out = 0;
    if (get(&value, obj, key, JSON_INTEGER, "a whole number", err) < 0)
        return -1;
    *out = json_integer_value(value);
    return 0;
}

int json_get_array(const json_t *obj, const char *key, json_t **out, struct err *err)
{
    *out = NULL;
    return get(out, obj, key, JSON_ARRAY, "a list", err);
}

const json_t *json_at(const json_t *object, const char *a, const char *b)
{
    const json_t *found = json_object_get(object, a);

    return b ? json_object_get(found, b) : found;
}

const char *json_text_at(const json_t *object, const char *a, const char *b, const char *fallback)
{
    const char *text = json_string_value(json_at(object, a, b));

    return text ? text : fallback;
}

int json_sha256_without(char hex[SHA256_HEX], const json_t *object, const char *member,
                        struct err *err)
{
    json_t *rest = json_copy((json_t *)(uintptr_t)object);
    char *text = NULL;

    if (rest) {
        json_object_del(rest, member);
        text = json_text(rest, 0);
    }
    if (text)
        sha256_of(text, strlen(text), hex);
    json_decref(rest);
    if (!text)
        return err_set(err, ERR_NOMEM, "hash of a record");
    free(text);
    return 0;
}
