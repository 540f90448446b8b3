/* history.c - the lines of metrics.jsonl, one epoch after the other through the recipe.
 * SPDX-License-Identifier: MIT */
#include "experiment/history.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"

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

static int get_number(double *out, const json_t *line, const char *name, struct err *err)
{
    const json_t *number = json_object_get(line, name);

    if (!json_is_number(number))
        return err_set(err, ERR_FORMAT, "%s is no number", name);
    *out = json_number_value(number);
    return 0;
}

static int add_line(struct history *h, const struct history_recipe *recipe, json_t *line,
                    struct err *err)
{
    json_int_t epoch, steps;
    const char *phase;
    double loss, error_rate, value = 0;
    bool best;

    if (json_get_int(line, "epoch", &epoch, err) < 0 ||
        json_get_string(line, "phase", &phase, err) < 0 ||
        json_get_int(line, "steps", &steps, err) < 0 ||
        get_number(&loss, line, "valid_loss", err) < 0 ||
        get_number(&error_rate, line, "error_rate", err) < 0 ||
        get_number(&value, line, monitor_rows[recipe->watch->monitor].key, err) < 0)
        return -1;
    if (h->at.phase >= recipe->n_phases)
        return err_set(err, ERR_FORMAT, "an epoch more than the recipe has");
    if (epoch != h->at.epoch)
        return err_set(err, ERR_FORMAT, "epoch %" JSON_INTEGER_FORMAT ", expected %" PRIu32, epoch,
                       h->at.epoch);
    if (strcmp(phase, recipe->phases[h->at.phase].name) != 0)
        return err_set(err, ERR_FORMAT, "phase %.40s, expected %s", phase,
                       recipe->phases[h->at.phase].name);
    if (recipe->steps)
        add_steps(h, &recipe->phases[h->at.phase], recipe->steps[h->at.phase]);
    if (recipe->steps && (uint64_t)steps != h->step)
        return err_set(err, ERR_FORMAT, "%" JSON_INTEGER_FORMAT " steps, expected %" PRIu64, steps,
                       h->step);
    place_epoch(&h->at, &best, recipe->phases, recipe->watch, value);
    json_decref(h->last);
    h->last = json_incref(line);
    if (best) {
        json_decref(h->best);
        h->best = json_incref(line);
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
