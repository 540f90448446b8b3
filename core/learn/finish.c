/* finish.c - a finished run's results, all of them functions of its weights and metrics.
 * SPDX-License-Identifier: MIT */
#include "learn/finish.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "draw/plot.h"
#include "draw/report.h"
#include "experiment/cams.h"
#include "experiment/checkpoint.h"
#include "experiment/momentum.h"
#include "nn/weights.h"
#include "run/leaks.h"
#include "run/predictions.h"

/* For TensorBoard. */
static int write_picture(struct run *run, uint64_t step, const char *title, const uint32_t *counts,
                         const struct predictions *p, struct err *err)
{
    struct plot_png png;
    struct err why;
    int rc;

    if (plot_confusion_png(&png, title, counts, p->vocab, p->classes, &why) < 0) {
        if (why.kind != ERR_INPUT)
            return err_set(err, why.kind, "%s", why.msg);
        log_info("TensorBoard gets no picture of the confusion matrix: %s", why.msg);
        return 0;
    }
    rc = run_image(run, "confusion_matrix", step, png.bytes, png.size, png.width, png.height, err);
    free(png.bytes);
    return rc;
}

static int write_confusion(struct run *run, const char *folder, uint64_t step, const char *title,
                           const struct predictions *p, struct err *err)
{
    uint32_t *counts = NULL;
    char path[PATH_LEN];
    int rc = -1;

    if (path_format(path, err, "%s/plots/confusion.svg", folder) == 0 &&
        confusion_count(&counts, p, err) == 0 &&
        plot_confusion(path, title, counts, p->vocab, p->classes, err) == 0)
        rc = write_picture(run, step, title, counts, p, err);
    free(counts);
    return rc;
}

static int write_predictions(const struct session *s, struct run *run, const char *folder,
                             uint64_t step, const struct verdict *v, struct err *err)
{
    uint32_t n = s->split->n_valid;
    int classes = s->network->classes, rc = -1;
    struct predictions *p;
    char split[PATH_LEN], title[PATH_LEN + 300];

    if (predictions_new(&p, n, classes, err) < 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        p->ids[i] = strdup(shard_set_picture(s->shards, s->split->valid[i])->path);
        if (!p->ids[i])
            goto nomem;
    }
    for (int c = 0; c < classes; c++) {
        p->vocab[c] = strdup(shard_set_label(s->shards, c));
        if (!p->vocab[c])
            goto nomem;
    }
    memcpy(p->actual, v->labels, n * sizeof *p->actual);
    memcpy(p->predicted, v->predicted, n * sizeof *p->predicted);
    memcpy(p->prob, v->prob, (size_t)n * (size_t)classes * sizeof *p->prob);
    memcpy(p->loss, v->loss, n * sizeof *p->loss);
    if (predictions_write(p, folder, err) < 0)
        goto out;
    split_text(split, sizeof split, &s->e->data);
    snprintf(title, sizeof title, "Confusion matrix, validation pictures of %s, %s", s->e->data.set,
             split);
    rc = write_confusion(run, folder, step, title, p, err);
    goto out;
nomem:
    err_set(err, ERR_NOMEM, "predictions");
out:
    predictions_free(p);
    return rc;
}

/* And history.csv. */
static int write_plots(const char *folder, const struct curve *c, struct err *err)
{
    struct plot_options loss = {.title = "Loss",
                                .x_label = "epochs trained",
                                .whole_x = true,
                                .y_label = "cross-entropy, nat",
                                .calm = true};
    struct plot_options lr = {
        .title = "Learning rate", .x_label = "epochs trained", .whole_x = true, .y_label = "rate"};
    struct plot_series series[2];
    struct field_lines epochs;
    char path[PATH_LEN];
    double *x = NULL;
    int n, points = (int)c->n, rc = -1;

    if (epochs_read(&epochs, folder, err) < 0 || epochs_write_csv(&epochs, folder, err) < 0)
        goto out;
    x = calloc(2 * epochs.n + 1, sizeof *x);
    if (!x) {
        err_set(err, ERR_NOMEM, "%s/metrics.jsonl", folder);
        goto out;
    }
    n = epochs_curve(x, x + epochs.n, &epochs, "valid_loss");
    series[0] = (struct plot_series){"train", c->x, c->train_loss, points, false};
    series[1] = (struct plot_series){"valid", x, x + epochs.n, n, true};
    if (path_format(path, err, "%s/plots/loss.svg", folder) < 0 ||
        plot_lines(path, &loss, series, 2, err) < 0)
        goto out;
    series[0] = (struct plot_series){"head", c->x, c->lr, points, false};
    series[1] = (struct plot_series){"first layers", c->x, c->lr_first, points, false};
    if (path_format(path, err, "%s/plots/lr.svg", folder) < 0)
        goto out;
    rc = plot_lines(path, &lr, series, 2, err);
out:
    fields_free_lines(&epochs);
    free(x);
    return rc;
}

/* The path of validation picture I where it has a duplicate in training. */
static const char *leak(const void *ctx, uint32_t i)
{
    const struct session *s = ctx;
    const uint32_t rank = s->split->valid[i];

    return s->split->leaks[rank] ? shard_set_picture(s->shards, rank)->path : NULL;
}

/* Scores by all processes; written by the one that has RUN. */
static int write_metrics(struct session *s, const struct run *run, const char *folder,
                         const struct state *st, const json_t *clean, struct err *err)
{
    char path[PATH_LEN];
    json_t *out = json_pack("{s:O?, s:O?, s:O?, s:O*}", "final",
                            s->e->train.watch.finish == FINISH_BEST ? st->best : st->last, "best",
                            st->best, "last", st->last, "without_leaks", clean);
    int rc = -1;

    if (!out)
        return err_set(err, ERR_NOMEM, "metrics.json");
    if (s->e->score_train) {
        struct verdict v = {0};
        struct score score;
        int scored =
            loop_score(s, s->split->train, s->split->n_train, "Training pictures", &v, err);

        score = v.score;
        verdict_free(&v);
        if (scored < 0)
            goto out;
        if (json_object_set_new(
                out, "train",
                fields_json(train_record_fields,
                            &(struct train_record){score.loss, score.error_rate, score.accuracy,
                                                   s->split->n_train})) < 0) {
            err_set(err, ERR_NOMEM, "metrics.json");
            goto out;
        }
    }
    if (!run)
        rc = 0;
    else if (path_format(path, err, "%s/metrics.json", folder) == 0)
        rc = json_write(path, out, err);
out:
    json_decref(out);
    return rc;
}

/* Puts the weights that the run ends with into the network's place: the averages where there are some, or the
 * best epoch's. */
static int put_final_weights(struct session *s, const char *folder, const struct state *st,
                             struct verdict *v, struct err *err)
{
    json_t *json;
    int rc;

    if (s->e->train.watch.finish == FINISH_LAST || st->at.best_epoch + 1 == (int64_t)st->at.epoch)
        return weights_swap_averages(&s->device, s->network, err);
    if (checkpoint_state(&json, folder, "best", err) < 0)
        return -1;
    rc = checkpoint_load(folder, "best", json, &s->device, s->network, false, NULL, err);
    json_decref(json);
    v->fresh = false;
    if (rc == 0)
        log_info("the run ends with the weights of its best epoch, %d, at %d px",
                 (int)st->at.best_epoch, s->phases[st->at.best_phase].valid_size);
    return rc;
}

int finish_phase(const struct session *s, const struct state *st)
{
    return s->e->train.watch.finish == FINISH_BEST ? st->at.best_phase : s->n_phases - 1;
}

/* Class activation maps of the page, by the network as it is; where they cannot be had, the page is without them. What
 * the training took is released first, so that this never needs more memory. */
static void open_maps(struct cams_source *maps, struct trained *t, struct session *s,
                      const struct state *st)
{
    struct err why;

    if (session_ranks(s) > 1) { /* the network is run by all processes together, and this is one */
        log_info("the report has no class activation maps after a training by several processes; "
                 "`eval --report` adds them");
        return;
    }
    *t = (struct trained){.experiment = s->e,
                          .network = s->network,
                          .device = s->device,
                          .classes = s->network->classes,
                          .size = s->phases[finish_phase(s, st)].valid_size};
    session_release(s);
    if (cams_new(&maps->cams, t, &why) < 0)
        log_info("the report has no class activation maps: %s", why.msg);
}

static int write_report(struct session *s, const char *folder, const struct state *st,
                        struct err *err)
{
    struct cams_source maps = {.shards = s->shards};
    json_t *momentum = experiment_momentum(s->e);
    struct report_sources from = {.shards = s->shards, .momentum = momentum, .cam_of = &maps};
    struct trained t;
    int rc;

    open_maps(&maps, &t, s, st);
    if (maps.cams)
        from.cam = cams_for_report;
    rc = report_write(folder, &from, err);
    cams_close(maps.cams);
    json_decref(momentum);
    return rc;
}

int finish_run(struct session *s, struct run *run, const char *folder, const struct state *st,
               struct verdict *v, struct err *err)
{
    char split[PATH_LEN], text[96];
    struct leaks_record leaks;
    json_t *clean;
    int rc;

    /* The best epoch may have had another size; a run resumed after its last has no program yet. */
    if (session_phase(s, finish_phase(s, st), err) < 0 ||
        put_final_weights(s, folder, st, v, err) < 0)
        return -1;
    if (!v->fresh && loop_score(s, s->split->valid, s->split->n_valid, "Validation", v, err) < 0)
        return -1;
    if (run && (write_predictions(s, run, folder, st->step, v, err) < 0 ||
                write_plots(folder, &st->curve, err) < 0))
        return -1;
    if (leaks_find(&clean, s->split->n_valid, v->labels, v->predicted, leak, s, err) < 0)
        return -1;
    rc = write_metrics(s, run, folder, st, clean, err);
    if (rc < 0 || !run) {
        json_decref(clean);
        return rc;
    }
    split_text(split, sizeof split, &s->e->data);
    log_info("error rate %.4f on the %u validation pictures of %s, %s", v->score.error_rate,
             s->split->n_valid, s->e->data.set, split);
    if (clean) {
        fields_read(leaks_fields, 0, &leaks, clean, NULL);
        leaks_text(text, sizeof text, &leaks);
        log_info("error rate %s", text);
    }
    json_decref(clean);
    return write_report(s, folder, st, err);
}
