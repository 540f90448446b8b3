/* range_test.c - runs the learning-rate range test and writes what it found.
 * SPDX-License-Identifier: MIT */
#include "range_test.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "data/stream.h"
#include "draw/plot.h"
#include "learn/loop.h"
#include "nn/snapshot.h"
#include "nn/weights.h"

/* The training set, pass after pass. */
struct passes {
    struct stream *stream; /* NULL before the first */
    uint32_t epoch;        /* of the next pass */
    uint32_t left;         /* steps of this one */
};

/* Begins the next pass where this one has no whole step left. */
static int continue_passes(struct passes *p, struct session *s, struct err *err)
{
    if (p->left == 0) {
        stream_close(p->stream);
        p->left = session_steps(s, s->phase);
        if (session_stream(&p->stream, s, s->phase, p->epoch++, 0, err) < 0)
            return -1;
    }
    p->left--;
    return 0;
}

static void set_rate(struct step *step, const struct optim_options *o, double lr)
{
    for (size_t g = 0; g < sizeof step->lr / sizeof *step->lr; g++)
        step->lr[g] = lr;
    step->mom = o->mom; /* as it stands: the test has no schedule for it */
    step->sqr_mom = o->sqr_mom;
    step->eps = o->eps;
    step->wd = o->wd;
}

int range_sweep(struct range_test *t, struct session *s, uint32_t epoch, uint32_t adam_step,
                struct err *err)
{
    struct passes passes = {.epoch = epoch};
    struct smooth_loss smooth = {0};
    double best = INFINITY;
    char note[32];
    int rc = -1;

    *t = (struct range_test){0};
    progress_begin("lr_find", LR_FIND_STEPS);
    for (bool left = false; t->n < LR_FIND_STEPS && !left; t->n++) {
        struct step step = {.seed = (uint64_t)s->e->seed};
        int i = t->n;

        t->lr[i] = lr_find_rate(i);
        t->loss[i] = t->smooth[i] = NAN;
        if (i > 0 && isnan(t->smooth[i - 1]))
            continue; /* and so would be every loss from here on */
        if (continue_passes(&passes, s, err) < 0)
            goto out;
        set_rate(&step, &s->e->optim, t->lr[i]);
        step.epoch = passes.epoch - 1;
        step.adam_step = ++adam_step;
        if (session_step(s, passes.stream, &step, &t->loss[i], err) < 0)
            goto out;
        t->ran++;
        t->smooth[i] = smooth_loss_add(&smooth, t->loss[i]);
        left = lr_find_diverged(&best, t->smooth[i]);
        snprintf(note, sizeof note, "%.4f", t->smooth[i]);
        progress_set((uint64_t)i + 1, note);
        if (loop_signal()) {
            err_set(err, ERR_STOPPED, "stopped by %s", loop_signal());
            goto out;
        }
    }
    rc = 0;
out:
    progress_end();
    stream_close(passes.stream);
    return rc;
}

int range_test(struct range_test *t, struct session *s, uint32_t epoch, uint32_t adam_step,
               struct err *err)
{
    struct snapshot *before;
    struct err second = {0};
    int rc;

    if (snapshot_take(&before, &s->device, s->network, err) < 0)
        return -1;
    rc = range_sweep(t, s, epoch, adam_step, err);
    if (snapshot_put(before, &s->device, &second) < 0) {
        if (rc == 0 && err)
            *err = second;
        rc = -1;
    }
    snapshot_free(before);
    return rc;
}

/* --- what it leaves behind -------------------------------------------------------------------- */

static int write_csv(const struct range_test *t, const char *folder, struct err *err)
{
    char path[PATH_LEN];
    struct new_file f;

    if (path_format(path, err, "%s/lr_find.csv", folder) < 0 || new_file_begin(&f, path, err) < 0)
        return -1;
    fputs("step,lr,loss,smoothed_loss\n", f.file);
    for (int i = 0; i < t->ran; i++) {
        char lr[JSON_REAL_TEXT], loss[JSON_REAL_TEXT], smooth[JSON_REAL_TEXT];

        json_real_text(t->lr[i], lr);
        json_real_text(t->loss[i], loss);
        json_real_text(t->smooth[i], smooth);
        fprintf(f.file, "%d,%s,%s,%s\n", i, lr, loss, smooth);
    }
    return new_file_finish(&f, err);
}

/* A dot per point that suggestions were read off, under their names. Returns how many. */
static int make_dots(struct plot_series *dots, char names[][96], const struct lr_suggestion *s)
{
    int n = 0, k;

    for (int i = 0; i < LR_RULES; i++) {
        size_t at;

        for (k = 0; k < n && *dots[k].x != s[i].at;)
            k++;
        if (k == n) {
            dots[n++] = (struct plot_series){names[k], &s[i].at, &s[i].loss, 1, true};
            names[k][0] = 0;
        }
        at = strlen(names[k]);
        snprintf(names[k] + at, 96 - at, "%s%s%s %.1e", at ? ", " : "", lr_rule_names[i],
                 i == LR_MINIMUM ? "/10" : "", s[i].rate);
    }
    return n;
}

/* SUGGESTED NULL: the curve alone. */
static int write_plot(const struct range_test *t, const struct lr_suggestion *suggested,
                      const char *folder, struct err *err)
{
    struct plot_options o = {.title = "Learning-rate range test",
                             .x_label = "learning rate",
                             .y_label = "smoothed cross-entropy, nat",
                             .log_x = true};
    struct plot_series series[1 + LR_RULES] = {
        {"loss", t->lr, t->smooth, t->n > LR_FIND_LAST ? t->n - LR_FIND_LAST : 0, false}};
    char path[PATH_LEN], names[LR_RULES][96];
    int n = 1;

    if (suggested)
        n += make_dots(series + n, names, suggested);
    if (path_format(path, err, "%s/plots/lr_find.svg", folder) < 0)
        return -1;
    return plot_lines(path, &o, series, n, err);
}

static int note_suggestions(struct run *run, const struct range_test *t,
                            const struct lr_suggestion *s, struct err *err)
{
    json_t *rates = json_pack("{s:i}", "steps", t->ran), *note;
    int rc = 0;

    for (int i = 0; i < LR_RULES; i++)
        rc |= json_object_set_new(rates, lr_rule_names[i], json_real(s[i].rate));
    note = json_pack("{s:o}", "lr_find", rates);
    if (rc < 0 || !note)
        rc = err_set(err, ERR_NOMEM, "run.json");
    else
        rc = run_note(run, note, err);
    json_decref(note);
    return rc;
}

static void print_suggestions(const struct lr_suggestion *s)
{
    printf("rule        rate      read off at  loss\n");
    for (int i = 0; i < LR_RULES; i++)
        printf("%-10s  %.2e  %.2e     %.6f\n", lr_rule_names[i], s[i].rate, s[i].at, s[i].loss);
}

int range_run(struct session *s, struct run *run, struct err *err)
{
    struct lr_suggestion suggested[LR_RULES];
    const char *folder = run_folder(run);
    const struct run_phase *p = &s->phases[0];
    struct range_test t;
    struct err none = {0};
    char pictures[32];
    bool found;

    if (session_phase(s, 0, err) < 0 || weights_clear_optimiser(&s->device, s->network, err) < 0)
        return -1;
    log_info("lr_find: %d steps of %s pictures at %d px on the network of phase %s%s, %u step%s a "
             "pass",
             LR_FIND_STEPS, session_step_text(s, 0, pictures), p->size, p->name,
             p->freeze_to ? ", body frozen" : "", session_steps(s, 0), PLURAL(session_steps(s, 0)));
    if (range_test(&t, s, 0, 0, err) < 0)
        return -1;
    found = lr_find_suggest(suggested, t.lr, t.smooth, t.n, &none) == 0;
    if (write_csv(&t, folder, err) < 0 || write_plot(&t, found ? suggested : NULL, folder, err) < 0)
        return -1;
    if (!found) {
        err_set(err, none.kind, "%s. The curve is in %s/lr_find.csv", none.msg, folder);
        return err_append(err,
                          "; the loss %s at rate %g. A trained network does this: its loss is "
                          "low already; take a tenth of the rate where the curve turns up",
                          isnan(t.smooth[t.n - 1]) ? "stopped being a number" : "grew fourfold",
                          t.lr[t.ran - 1]);
    }
    if (t.ran < LR_FIND_STEPS)
        log_info("lr_find: stopped after step %d of %d, at rate %.2e", t.ran, LR_FIND_STEPS,
                 t.lr[t.ran - 1]);
    print_suggestions(suggested);
    return note_suggestions(run, &t, suggested, err);
}
