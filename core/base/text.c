/* text.c - UTF-8, byte by byte. SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

/* Length of the well-formed UTF-8 sequence at S (RFC 3629: no surrogates, nothing overlong); 0 when
 * S does not begin with such a sequence. */
static int utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        return (s[1] & 0xC0) == 0x80 ? 2 : 0;
    if ((s[0] & 0xF0) == 0xE0) {
        if ((s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80)
            return 0;
        if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F))
            return 0;
        return 3;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        if ((s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80 || (s[3] & 0xC0) != 0x80)
            return 0;
        if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

static bool is_control(const unsigned char *s) /* C0, DEL, C1 */
{
    return *s < 0x20 || *s == 0x7F || (s[0] == 0xC2 && s[1] < 0xA0);
}

size_t text_control(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    const int length = utf8_length(s);

    if (length == 0)
        return *s >= 0x80 && *s < 0xA0;
    if (*s && is_control(s))
        return (size_t)length;
    if (s[0] == 0xD8 && s[1] == 0x9C) /* U+061C */
        return 2;
    if (s[0] == 0xE2 && s[1] == 0x80 && /* U+200E, U+200F, U+2028 to U+202E */
        (s[2] == 0x8E || s[2] == 0x8F || (s[2] >= 0xA8 && s[2] <= 0xAE)))
        return 3;
    return s[0] == 0xE2 && s[1] == 0x81 && s[2] >= 0xA6 && s[2] <= 0xA9 ? 3 : 0; /* U+2066 ... */
}

void text_put(FILE *file, const char *text)
{
    while (*text) {
        const size_t n = text_control(text);
        const int whole = text_character(text);
        const size_t shown = n > 0 ? 0 : whole > 0 ? (size_t)whole : 1;

        fwrite(text, 1, shown, file);
        for (size_t i = 0; i < n; i++)
            fprintf(file, "\\x%02X", (unsigned char)text[i]);
        text += shown + n;
    }
}

void text_quote(char *out, int size, const char *text)
{
    int n = 0;

    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int length = utf8_length(s);
        bool plain = length > 0 && text_control((const char *)s) == 0;

        if (n + (plain ? length : 4) + 4 > size) { /* "..." still fits */
            memcpy(out + n, "...", 4);
            return;
        }
        if (plain) {
            memcpy(out + n, s, (size_t)length);
            n += length;
            s += length;
        } else {
            n += snprintf(out + n, (size_t)(size - n), "\\x%02X", *s++);
        }
    }
    out[n] = '\0';
}

const char *text_fault(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int length = utf8_length(s);

        if (length == 0)
            return "bytes that are not UTF-8";
        if (is_control(s))
            return "a control character";
        s += length;
    }
    return NULL;
}

static bool is_blank(const unsigned char *s, int *length)
{
    static const char *const wide[] = {"\xC2\xA0",     "\xE2\x80\x82", "\xE2\x80\x83",
                                       "\xE2\x80\x89", "\xE2\x80\xAF", "\xE3\x80\x80"};

    *length = 1;
    if (*s == ' ' || (*s >= '\t' && *s <= '\r'))
        return true;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (strncmp((const char *)s, wide[i], strlen(wide[i])) == 0) {
            *length = (int)strlen(wide[i]);
            return true;
        }
    return false;
}

static void squeeze_blanks(char *text)
{
    char *to = text;
    bool due = false;

    for (char *p = text; *p;) {
        int length;

        if (is_blank((const unsigned char *)p, &length)) {
            due = to > text;
            p += length;
            continue;
        }
        if (due)
            *to++ = ' ';
        due = false;
        *to++ = *p++;
    }
    *to = '\0';
}

void text_shell(char *out, size_t size, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=,@%+-";
    const bool quote = !*text || text[strspn(text, plain)];
    size_t n = 0;

    if (quote)
        out[n++] = '\'';
    for (; *text && n + 6 < size; text++) {
        const char *put = *text == '\'' ? "'\\''" : (char[]){*text, '\0'};

        n += (size_t)snprintf(out + n, size - n, "%s", put);
    }
    if (quote)
        out[n++] = '\'';
    out[n] = '\0';
}

char *text_fold(const char *text, bool blanks)
{
    char *out = strdup(text);
    utf8proc_uint8_t *folded = NULL;
    bool plain = true;

    if (!out)
        return NULL;
    for (char *p = out; *p; p++) {
        plain = plain && (unsigned char)*p < 0x80;
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    }
    if (!plain && utf8proc_map((const utf8proc_uint8_t *)text, 0, &folded,
                               UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE |
                                   UTF8PROC_CASEFOLD | UTF8PROC_IGNORE) >= 0) {
        free(out);
        out = (char *)folded;
    }
    if (blanks)
        squeeze_blanks(out);
    return out;
}

size_t text_blanks(const char *text)
{
    size_t n = 0;
    int length;

    while (is_blank((const unsigned char *)text + n, &length))
        n += (size_t)length;
    return n;
}

void text_cut_blanks(char *text)
{
    char *end = text;
    int length;

    for (char *p = text; *p;) {
        if (is_blank((const unsigned char *)p, &length)) {
            p += length;
        } else {
            end = ++p;
        }
    }
    *end = '\0';
}

int text_character(const char *text)
{
    return utf8_length((const unsigned char *)text);
}

bool text_ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}
