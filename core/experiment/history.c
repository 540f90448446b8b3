/* history.c - the lines of metrics.jsonl, one epoch after the other through the recipe.
 * SPDX-License-Identifier: MIT */
#include "experiment/history.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "run/epoch.h"

/* The first step of a phase finds its counters cleared. */
static void add_steps(struct history *h, const struct run_phase *p, uint64_t steps)
{
    if (h->at.phase_epoch == 0) {
        h->smooth_count = 0;
        if (p->clears)
            h->adam_step = 0;
    }
    h->step += steps;
    h->adam_step += steps;
    h->smooth_count += steps;
}

void history_steps(struct history *h, const struct history_recipe *recipe, uint32_t steps)
{
    BUG_IF(steps > 0 && h->at.phase >= recipe->n_phases);
    if (steps > 0)
        add_steps(h, &recipe->phases[h->at.phase], steps);
}

static int add_line(struct history *h, const struct history_recipe *recipe, json_t *json,
                    struct err *err)
{
    const enum monitor monitor = (enum monitor)recipe->watch->monitor;
    struct epoch_line line;
    bool best;

    if (fields_read(epoch_fields, 0, &line, json, err) < 0)
        return -1;
    if (isnan(line.metric[monitor]))
        return err_set(err, ERR_FORMAT, "\"%s\" is missing", monitor_rows[monitor].key);
    if (h->at.phase >= recipe->n_phases)
        return err_set(err, ERR_FORMAT, "an epoch more than the recipe has");
    if (line.epoch != h->at.epoch)
        return err_set(err, ERR_FORMAT, "epoch %" PRId64 ", expected %" PRIu32, line.epoch,
                       h->at.epoch);
    if (strcmp(line.phase, recipe->phases[h->at.phase].name) != 0)
        return err_set(err, ERR_FORMAT, "phase %.40s, expected %s", line.phase,
                       recipe->phases[h->at.phase].name);
    if (recipe->steps)
        add_steps(h, &recipe->phases[h->at.phase], recipe->steps[h->at.phase]);
    if (recipe->steps && (uint64_t)line.steps != h->step)
        return err_set(err, ERR_FORMAT, "%" PRId64 " steps, expected %" PRIu64, line.steps,
                       h->step);
    place_epoch(&h->at, &best, recipe->phases, recipe->watch, line.metric[monitor]);
    json_decref(h->last);
    h->last = json_incref(json);
    if (best) {
        json_decref(h->best);
        h->best = json_incref(json);
    }
    return 0;
}

int history_read(struct history *h, const struct history_recipe *recipe, const char *text,
                 size_t size, const char *path, struct err *err)
{
    int number = 0;

    *h = (struct history){0};
    place_begin(&h->at);
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - (text + at)) : size - at;
        json_t *line = json_loadb(text + at, length, JSON_REJECT_DUPLICATES, NULL);
        int rc;

        number++;
        if (!end || !line)
            rc = err_set(err, ERR_FORMAT, end ? "no JSON" : "it ends inside a line");
        else
            rc = add_line(h, recipe, line, err);
        if (rc == 0)
            fields_warn_unknown(epoch_fields, line, path, NULL);
        json_decref(line);
        if (rc < 0)
            return err_wrap(err, "%s: line %d", path, number);
        at += length + 1;
    }
    return 0;
}

void history_free(struct history *h)
{
    json_decref(h->best);
    json_decref(h->last);
    h->best = h->last = NULL;
}
