/* documented.h - a table that a program prints and a document holds. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_DOCUMENTED_H
#define PRESIZE_TESTS_DOCUMENTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/path.h"

/* FILE has TABLE as it is, with no row more below it; PRINTS is what prints all such tables. */
static inline void assert_documented(const char *file, const char *table, const char *prints)
{
    char *docs, *at;
    struct err err;
    size_t size;

    assert_int_equal(path_read(&docs, &size, file, 1 << 20, &err), 0);
    at = strstr(docs, table);
    if (!at || at[strlen(table)] == '|')
        fail_msg("%s lacks this table (all: %s):\n%s", file, prints, table);
    at[strlen("| ")] = '_'; /* the control */
    assert_null(strstr(docs, table));
    free(docs);
}

#endif
