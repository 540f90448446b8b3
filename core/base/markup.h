/* markup.h - text that comes from outside (names of files, labels, messages) into SVG, HTML and CSV.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_MARKUP_H
#define PRESIZE_BASE_MARKUP_H

#include <stddef.h>
#include <stdio.h>

/* TEXT with the five characters that mean something in HTML and XML replaced; bytes that are not
 * UTF-8 and characters that XML forbids become U+FFFD. NULL prints nothing. */
void markup_text(FILE *out, const char *text);
/* The same cleaning without the replacing, and control characters (text.h) become U+FFFD, too: at most SIZE - 1 bytes,
 * cut between characters. */
void markup_clean(char *out, size_t size, const char *text);
/* Characters of TEXT (its bytes that begin one). */
size_t markup_length(const char *text);
/* TEXT as a field of CSV: quoted where a comma, quote or line end is inside (RFC 4180, 2.5 to 2.7). What a spreadsheet
 * would run (it begins with = + - @ and is no number) gets a ' before it. */
void markup_csv(FILE *out, const char *text);
void markup_csv_as_it_is(FILE *out, const char *text); /* without the ' */
/* TEXT as a part of an address: all but letters, digits, - . _ and ~ as %XX (RFC 3986, 2.1). */
void markup_address(FILE *out, const char *text);
/* SIZE bytes as base64 (RFC 4648, section 4), for data: addresses. */
void markup_base64(FILE *out, const void *data, size_t size);

#endif
