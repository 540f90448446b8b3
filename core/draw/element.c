/* element.c - HTML of small things. SPDX-License-Identifier: MIT */
#include "draw/element.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/markup.h"

enum { NAME_MAX_BYTES = 256, NAME_SHOWN = 100 };

json_t *element_string(const char *text)
{
    const size_t room = 3 * strlen(text) + 1; /* U+FFFD is three bytes, of one */
    char *clean = malloc(room);
    json_t *out = NULL;

    if (clean) {
        markup_clean(clean, room, text);
        out = json_string(clean);
    }
    free(clean);
    return out;
}

json_t *element_base64(const void *data, size_t size)
{
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    json_t *value = NULL;

    if (memory) {
        markup_base64(memory, data, size);
        if (fclose(memory) == 0)
            value = json_stringn_nocheck(text, length);
    }
    free(text);
    return value;
}

void element_name(FILE *out, const char *text)
{
    char begun[NAME_SHOWN + 1];

    if (!text || strlen(text) <= NAME_SHOWN) {
        markup_text(out, text);
        return;
    }
    markup_clean(begun, sizeof begun, text);
    fputs("<span title=\"", out);
    markup_text(out, text);
    fputs("\">", out);
    markup_text(out, begun);
    fputs("\xe2\x80\xa6</span>", out);
}

void element_th(FILE *out, const char *text, int number)
{
    fputs(number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">", out);
    element_name(out, text);
    fputs("</th>", out);
}

void element_td(FILE *out, const char *text)
{
    fputs("<td>", out);
    element_name(out, text);
    fputs("</td>", out);
}

void element_td_number(FILE *out, double value, int decimals)
{
    fprintf(out, "<td class=\"n\">%.*f</td>", decimals, value);
}

void element_td_range(FILE *out, double value, double low, double high, double most,
                      const double *each, int n)
{
    const double width = 200 / (most > 0 ? most : 1), left = 6;
    const double end = left + fmin(high * width, 205); /* an interval may reach beyond the scale */

    fputs("<td><svg class=\"range\" viewBox=\"0 0 212 16\" width=\"212\" height=\"16\" "
          "aria-hidden=\"true\"><line x1=\"6\" x2=\"206\" y1=\"8\" y2=\"8\" stroke=\"#e6e6e6\"/>",
          out);
    if (low <= high)
        fprintf(out,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"8\" y2=\"8\" stroke=\"#0072b2\" "
                "stroke-width=\"2\"/>",
                left + fmax(low * width, 0), end);
    for (int i = 0; i < n; i++)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"8\" r=\"3.5\" fill=\"none\" stroke=\"#d55e00\"/>",
                left + each[i] * width);
    fprintf(out, "<circle cx=\"%.1f\" cy=\"8\" r=\"5\" fill=\"#0072b2\"/></svg></td>",
            left + value * width);
}

void element_value(FILE *out, const json_t *value)
{
    char *text;

    if (json_is_string(value)) {
        markup_text(out, json_string_value(value));
        return;
    }
    if (json_is_array(value) && json_is_string(json_array_get(value, 0))) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            fputs(i ? " " : "", out);
            markup_text(out, json_string_value(json_array_get(value, i)));
        }
        return;
    }
    if (!value || json_is_null(value))
        return;
    text = json_text(value, 0);
    markup_text(out, text);
    free(text);
}

void element_badge(FILE *out, const char *status)
{
    fprintf(out, "<span class=\"badge %s\">%s</span>",
            strcmp(status, "done") == 0                                    ? "good"
            : strcmp(status, "running") == 0 || strcmp(status, "due") == 0 ? status
                                                                           : "bad",
            status);
}

void element_row(FILE *out, const char *name, const json_t *value)
{
    fputs("<tr><th scope=\"row\">", out);
    markup_text(out, name);
    fputs("</th><td class=\"long\">", out);
    element_value(out, value);
    fputs("</td></tr>\n", out);
}

void element_rows(FILE *out, const char *prefix, const json_t *value)
{
    char name[NAME_MAX_BYTES];
    const char *key;
    json_t *member;

    if (!json_is_object(value) || strlen(prefix) > NAME_MAX_BYTES - 60) {
        element_row(out, prefix, value);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] ? "." : "", key);
        element_rows(out, name, member);
    }
}
