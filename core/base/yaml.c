/* yaml.c - YAML to JSON trees of strings, by libyaml's events, and back.
 * SPDX-License-Identifier: MIT */
#include "base/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/json.h"
#include "base/path.h"

enum { FILE_MAX = 1 << 20, DEPTH_MAX = 16 };

/* --- reading --- */

static int fail_at(struct err *err, yaml_mark_t at, const char *what)
{
    return err_set(err, ERR_FORMAT, "line %zu, column %zu: %s", at.line + 1, at.column + 1, what);
}

static int next(yaml_parser_t *parser, yaml_event_t *event, struct err *err)
{
    if (yaml_parser_parse(parser, event))
        return 0;
    if (parser->error == YAML_MEMORY_ERROR)
        return err_set(err, ERR_NOMEM, "out of memory");
    fail_at(err, parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark,
            parser->problem ? parser->problem : "not YAML");
    if (parser->problem && strcmp(parser->problem, "found unknown escape character") == 0)
        err_append(err, " (in \"...\" a backslash starts an escape; write a pattern in '...')");
    return -1;
}

static json_t *scalar(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;

    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0))
        return json_null();
    return json_stringn(text, event->data.scalar.length);
}

/* What no experiment needs. NULL: nothing of that. */
static const char *refused(const yaml_event_t *event)
{
    static const char anchor[] = "anchors are not supported", tag[] = "tags are not supported";

    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "aliases are not supported";
    case YAML_SCALAR_EVENT:
        if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
            return "a zero byte in text";
        return event->data.scalar.anchor ? anchor : event->data.scalar.tag ? tag : NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor ? anchor
               : event->data.sequence_start.tag  ? tag
                                                 : NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor ? anchor
               : event->data.mapping_start.tag  ? tag
                                                : NULL;
    default:
        return NULL;
    }
}

static int build(json_t **out, yaml_parser_t *parser, const yaml_event_t *event, int depth,
                 struct err *err);

static int build_list(json_t *list, yaml_parser_t *parser, int depth, struct err *err)
{
    for (;;) {
        yaml_event_t event;
        json_t *item;
        int rc;

        if (next(parser, &event, err) < 0)
            return -1;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return 0;
        }
        rc = build(&item, parser, &event, depth, err);
        yaml_event_delete(&event);
        if (rc < 0)
            return -1;
        if (json_array_append_new(list, item) < 0)
            return err_set(err, ERR_NOMEM, "out of memory");
    }
}

/* One "key: value", KEY_EVENT being the key. */
static int build_pair(json_t *map, yaml_parser_t *parser, const yaml_event_t *key_event, int depth,
                      struct err *err)
{
    const char *key = (const char *)key_event->data.scalar.value;
    char text[128];
    yaml_event_t event;
    json_t *value;
    int rc;

    if (key_event->type != YAML_SCALAR_EVENT)
        return fail_at(err, key_event->start_mark, "a key must be plain text");
    if (refused(key_event))
        return fail_at(err, key_event->start_mark, refused(key_event));
    if (json_object_get(map, key)) {
        snprintf(text, sizeof text, "the key \"%.80s\" is given twice", key);
        return fail_at(err, key_event->start_mark, text);
    }
    if (next(parser, &event, err) < 0)
        return -1;
    rc = build(&value, parser, &event, depth, err);
    yaml_event_delete(&event);
    if (rc < 0)
        return -1;
    if (json_object_set_new(map, key, value) < 0)
        return fail_at(err, key_event->start_mark, "a key that is not UTF-8, or out of memory");
    return 0;
}

static int build_map(json_t *map, yaml_parser_t *parser, int depth, struct err *err)
{
    for (;;) {
        yaml_event_t event;
        int rc;

        if (next(parser, &event, err) < 0)
            return -1;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return 0;
        }
        rc = build_pair(map, parser, &event, depth, err);
        yaml_event_delete(&event);
        if (rc < 0)
            return -1;
    }
}

static int build(json_t **out, yaml_parser_t *parser, const yaml_event_t *event, int depth,
                 struct err *err)
{
    int rc = 0;

    *out = NULL;
    if (refused(event))
        return fail_at(err, event->start_mark, refused(event));
    if (depth >= DEPTH_MAX)
        return fail_at(err, event->start_mark, "nested deeper than 16 levels");
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        *out = scalar(event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        *out = json_array();
        if (*out)
            rc = build_list(*out, parser, depth + 1, err);
        break;
    case YAML_MAPPING_START_EVENT:
        *out = json_object();
        if (*out)
            rc = build_map(*out, parser, depth + 1, err);
        break;
    default:
        return fail_at(err, event->start_mark, "not YAML");
    }
    if (!*out)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (rc < 0) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

/* stream start, document start, one tree, document end, stream end. */
static int build_stream(json_t **out, yaml_parser_t *parser, struct err *err)
{
    bool seen = false;

    for (;;) {
        yaml_event_t event;
        yaml_event_type_t type;
        int rc = 0;

        if (next(parser, &event, err) < 0)
            return -1;
        type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && seen) {
            rc = fail_at(err, event.start_mark, "a second document");
        } else if (type == YAML_ALIAS_EVENT || type == YAML_SCALAR_EVENT ||
                   type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT) {
            rc = build(out, parser, &event, 0, err);
            seen = true;
        }
        yaml_event_delete(&event);
        if (rc < 0)
            return -1;
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    if (!*out)
        *out = json_null();
    return 0;
}

static int parse(json_t **out, const char *text, size_t size, struct err *err)
{
    yaml_parser_t parser;
    int rc;

    *out = NULL;
    if (!yaml_parser_initialize(&parser))
        return err_set(err, ERR_NOMEM, "out of memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    rc = build_stream(out, &parser, err);
    yaml_parser_delete(&parser);
    if (rc < 0 && *out) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int yaml_read(json_t **out, const char *path, struct err *err)
{
    char *data;
    size_t size;
    int rc;

    *out = NULL;
    if (path_read(&data, &size, path, FILE_MAX, err) < 0)
        return -1;
    rc = parse(out, data, size, err);
    free(data);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}

int yaml_parse(json_t **out, const char *text, struct err *err)
{
    return parse(out, text, strlen(text), err);
}

/* --- writing --- */

/* Would a YAML reader take this text for a number, a truth value, a date or nothing? */
static bool is_special(const char *s)
{
    static const char *const words[] = {"true", "false", "yes", "no",  "on", "off",
                                        "null", "y",     "n",   "nan", "inf"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(s, words[i]) == 0)
            return true;
    return isdigit((unsigned char)s[0]) || strchr("+-.", s[0]) != NULL;
}

static bool is_plain(const char *s)
{
    size_t size = strlen(s);

    if (size == 0 || is_special(s) || s[size - 1] == ' ')
        return false;
    if (!isalpha((unsigned char)s[0]) && s[0] != '_' && s[0] != '/')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("_./+- ", s[i]))
            return false;
    return true;
}

/* JSON's numbers, words and quoted strings are YAML's as well, but for what its readers refuse or take
 * for the end of a line (YAML 1.1, 5.1 and 5.4): DEL, C1 controls, U+2028, U+2029, U+FEFF and the two
 * after U+FFFD. */
static void put_json(FILE *file, const char *text)
{
    static const char odd[][2][8] = {
        {"\x7f", "\\u007f"},         {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"},
        {"\xef\xbb\xbf", "\\ufeff"}, {"\xef\xbf\xbe", "\\ufffe"}, {"\xef\xbf\xbf", "\\uffff"},
    };
    const size_t n = sizeof odd / sizeof odd[0];

    while (*text) {
        size_t i = 0;

        while (i < n && strncmp(text, odd[i][0], strlen(odd[i][0])) != 0)
            i++;
        if (i < n) {
            fputs(odd[i][1], file);
            text += strlen(odd[i][0]);
        } else if ((unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0) {
            fprintf(file, "\\u00%02x", (unsigned char)text[1]);
            text += 2;
        } else {
            fputc(*text++, file);
        }
    }
}

static void put_scalar(FILE *file, const json_t *value)
{
    char *text;

    if (json_is_string(value) && is_plain(json_string_value(value))) {
        fputs(json_string_value(value), file);
        return;
    }
    text = json_text(value, 0);
    if (text)
        put_json(file, text);
    free(text);
}

static bool is_flat(const json_t *value)
{
    size_t n = json_array_size(value);

    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(value, i);

        if (json_is_object(item) || json_is_array(item))
            return false;
    }
    return true;
}

/* What is written on one line: a scalar, a list of scalars, an empty map. */
static bool is_simple(const json_t *value)
{
    return json_is_object(value) ? json_object_size(value) == 0 : is_flat(value);
}

static void put_simple(FILE *file, const json_t *value)
{
    size_t n = json_array_size(value);

    if (json_is_object(value)) {
        fputs("{}\n", file);
    } else if (json_is_array(value)) {
        fputc('[', file);
        for (size_t i = 0; i < n; i++) {
            if (i > 0)
                fputs(", ", file);
            put_scalar(file, json_array_get(value, i));
        }
        fputs("]\n", file);
    } else {
        put_scalar(file, value);
        fputc('\n', file);
    }
}

static void put_list(FILE *file, const json_t *list, int indent);

/* AFTER_DASH: the first key follows "- " on the same line. */
static void put_map(FILE *file, const json_t *map, int indent, bool after_dash)
{
    bool first = after_dash;
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)(uintptr_t)map, key, item)
    {
        json_t *name = json_string(key);

        if (!first)
            fprintf(file, "%*s", indent, "");
        first = false;
        if (name)
            put_scalar(file, name);
        json_decref(name);
        fputs(is_simple(item) ? ": " : ":\n", file);
        if (is_simple(item))
            put_simple(file, item);
        else if (json_is_array(item))
            put_list(file, item, indent + 2);
        else
            put_map(file, item, indent + 2, false);
    }
}

static void put_list(FILE *file, const json_t *list, int indent)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        fprintf(file, "%*s", indent, "");
        if (is_simple(item)) {
            fputs("- ", file);
            put_simple(file, item);
        } else if (json_is_array(item)) {
            fputs("-\n", file);
            put_list(file, item, indent + 2);
        } else {
            fputs("- ", file);
            put_map(file, item, indent + 2, true);
        }
    }
}

int yaml_write(FILE *file, const json_t *tree, struct err *err)
{
    errno = 0;
    if (is_simple(tree))
        put_simple(file, tree);
    else if (json_is_array(tree))
        put_list(file, tree, 0);
    else
        put_map(file, tree, 0, false);
    if (ferror(file) || fflush(file) != 0)
        return err_errno(err, "cannot write YAML");
    return 0;
}
