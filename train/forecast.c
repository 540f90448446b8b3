/* forecast.c - costs of recipes times their repeats; what so many seeds can tell apart.
 * SPDX-License-Identifier: MIT */
#include "forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "learn/useful.h"
#include "run/repeats.h"
#include "run/study.h"
#include "summary.h"

enum { MEASURED_MOST = 8 };

struct cost {
    double seconds, bytes; /* of a run */
    uint32_t n_valid;      /* pictures that it validates on */
};

/* RUN's words but those that repeat its recipe, as text. NULL: out of memory. */
static char *recipe_of(const json_t *run)
{
    const struct study_run r = study_run_of(run);
    const json_t *words = r.words, *word;
    json_t *rest = json_array();
    char *text;
    size_t i;

    json_array_append_new(rest, json_string(r.experiment));
    json_array_foreach(words, i, word)
    {
        char key[64];

        snprintf(key, sizeof key, "%.*s", (int)strcspn(json_string_value(word), "="),
                 json_string_value(word));
        if (!experiment_is_repeat(key))
            json_array_append(rest, (json_t *)(uintptr_t)word);
    }
    text = json_text(rest, 0);
    json_decref(rest);
    return text;
}

/* The first run of each recipe. Owned by the caller; NULL: out of memory. */
static json_t *first_runs(const json_t *runs)
{
    json_t *seen = json_object(), *first = json_array();
    const json_t *run;
    size_t i;

    json_array_foreach(runs, i, run)
    {
        char *recipe = recipe_of(run);

        if (recipe && !json_object_get(seen, recipe)) {
            json_object_set_new(seen, recipe, json_true());
            json_array_append(first, (json_t *)(uintptr_t)run);
        }
        free(recipe);
    }
    json_decref(seen);
    return first;
}

/* Bytes of a finished run: weights of the last and the best epoch, Adam's two moments, and predictions as HDF5 and CSV
 * with the pages that show them. */
static double run_bytes(const struct session *s)
{
    const double rows = s->split->n_valid;
    double weights = 0, trained = 0;

    for (int i = 0; i < s->network->n_params; i++) {
        weights += (double)s->network->params[i].n;
        trained += s->network->params[i].trained ? (double)s->network->params[i].n : 0;
    }
    return 4 * (2 * weights + 2 * trained) + rows * (4.0 * s->network->classes + 200) + 2e5;
}

static int measure(struct cost *c, const json_t *run, const struct worker *w, struct err *err)
{
    const struct study_run r = study_run_of(run);
    const json_t *list = r.words;
    char **words = calloc(json_array_size(list) + 1, sizeof *words);
    struct experiment *e = NULL;
    struct session *s = NULL;
    int rc = -1;

    if (!words)
        return err_set(err, ERR_NOMEM, "study");
    for (size_t i = 0; i < json_array_size(list); i++)
        words[i] = (char *)(uintptr_t)json_string_value(json_array_get(list, i));
    if (useful_read(&e, r.experiment, words, (int)json_array_size(list), err) == 0 &&
        session_open(&s, e, w->data, w->results, err) == 0) {
        c->n_valid = s->split->n_valid;
        c->bytes = run_bytes(s);
        rc = summary_seconds(&c->seconds, s, w->data, w->results, err);
    }
    session_close(s);
    free(words);
    return rc;
}

static void print_detectable(FILE *out, int seeds, size_t recipes, uint32_t n_valid)
{
    const double alpha = recipes > 1 ? 0.05 / (double)(recipes - 1) : 0.05;
    const int needed = sign_flip_needed(alpha);
    const double factor = sign_flip_detectable(seeds, alpha);
    const double sd = sqrt(0.05 / (n_valid > 0 ? n_valid : 1));

    if (recipes < 2) {
        fprintf(out, "differences  none to test: one recipe; %d repeat%s of it\n", seeds,
                PLURAL(seeds));
        return;
    }
    fprintf(out, "differences  %zu recipe%s against the first, by sign flips over %d seed%s",
            recipes - 1, recipes == 2 ? "" : "s, each", seeds, PLURAL(seeds));
    if (isinf(factor)) {
        fprintf(out, ":\n             none can be shown. p cannot fall below %.4g; ",
                seeds > 0 ? sign_flip_least(seeds) : 1);
        if (needed)
            fprintf(out, "at least %d seeds are needed%s\n", needed,
                    recipes > 2 ? " for so many tests (Holm)" : "");
        else
            fputs("there are too many recipes for one study\n", out);
        return;
    }
    fprintf(out,
            ":\n             found in 4 of 5 such studies from %.2f standard deviations of the "
            "difference between\n             two runs of one seed; where such runs disagree "
            "on 5 %% of %u pictures, that is at least\n             %.4f in error rate\n",
            factor, n_valid, factor * sd);
}

static void print_totals(FILE *out, size_t n, const struct cost *mean, size_t recipes)
{
    char one[32], all[32];

    clock_duration(mean->seconds, one, sizeof one);
    clock_duration(mean->seconds * (double)n, all, sizeof all);
    fprintf(out, "runs         %zu: %zu recipe%s, each %zu time%s\n", n, recipes, PLURAL(recipes),
            n / recipes, PLURAL(n / recipes));
    fprintf(out, "time         about %s a run, %s in all by one process\n", one, all);
    fprintf(out, "disk         about %.0f MB a run, %.1f GB in all\n", mean->bytes / 1e6,
            mean->bytes * (double)n / 1e9);
}

int forecast_print(FILE *out, const struct worker *w, struct err *err)
{
    struct cost mean = {0};
    json_t *plan, *first = NULL;
    struct study_record study;
    size_t recipes, measured, folds, n;
    char name[256];
    int rc = -1;

    if (worker_plan(&plan, name, w, err) < 0)
        return -1;
    fields_read(study_fields, STUDY_VERSION, &study, plan, NULL);
    n = json_array_size(study.runs);
    first = first_runs(study.runs);
    recipes = json_array_size(first);
    if (recipes == 0) {
        err_set(err, ERR_INPUT, "the study has no run");
        goto out;
    }
    measured = recipes < MEASURED_MOST ? recipes : MEASURED_MOST;
    for (size_t i = 0; i < measured; i++) {
        const json_t *run = json_array_get(first, i * recipes / measured);
        struct cost c;
        char text[32];

        if (measure(&c, run, w, err) < 0) {
            err_wrap(err, "run %s", study_run_of(run).name);
            goto out;
        }
        clock_duration(c.seconds, text, sizeof text);
        fprintf(out, "%-12s %s (%u pictures to validate)\n", text, study_run_of(run).name,
                c.n_valid);
        mean.seconds += c.seconds / (double)measured;
        mean.bytes += c.bytes / (double)measured;
        mean.n_valid = c.n_valid;
    }
    if (measured < recipes)
        fprintf(out, "(of %zu recipes, %zu were measured)\n", recipes, measured);
    fprintf(out, "\nstudy        %s\n", name);
    print_totals(out, n, &mean, recipes);
    folds = study.folds == FIELD_NO_INT ? 0 : (size_t)study.folds;
    n = n / recipes / (folds > 0 ? folds : 1);
    if (folds > 0) /* the folds of a seed together are one score of all pictures */
        mean.n_valid *= (uint32_t)folds;
    print_detectable(out, (int)n, recipes, mean.n_valid);
    rc = 0;
out:
    json_decref(first);
    json_decref(plan);
    return rc;
}
