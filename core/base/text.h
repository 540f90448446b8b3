/* text.h - names that come from outside.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_TEXT_H
#define PRESIZE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The ending of a counted noun, as in "%u file%s". */
#define PLURAL(n) ((n) == 1 ? "" : "s")

/* What in TEXT a name must not have, as words that follow "it has": "bytes that are not UTF-8", "a control
 * character"; NULL: nothing. */
const char *text_fault(const char *text);

/* Bytes of the character that TEXT begins with when a terminal would obey it or it turns other text around: C0, DEL,
 * C1 (a lone byte of it, too), line separators, bidirectional marks, embeddings and isolates; 0: no such character. */
size_t text_control(const char *text);
/* TEXT on FILE, bytes of control characters as \xNN: one line stays one line. */
void text_put(FILE *file, const char *text);

/* TEXT as printable ASCII and UTF-8 for messages, odd bytes as \xNN, at most SIZE - 1 bytes; SIZE >= 4. */
void text_quote(char *out, int size, const char *text);

/* TEXT as one word of a shell's command line: as it is, or in single quotes where it has other bytes than letters,
 * digits and _./:=,@%+-. Ends early where OUT, of SIZE bytes, is too small; SIZE >= 4. */
void text_shell(char *out, size_t size, const char *text);

/* TEXT in a form that is the same for texts which differ only in case, in Unicode form (composed or not) or in
 * characters that nobody sees (zero-width blanks, joiners, bidi marks); with BLANKS also in white space, of which a run
 * counts as one and at the ends as none. Bytes that are not UTF-8 stay. Released with free(); NULL: out of memory. */
char *text_fold(const char *text, bool blanks);

/* Bytes of the UTF-8 character that TEXT begins with; 0: invalid UTF-8. */
int text_character(const char *text);
/* Bytes of white space that TEXT begins with, no-break and wide blanks included. */
size_t text_blanks(const char *text);
void text_cut_blanks(char *text); /* cuts white space off the end of TEXT */
bool text_ends_in(const char *text, const char *end);

#endif
