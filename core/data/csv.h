/* csv.h - two or three columns of a table with a header, looked up by the first.
 *
 * Tables as people have them: UTF-8 with or without its mark, lines ending in LF, CRLF or CR, fields parted by comma,
 * semicolon, tab or |, quoted or not, with blanks around them. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_CSV_H
#define PRESIZE_DATA_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Names of columns, the preferred one first: "path|file|image". Case and blanks around do not count. */
#define CSV_PATH_COLUMNS                                                                           \
    "path|file|filename|file_name|filepath|file_path|image|image_path|image_name|img|image_id|id|" \
    "fname|name"
#define CSV_LABEL_COLUMNS "label|class|category|breed|labels|target|species|class_name|label_name"
#define CSV_SPLIT_COLUMNS "split|part|set|subset|is_valid"
#define CSV_ACTION_COLUMNS "action|do|mark|decision" /* keep, drop, relabel */
#define CSV_NEW_LABEL_COLUMNS "label|new_label|class|category"

struct csv_columns {
    const char *key, *value; /* alternatives as above */
    bool paths; /* keys are paths: "./", and \ for /, as Windows writes them, are put right */
    const char *extra; /* a third column, which the table may lack; NULL: none */
    bool repeats;      /* a key may come twice */
};

struct csv_row {
    const char *key, *value; /* owned by the table */
    const char *extra;       /* "" where there is none */
    uint32_t line;           /* in the file, from 1 */
    bool trimmed;            /* the value had blanks at its ends */
    bool used;               /* the caller's */
};

struct csv {
    struct csv_row *rows; /* sorted bytewise by key, no key twice (with repeats: those by line) */
    size_t n;
    char *text;              /* the file, cut up in place */
    char key[64], value[64]; /* the columns that were found, as the table calls them */
    char separator;          /* of the columns: , ; tab or | */
    char other[64];          /* a further column that would do for value; "": none */
};

/* Reads the columns (others are ignored); at most 1 GiB. ERR_IO; ERR_FORMAT names file, line and what is wrong: a
 * column that is missing or there twice, a quote not closed, a row that is too short or too long, a key that comes
 * twice, another encoding. Release with csv_free(). */
int csv_read(struct csv *out, const char *path, const struct csv_columns *columns,
             struct err *err) MUST_USE;
void csv_free(struct csv *c); /* all zero is fine */

struct csv_row *csv_find(const struct csv *c, const char *key); /* NULL: not there */
/* The row of a picture: that with its path, else that with its path without the ending (.jpg). */
struct csv_row *csv_find_picture(const struct csv *c, const char *path);

#endif
