/* leaks.c - counts errors over the pictures that do not leak. SPDX-License-Identifier: MIT */
#include "run/leaks.h"

#include <math.h>
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
    *out = leaking
               ? fields_json(leaks_fields, &(struct leaks_record){.error_rate = (double)errors /
                                                                                (kept ? kept : 1),
                                                                  .pictures = kept,
                                                                  .leaking = leaking})
               : NULL;
    json_decref(leaking);
    return *out ? 0 : err_set(err, ERR_NOMEM, "pictures without duplicates");
}

bool leaks_are(const struct leaks_record *w)
{
    return !isnan(w->error_rate);
}

void leaks_text(char *out, size_t size, const struct leaks_record *w)
{
    snprintf(out, size, "%.4f on the %lld that have no duplicate in training", w->error_rate,
             (long long)w->pictures);
}
