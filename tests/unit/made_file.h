/* made_file.h - picture files made byte by byte, for the tests of what reads them.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_MADE_FILE_H
#define PRESIZE_TESTS_MADE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MOST = 1 << 16 };

struct out { /* a file being made */
    uint8_t bytes[MOST];
    size_t n;
};

static inline void put(struct out *o, uint64_t v, int bytes, bool big)
{
    for (int i = 0; i < bytes; i++)
        o->bytes[o->n++] = (uint8_t)(v >> 8 * (big ? bytes - 1 - i : i));
}

static inline void put_text(struct out *o, const char *text)
{
    memcpy(o->bytes + o->n, text, strlen(text));
    o->n += strlen(text);
}

#endif
