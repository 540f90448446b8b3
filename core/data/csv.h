/* csv.h - two columns of a comma-separated file with a header, looked up by the first.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_CSV_H
#define PRESIZE_DATA_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct csv_row {
    const char *key, *value; /* owned by the table */
    uint32_t line;           /* in the file, from 1 */
};

struct csv {
    struct csv_row *rows; /* sorted bytewise by key, no key twice */
    size_t n;
    char *text; /* the file, cut up in place */
};

/* Reads the columns named KEY and VALUE (others are ignored). RFC 4180 without line breaks inside
 * fields; at most 1 GiB. ERR_IO; ERR_FORMAT names file, line and what is wrong: a column that is
 * missing, a quote not closed, a row that is too short or too long, a key that comes twice. Release with csv_free(). */
int csv_read(struct csv *out, const char *path, const char *key, const char *value,
             struct err *err) MUST_USE;
void csv_free(struct csv *c); /* all zero is fine */

const struct csv_row *csv_find(const struct csv *c, const char *key); /* NULL: not there */

#endif
