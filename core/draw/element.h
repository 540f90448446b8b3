/* element.h - the small pieces that pages are made of.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_ELEMENT_H
#define PRESIZE_DRAW_ELEMENT_H

#include <jansson.h>
#include <stdio.h>

/* TEXT as a JSON string; what is not UTF-8 becomes U+FFFD. NULL: out of memory. */
json_t *element_string(const char *text);

/* SIZE bytes in base64, as a JSON string; NULL: out of memory. */
json_t *element_base64(const void *data, size_t size);

/* TEXT, escaped; of a very long one the beginning, with all of it as a title. */
void element_name(FILE *out, const char *text);
/* <th> and <td> with such a text; NUMBER: the column has numbers. */
void element_th(FILE *out, const char *text, int number);
void element_td(FILE *out, const char *text);
void element_td_number(FILE *out, double value, int decimals);
/* <td> with a drawing: a dot at VALUE, a line from LOW to HIGH (none where LOW > HIGH or one is NAN), N small rings at
 * EACH, on a scale from 0 to MOST. What it shows must be beside it in numbers. */
void element_td_range(FILE *out, double value, double low, double high, double most,
                      const double *each, int n);
/* A value as a person would write it: text bare, lists of texts with blanks between, the rest as JSON. */
void element_value(FILE *out, const json_t *value);
/* A run's status in its colour. */
void element_badge(FILE *out, const char *status);
/* <tr> of a name and a value. */
void element_row(FILE *out, const char *name, const json_t *value);
/* A row for each member, "a.b" for nested objects; a row of PREFIX itself where VALUE is not an object. */
void element_rows(FILE *out, const char *prefix, const json_t *value);

#endif
