/* summary.c - what --summary and --plan print.
 * SPDX-License-Identifier: MIT */
#include "summary.h"

#include <stdlib.h>
#include <string.h>

#include "backend/op_traits.h"
#include "base/clock.h"
#include "base/text.h"
#include "data/stream.h"
#include "data/weighting.h"
#include "learn/fit.h"
#include "nn/network.h"

enum { PLAN_STEPS = 2, COLUMNS = 80 };

static double mib(size_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

static void print_memory(FILE *out, const char *what, const struct be_memory *m)
{
    fprintf(out,
            "%s: %.0f MiB\n  (activations %.0f, gradients %.0f, workspace %.0f, weights %.0f, "
            "optimiser %.0f)\n",
            what, mib(m->total), mib(m->activations), mib(m->gradients), mib(m->workspace),
            mib(m->parameters), mib(m->optimiser));
}

static void print_loss(FILE *out, const struct loss_options *o, int classes)
{
    fprintf(out,
            "loss        cross-entropy on the raw outputs (= log_softmax, then negative log "
            "likelihood):\n            chosen because a picture has one label out of %d classes\n",
            classes);
    if (o->smoothing > 0)
        fprintf(out, "            labels smoothed: %g of each spread over all classes\n",
                o->smoothing);
    if (o->focal > 0)
        fprintf(out, "            focal: each picture's weighs (1 - p)^%g\n", o->focal);
    if (weighting_is_on(o->class_weights))
        fprintf(out, "            classes weighted: %s\n", o->class_weights);
}

static void print_parts(FILE *out, const struct session *s)
{
    const struct experiment *e = s->e;
    size_t trained = 0;

    for (int i = 0; i < s->network->n_params; i++) {
        if (s->network->params[i].trained)
            trained += s->network->params[i].n;
    }
    remarks_print(&s->split->remarks);
    fprintf(out, "experiment  %s%s%s\n", e->name, e->title[0] ? ": " : "", e->title);
    fprintf(out,
            "pictures    %s (%s): %u to train, %u to validate, %u to test, presized to %d px\n",
            e->data.set, s->shards_folder, s->split->n_train, s->split->n_valid, s->split->n_test,
            shard_set_size(s->shards));
    fprintf(out, "model       %s, weights %s, %zu parameters\n", arch_name(e->model.arch),
            e->model.weights, trained);
    print_loss(out, &e->train.loss, s->network->classes);
    fprintf(out, "device      %s: %s, %s, %s, %d thread%s, %s\n", s->device.kind->name,
            s->device.info.device, s->device.info.isa, s->device.info.library,
            s->device.info.threads, PLURAL(s->device.info.threads), dtype_name(s->dtype));
    if (s->precision_note)
        fprintf(out, "            %s\n", s->precision_note);
    fprintf(out, "phases      ");
    for (int i = 0; i < s->n_phases; i++) {
        const struct run_phase *p = &s->phases[i];
        char pictures[32];

        fprintf(out, "%s%s: %d epoch%s of %u step%s of %s pictures at %d px, rates %g %g %g%s",
                i ? "            " : "", p->name, p->epochs, PLURAL(p->epochs), session_steps(s, i),
                PLURAL(session_steps(s, i)), session_step_text(s, i, pictures), p->size, p->lr[0],
                p->lr[1], p->lr[2], p->freeze_to ? " (body frozen)" : "");
        if (p->valid_size != p->size)
            fprintf(out, ", validation at %d px", p->valid_size);
        fputc('\n', out);
    }
}

static int print_batch(FILE *out, const struct session *s, struct err *err)
{
    const struct run_phase *p = &s->phases[0];
    const struct picture *pictures;
    const uint32_t *ranks;
    struct stream_options o;
    struct stream *stream;
    int n, more, at, low = 255, high = 0;

    session_stream_options(&o, s, 0, 0);
    if (stream_open(&stream, s->shards, &o, err) < 0)
        return -1;
    more = stream_next(stream, &pictures, &ranks, &n, err);
    if (more != 1) {
        stream_close(stream);
        return more < 0 ? -1 : err_set(err, ERR_INPUT, "the training set has no whole batch");
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < pictures[i].height * pictures[i].width * 3; k++) {
            low = pictures[i].pixels[k] < low ? pictures[i].pixels[k] : low;
            high = pictures[i].pixels[k] > high ? pictures[i].pixels[k] : high;
        }
    fprintf(out,
            "\nfirst batch: pictures (%d, 3, %d, %d), sampled from presized pixels in %d..%d\n", n,
            p->size, p->size, low, high);
    at = fprintf(out, "labels (%d) in 0..%d:", n, s->network->classes - 1);
    for (int i = 0; i < n; i++) {
        if (at + 5 > COLUMNS)
            at = fprintf(out, "\n ") - 1;
        at += fprintf(out, " %d", pictures[i].label);
    }
    fputs("\n\n", out);
    for (int i = 0; i < n && i < 4; i++)
        fprintf(out, "  %-40s %4d x %-4d %2d %s\n", shard_set_picture(s->shards, ranks[i])->path,
                pictures[i].width, pictures[i].height, pictures[i].label,
                shard_set_label(s->shards, pictures[i].label));
    fputc('\n', out);
    stream_close(stream);
    return 0;
}

/* --- the network by stages --- */

enum { STAGE_STEM, STAGE_LAYER1, STAGE_HEAD = 5, STAGE_BACKWARD, STAGE_OPTIMISER, N_STAGES };

struct stage {
    int ops, output; /* output: a tensor; 0: none */
    size_t parameters, trained;
};

/* Of a tensor or parameter of the forward pass, by its name. */
static int stage_of(const char *name)
{
    if (strncmp(name, "layer", 5) == 0 && name[5] >= '1' && name[5] <= '4')
        return STAGE_LAYER1 + name[5] - '1';
    return strncmp(name, "conv1.", 6) == 0 || strncmp(name, "bn1.", 4) == 0 ||
                   strncmp(name, "maxpool", 7) == 0 || strcmp(name, "x") == 0
               ? STAGE_STEM
               : STAGE_HEAD;
}

static void count_stages(struct stage stages[N_STAGES], const struct session *s)
{
    const struct op_list *l = s->list;

    memset(stages, 0, N_STAGES * sizeof *stages);
    for (int i = 0; i < l->n_ops; i++) {
        const struct op *o = &l->ops[i];
        const int written = o->out[0];
        const bool forward = op_traits[o->kind].pass == PASS_FORWARD;
        int stage = op_is_optimiser(o->kind) ? STAGE_OPTIMISER : STAGE_BACKWARD;

        if (forward && written)
            stage = stage_of(l->tensors[written].name);
        stages[stage].ops++;
        if (forward && l->tensors[written].role == TENSOR_ACT)
            stages[stage].output = written;
    }
    for (int i = 0; i < s->network->n_params; i++) {
        const struct param *p = &s->network->params[i];
        struct stage *stage = &stages[stage_of(p->name)];

        stage->parameters += p->trained ? p->n : 0;
        stage->trained += param_is_trained(p, s->phases[0].freeze_to) ? p->n : 0;
    }
}

static void print_stages(FILE *out, const struct session *s)
{
    static const char *const names[N_STAGES] = {"stem",          "layer1",   "layer2",
                                                "layer3",        "layer4",   "head and loss",
                                                "backward pass", "optimiser"};
    struct stage stages[N_STAGES], all = {0};

    count_stages(stages, s);
    fprintf(out, "%-14s %5s  %-20s %12s %12s\n", "stage", "ops", "output", "parameters", "trained");
    for (int i = 0; i < N_STAGES; i++) {
        const struct stage *g = &stages[i];
        const int *d = g->output ? s->list->tensors[g->output].dims : NULL;
        char shape[64] = "";

        if (i < STAGE_HEAD && g->ops == 0) /* this ResNet has fewer layers */
            continue;
        if (d)
            snprintf(shape, sizeof shape, "%dx%dx%dx%d", d[0], d[1], d[2], d[3]);
        fprintf(out, "%-14s %5d  %-20s", names[i], g->ops, shape);
        if (i <= STAGE_HEAD)
            fprintf(out, " %12zu %12zu", g->parameters, g->trained);
        fputc('\n', out);
        all.ops += g->ops;
        all.parameters += g->parameters;
        all.trained += g->trained;
    }
    fprintf(out, "%-14s %5d  %-20s %12zu %12zu\n", "in all", all.ops, "", all.parameters,
            all.trained);
}

int summary_print(FILE *out, struct session *s, bool ops, struct err *err)
{
    struct be_memory m;

    print_parts(out, s);
    if (print_batch(out, s, err) < 0)
        return -1;
    if (session_phase(s, 0, err) < 0)
        return -1;
    if (ops)
        op_list_print(out, s->list);
    else
        print_stages(out, s);
    fputc('\n', out);
    s->device.kind->memory(s->program, &m);
    print_memory(out, "a training step needs", &m);
    infer_memory(s->infer, &m);
    print_memory(out, "inference needs", &m);
    return 0;
}

/* Seconds of one training step and of one validation picture in the prepared phase. */
static int measure(struct session *s, int phase, double *step_s, double *picture_s, struct err *err)
{
    const struct run_phase *p = &s->phases[phase];
    struct stream *stream;
    struct step step = {.seed = (uint64_t)s->e->seed};
    const uint32_t *ranks;
    double start = 0, loss;
    int rc = -1;
    uint32_t n = (uint32_t)infer_batch(&s->e->exec, &s->device.info);
    float *prob;

    *step_s = *picture_s = 0;
    if (n > s->split->n_valid)
        n = s->split->n_valid;
    if (session_stream(&stream, s, phase, 0, 0, err) < 0)
        return -1;
    prob = calloc((size_t)n * (size_t)s->network->classes, sizeof *prob);
    if (!prob) {
        err_set(err, ERR_NOMEM, "plan");
        goto out;
    }
    if (stream_next(stream, &step.pictures, &ranks, &step.n_pictures, err) < 0)
        goto out;
    for (int i = 0; i <= PLAN_STEPS; i++) { /* the first one warms up */
        if (i == 1)
            start = clock_seconds();
        recipe_step(&step, p, &s->e->optim, (uint64_t)i, 1000);
        step.adam_step = (uint32_t)i + 1;
        step.mixes = stream_mixes(stream);
        if (session_run(s, &step, &loss, err) < 0)
            goto out;
    }
    *step_s = (clock_seconds() - start) / PLAN_STEPS * (double)s->e->train.accumulate;
    start = clock_seconds();
    if (infer_ranks(s->infer, s->shards, s->split->valid, n, false, prob, NULL, err) < 0)
        goto out;
    *picture_s = (clock_seconds() - start) / n;
    rc = 0;
out:
    free(prob);
    stream_close(stream);
    return rc;
}

/* Phase I made ready and measured: seconds of a step, and of an epoch with its validation. */
static int measure_phase(struct session *s, int i, double *step, double *epoch, const char *data,
                         const char *results, struct err *err)
{
    double picture;

    if (session_phase(s, i, err) < 0 || (i == 0 && session_weights(s, data, results, err) < 0) ||
        measure(s, i, step, &picture, err) < 0)
        return -1;
    *epoch = *step * session_steps(s, i) + picture * s->split->n_valid;
    return 0;
}

int summary_seconds(double *seconds, struct session *s, const char *data, const char *results,
                    struct err *err)
{
    double step, epoch;

    *seconds = 0;
    if (fit_check(s, NULL, err) < 0)
        return -1;
    for (int i = 0; i < s->n_phases; i++) {
        if (measure_phase(s, i, &step, &epoch, data, results, err) < 0)
            return -1;
        *seconds += epoch * s->phases[i].epochs;
    }
    return 0;
}

/* What one of RANKS machines computes of a step that takes STEP_S here: its share, and the whole optimiser. */
static struct link_compute compute_of(const struct session *s, int ranks, double step_s)
{
    double seconds[OP_KINDS], of[PASS_OPTIMISER + 1] = {0}, all;

    s->device.kind->profile(s->program, seconds);
    for (int k = 0; k < OP_KINDS; k++)
        of[op_traits[k].pass] += seconds[k];
    all = of[PASS_FORWARD] + of[PASS_BACKWARD] + of[PASS_OPTIMISER];
    if (!(all > 0))
        all = 1;
    return (struct link_compute){
        .all_s = step_s * ((1 - of[PASS_OPTIMISER] / all) / ranks + of[PASS_OPTIMISER] / all),
        .backward_s = step_s * of[PASS_BACKWARD] / all / ranks,
        .threads = s->device.info.threads > 0 ? s->device.info.threads : 1,
        .parts = (int)s->e->train.accumulate};
}

/* What RANKS processes, one on each machine, would exchange in a step of the prepared PHASE that takes STEP_S here. */
static void print_traffic(FILE *out, const struct session *s, int phase,
                          const struct summary_ranks *r, double step_s)
{
    const int batch = s->phases[phase].batch, micro = s->list->microbatch, ranks = r->ranks;
    struct link_compute c;
    struct link_times times;
    struct be_traffic t;

    if (!session_traffic(s, phase, ranks, &t)) {
        fprintf(out, "  %d processes cannot share %d microbatches of %d pictures alike", ranks,
                batch / micro, micro);
        if (batch % ranks == 0)
            fprintf(out, "; exec.microbatch=%d would serve and changes the bits of the result",
                    network_microbatch(batch / ranks));
        fprintf(out, "\n");
        return;
    }
    c = compute_of(s, ranks, step_s);
    link_times(&times, &r->link, &t, &c);
    fprintf(out,
            "  %d processes, one on each machine: %d exchanges a step, %.2f MB sent by each;\n"
            "  over links of %.10g us and %g Gbit/s (--link) a step takes %.3f s:\n"
            "  %.3f s computing on machines like this, %.3f s moving the gradients' bytes,\n"
            "  %.3f s waiting for %d exchanges of sums, and %.3f s for what the backward pass\n"
            "  (%.3f s) leaves of the gradients' %.3f s\n",
            ranks, t.exchanges, (double)t.bytes / 1e6, 1e6 * r->link.latency_s,
            r->link.bytes_per_s * 8 / 1e9, times.step_s, c.all_s, times.moving_s, times.sums_s,
            t.exchanges - t.exchanges_beside, times.left_s, c.backward_s, times.gradients_s);
}

int summary_plan(FILE *out, struct session *s, const struct summary_ranks *ranks, const char *data,
                 const char *results, struct err *err)
{
    double total = 0;
    char text[32];
    size_t needed;

    print_parts(out, s);
    if (fit_check(s, &needed, err) < 0)
        return -1;
    fprintf(out, "memory      %.0f MiB needed, %.0f MiB available\n", mib(needed),
            mib(fit_available(s)));
    fprintf(out,
            "measured    in each phase %d training steps after one to warm up, and one batch of\n"
            "            validation pictures, on this machine as busy as it is now; nothing is "
            "kept\n\n",
            PLAN_STEPS);
    for (int i = 0; i < s->n_phases; i++) {
        const struct run_phase *p = &s->phases[i];
        struct be_memory m;
        double step, epoch;

        if (measure_phase(s, i, &step, &epoch, data, results, err) < 0)
            return -1;
        s->device.kind->memory(s->program, &m);
        print_memory(out, p->name, &m);
        total += epoch * p->epochs;
        clock_duration(epoch, text, sizeof text);
        fprintf(out, "  %.3f s a step (%.1f images/s), %s an epoch, %d epoch%s\n", step,
                p->batch * (double)s->e->train.accumulate / step, text, p->epochs,
                PLURAL(p->epochs));
        if (ranks->ranks > 1)
            print_traffic(out, s, i, ranks, step);
    }
    clock_duration(total, text, sizeof text);
    fprintf(out, "about %s in all\n", text);
    if (s->device.info.slow[0])
        fprintf(out, "slow: %s\n", s->device.info.slow);
    if (s->device.info.hint[0] && s->dtype == DTYPE_BF16)
        fprintf(out, "hint: %s\n", s->device.info.hint);
    return 0;
}
