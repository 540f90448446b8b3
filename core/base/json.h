/* json.h - jansson with our errors: files read bounded, written whole, keys in a fixed order.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_JSON_H
#define PRESIZE_BASE_JSON_H

#include <jansson.h>

#include "base/err.h"
#include "base/hash.h"

/* Reads a JSON file of at most 256 MiB. ERR_IO, ERR_FORMAT (with line and column). */
int json_read(json_t **out, const char *path, struct err *err) MUST_USE;

/* VALUE as text, keys in insertion order, reals as the shortest text that reads back equal; INDENT
 * spaces a level, 0 for one line. Owned by the caller, released with free(); NULL: out of memory. */
char *json_text(const json_t *value, int indent);

/* Writes REAL, finite, as that shortest text, always with a point or an exponent: "0.1", "3.0". */
enum { JSON_REAL_TEXT = 40 };
void json_real_text(double real, char out[JSON_REAL_TEXT]);

/* Replaces PATH by VALUE, keys in insertion order, 2 spaces, newline at the end; whole or not at all. */
int json_write(const char *path, const json_t *value, struct err *err) MUST_USE;

/* Appends one compact line to FILE and flushes it to the disk (fsync). */
int json_append_line(FILE *file, const json_t *value, struct err *err) MUST_USE;

/* Typed access; ERR_FORMAT names the key when it is missing or of another type. Results borrowed. */
int json_get_string(const json_t *obj, const char *key, const char **out, struct err *err) MUST_USE;
int json_get_int(const json_t *obj, const char *key, json_int_t *out, struct err *err) MUST_USE;
int json_get_array(const json_t *obj, const char *key, json_t **out, struct err *err) MUST_USE;

/* Members of nested objects, B NULL: of OBJECT itself; NULL or the fallback where missing. Borrowed. */
const json_t *json_at(const json_t *object, const char *a, const char *b);
const char *json_text_at(const json_t *object, const char *a, const char *b, const char *fallback);

/* SHA-256 of OBJECT's members but MEMBER, as json_text(..., 0): what a record says of itself. ERR_NOMEM. */
int json_sha256_without(char hex[SHA256_HEX], const json_t *object, const char *member,
                        struct err *err) MUST_USE;

#endif
