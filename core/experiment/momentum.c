/* momentum.c - samples the recipe's schedule. SPDX-License-Identifier: MIT */
#include "experiment/momentum.h"

enum { POINTS = 600, MOST_AN_EPOCH = 40 };

json_t *experiment_momentum(const struct experiment *e)
{
    struct run_phase phases[2 * KEY_LIST_MAX];
    json_t *out = json_array();
    int n, epochs = 0, each, begun = 0;

    if (!out || recipe_expand(phases, &n, &e->train, &e->optim, NULL) < 0) {
        json_decref(out);
        return NULL;
    }
    for (int p = 0; p < n; p++)
        epochs += phases[p].epochs;
    each = POINTS / epochs < 1               ? 1
           : POINTS / epochs > MOST_AN_EPOCH ? MOST_AN_EPOCH
                                             : POINTS / epochs;
    for (int p = 0; p < n; begun += phases[p].epochs, p++)
        for (int k = 0; k < each * phases[p].epochs; k++) {
            struct step step = {0};

            recipe_step(&step, &phases[p], &e->optim, (uint64_t)k,
                        (uint64_t)(each * phases[p].epochs));
            if (json_array_append_new(
                    out, json_pack("[f, f]", begun + (double)k / each, step.mom)) < 0) {
                json_decref(out);
                return NULL;
            }
        }
    return out;
}
