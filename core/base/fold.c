/* fold.c - a stream that folds its lines. SPDX-License-Identifier: MIT */
#include "base/fold.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { NARROWEST = 40, WIDEST = 10000, LABEL = 16, INDENT = 2 };

int fold_columns(FILE *out)
{
    const char *given = getenv("COLUMNS");
    struct winsize window = {0};
    long n = given ? strtol(given, NULL, 10) : 0;

    if (n <= 0 && ioctl(fileno(out), TIOCGWINSZ, &window) == 0)
        n = window.ws_col;
    if (n <= 0 || n > WIDEST)
        return 0;
    return n < NARROWEST ? NARROWEST : (int)n;
}

struct fold {
    FILE *out;
    int columns;
    char *line; /* the one that is not complete yet */
    size_t n, room;
};

/* Characters of the N bytes of TEXT. */
static int width_of(const char *text, size_t n)
{
    int width = 0;

    for (size_t i = 0; i < n; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

/* Where the second column begins, in bytes, behind two blanks and within the first LABEL characters; else INDENT. */
static int indent_of(const char *line, size_t n)
{
    size_t at = 0;

    while (at < n && line[at] == ' ')
        at++;
    while (at + 1 < n && at < LABEL && !(line[at] == ' ' && line[at + 1] == ' '))
        at++;
    if (at + 1 >= n || at >= LABEL)
        return INDENT;
    while (at < n && line[at] == ' ')
        at++;
    return at <= LABEL ? (int)at : INDENT;
}

/* Bytes of TEXT that fit into COLUMNS, up to a blank; a word that is longer stays whole. */
static size_t piece(const char *text, size_t n, int columns)
{
    size_t end = 0, at = 0;

    while (at < n) {
        size_t word = at;

        while (word < n && text[word] == ' ')
            word++;
        while (word < n && text[word] != ' ')
            word++;
        if (end > 0 && width_of(text, word) > columns)
            break;
        at = end = word;
    }
    return end;
}

static void put_line(const struct fold *f)
{
    const int indent = indent_of(f->line, f->n);
    const char *rest = f->line;
    size_t left = f->n;
    int columns = f->columns;

    while (left > 0) {
        size_t n = piece(rest, left, columns);

        fwrite(rest, 1, n, f->out);
        rest += n;
        left -= n;
        while (left > 0 && *rest == ' ') {
            rest++;
            left--;
        }
        if (left > 0)
            fprintf(f->out, "\n%*s", indent, "");
        columns = f->columns - indent;
    }
    fputc('\n', f->out);
}

static ssize_t take(void *cookie, const char *text, size_t n)
{
    struct fold *f = cookie;

    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            put_line(f);
            f->n = 0;
            continue;
        }
        if (f->n == f->room) {
            size_t room = f->room ? 2 * f->room : 256;
            char *more = realloc(f->line, room);

            if (!more)
                return -1;
            f->line = more;
            f->room = room;
        }
        f->line[f->n++] = text[i];
    }
    return (ssize_t)n;
}

static int finish(void *cookie)
{
    struct fold *f = cookie;

    if (f->n > 0)
        fwrite(f->line, 1, f->n, f->out);
    free(f->line);
    free(f);
    return 0;
}

FILE *fold_begin(FILE *out)
{
    const int columns = fold_columns(out);
    struct fold *f = columns > 0 ? calloc(1, sizeof *f) : NULL;
    FILE *folded;

    if (!f)
        return out;
    *f = (struct fold){.out = out, .columns = columns};
    folded = fopencookie(f, "w", (cookie_io_functions_t){.write = take, .close = finish});
    if (!folded) {
        free(f);
        return out;
    }
    setvbuf(folded, NULL, _IOLBF, 1 << 12);
    return folded;
}

void fold_end(FILE *folded, FILE *out)
{
    if (folded != out)
        fclose(folded);
}
