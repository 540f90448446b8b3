/* text.h - names that come from outside.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_TEXT_H
#define PRESIZE_BASE_TEXT_H

/* What in TEXT a name must not have, as words that follow "it has": "bytes that are not UTF-8", "a control
 * character"; NULL: nothing. */
const char *text_fault(const char *text);

/* TEXT as printable ASCII and UTF-8 for messages, odd bytes as \xNN, at most SIZE - 1 bytes; SIZE >= 4. */
void text_quote(char *out, int size, const char *text);

#endif
