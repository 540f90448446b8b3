/* out.c - a stream of its own in stdout's place, which writes to the same descriptor.
 * SPDX-License-Identifier: MIT */
#include "cli/out.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { BLOCK = 4096, CHARACTER = 4 };

static struct {
    char part[CHARACTER]; /* of a character whose rest is still to come */
    size_t n;
} held;

static bool put_all(const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t n = write(STDOUT_FILENO, bytes, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* Bytes of TEXT's first character that are there, where more of them must follow; else 0. */
static size_t begun(const char *text, size_t size)
{
    const unsigned char c = (unsigned char)*text;
    const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;

    if (c > 0xF4 || size >= length)
        return 0;
    for (size_t i = 1; i < size; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            return 0;
    return size;
}

/* TEXT ends with a 0. What is left of a last character is held back unless this is the END. */
static bool put_clean(const char *text, size_t size, bool end)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t plain = 0;

    for (size_t at = 0; at < size;) {
        const size_t part = end ? 0 : begun(text + at, size - at);
        const size_t n = text[at] == '\n' || text[at] == '\t' ? 0
                         : text[at]                           ? text_control(text + at)
                                                              : 1;

        if (part > 0) {
            memcpy(held.part, text + at, part);
            held.n = part;
            return put_all(text + plain, at - plain);
        }
        if (n == 0) { /* a whole character: its second byte alone would be one of C1 */
            const int whole = text_character(text + at);

            at += whole > 0 ? (size_t)whole : 1;
            continue;
        }
        at += n;
        if (!put_all(text + plain, at - n - plain) || !put_all(replacement, 3))
            return false;
        plain = at;
    }
    return put_all(text + plain, size - plain);
}

/* As write(2): all of SIZE, or -1 (what stdio takes 0 for). */
static ssize_t write_clean(void *cookie, const char *bytes, size_t size)
{
    char block[CHARACTER + BLOCK + 1];

    (void)cookie;
    for (size_t at = 0; at < size;) {
        const size_t before = held.n, n = size - at < BLOCK ? size - at : BLOCK;

        memcpy(block, held.part, before);
        memcpy(block + before, bytes + at, n);
        block[before + n] = 0;
        held.n = 0;
        if (!put_clean(block, before + n, false))
            return 0;
        at += n;
    }
    return (ssize_t)size;
}

static int close_clean(void *cookie)
{
    char rest[CHARACTER + 1];
    const size_t n = held.n;

    (void)cookie;
    memcpy(rest, held.part, n);
    rest[n] = 0;
    held.n = 0;
    return put_clean(rest, n, true) ? 0 : -1;
}

void out_begin(void)
{
    static const cookie_io_functions_t functions = {.write = write_clean, .close = close_clean};
    FILE *file = fopencookie(NULL, "w", functions);

    if (!file) /* out of memory: the next allocation says it */
        return;
    setvbuf(file, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
    stdout = file;
}
