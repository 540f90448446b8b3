/* leaks.c - counts errors over the pictures that do not leak. SPDX-License-Identifier: MIT */
#include "record/leaks.h"

#include <stdio.h>

int leaks_find(json_t **out, uint32_t n, const int32_t *actual, const int32_t *predicted,
               leaks_of *leak, const void *ctx, struct err *err)
{
    json_t *leaking = json_array();
    uint32_t kept = 0, errors = 0;

    *out = NULL;
    for (uint32_t i = 0; leaking && i < n; i++) {
        const char *path = leak(ctx, i);

        if (path) {
            json_array_append_new(leaking, json_string(path));
            continue;
        }
        kept++;
        errors += actual[i] != predicted[i];
    }
    if (leaking && (kept == n || kept == 0)) {
        json_decref(leaking);
        return 0;
    }
    *out = json_pack("{s:f, s:I, s:o}", "error_rate", (double)errors / (kept ? kept : 1),
                     "pictures", (json_int_t)kept, "leaking", leaking);
    return *out ? 0 : err_set(err, ERR_NOMEM, "pictures without duplicates");
}

void leaks_text(char *out, size_t size, const json_t *without)
{
    snprintf(out, size, "%.4f on the %" JSON_INTEGER_FORMAT " that have no duplicate in training",
             json_number_value(json_object_get(without, "error_rate")),
             json_integer_value(json_object_get(without, "pictures")));
}
