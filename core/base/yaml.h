/* yaml.h - YAML in and out of JSON trees, through libyaml.
 *
 * Only what experiments and data sets need: maps, sequences, scalars; no anchors, tags or aliases
 * (an error with the line). Every scalar becomes a JSON string as written ("0.1", "true"), null or
 * empty becomes JSON null: keys decide the type (key.h). Duplicate keys are an error.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_YAML_H
#define PRESIZE_BASE_YAML_H

#include <jansson.h>
#include <stdio.h>

#include "base/err.h"

/* At most 1 MiB, depth 16. ERR_IO, ERR_FORMAT "line 3, column 5: ...". *out owned by the caller. */
int yaml_read(json_t **out, const char *path, struct err *err) MUST_USE;
int yaml_parse(json_t **out, const char *text, struct err *err) MUST_USE; /* 0-terminated */

/* Block style, keys in insertion order, lists of scalars in flow style [a, b], strings quoted where
 * YAML would read them as something else. ERR_IO, ERR_FULL. */
int yaml_write(FILE *file, const json_t *tree, struct err *err) MUST_USE;

#endif
