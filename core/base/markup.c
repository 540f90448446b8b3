/* markup.c - escaping, UTF-8 checked as RFC 3629 defines it, base64.
 * SPDX-License-Identifier: MIT */
#include "base/markup.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Bytes of the character that TEXT begins with, 0 when XML 1.0 (section 2.2) does not allow it. */
static size_t character(const unsigned char *text)
{
    uint32_t c = text[0];
    size_t n;

    if (c < 0x80)
        return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' ? 1 : 0;
    n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    c &= 0xffu >> (n + 1);
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80) /* a 0 ends the loop, too */
            return 0;
        c = c << 6 | (text[i] & 0x3fu);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff)
        return 0;
    if ((c >= 0xd800 && c <= 0xdfff) || c == 0xfffe || c == 0xffff)
        return 0;
    return n;
}

void markup_text(FILE *out, const char *text)
{
    for (size_t n; text && *text; text += n ? n : 1) {
        n = character((const unsigned char *)text);
        if (n == 0) {
            fputs(replacement, out);
            continue;
        }
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fwrite(text, 1, n, out);
        }
    }
}

void markup_clean(char *out, size_t size, const char *text)
{
    size_t used = 0;

    for (size_t n, put, skip; *text; text += skip) {
        skip = text_control(text);
        n = skip ? 0 : character((const unsigned char *)text);
        skip = skip ? skip : n ? n : 1;
        put = n ? n : strlen(replacement);
        if (used + put >= size)
            break;
        memcpy(out + used, n ? text : replacement, put);
        used += put;
    }
    out[used] = 0;
}

size_t markup_length(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void markup_csv_as_it_is(FILE *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* What a spreadsheet takes for a formula; numbers are not formulas. */
static bool is_formula(const char *text)
{
    char *end;

    if (!*text || !strchr("=+-@\t\r", *text))
        return false;
    (void)strtod(text, &end);
    return end == text || *end;
}

void markup_csv(FILE *out, const char *text)
{
    char *safe = NULL;

    if (is_formula(text) && asprintf(&safe, "'%s", text) >= 0)
        text = safe;
    markup_csv_as_it_is(out, text);
    free(safe);
}

void markup_address(FILE *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
            strchr("-._~", *c))
            fputc(*c, out);
        else
            fprintf(out, "%%%02X", *c);
    }
}

void markup_base64(FILE *out, const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);

        fputc(digits[three >> 18], out);
        fputc(digits[three >> 12 & 63], out);
        fputc(left > 1 ? digits[three >> 6 & 63] : '=', out);
        fputc(left > 2 ? digits[three & 63] : '=', out);
    }
}
