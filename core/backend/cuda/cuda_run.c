/* cuda_run.c - one step of a prepared list: everything is put on the compute stream, in list order.
 *
 * run() returns when all is enqueued; read() and get() wait. SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cuda/cuda.h"

/* Adds a run's times to the profile, once the run is over. */
static int gather(struct be_program *p, struct timing *t, struct err *err)
{
    const int n = p->list->n_ops;

    if (!t->due)
        return 0;
    t->due = false;
    if (cuda_check(cudaEventSynchronize(t->marks[n]), "an earlier run", err) < 0)
        return -1;
    for (int i = 0; i < n; i++) {
        float ms = 0;

        if (!t->ran[i])
            continue;
        if (cuda_check(cudaEventElapsedTime(&ms, t->marks[i], t->marks[i + 1]), "a time", err) < 0)
            return -1;
        p->seconds[p->ops[i].op->kind] += (double)ms / 1e3;
    }
    return 0;
}

static int mark(struct be_program *p, int i, struct err *err)
{
    return cuda_check(cudaEventRecord(p->timings[p->turn].marks[i], p->be->compute), "an event",
                      err);
}

/* Takes the loss scale out of the gradients once all are there. */
static int unscale(struct be_program *p, struct err *err)
{
    if (!p->scaled || p->step->only || p->n_scaled == 0)
        return 0;
    return cuda_check(cuda_unscale(p->be->compute, (float *)(void *)(p->memory + p->grads),
                                   p->n_scaled, p->be->scale),
                      "the gradients", err);
}

/* The loss scale is reset with the optimiser's state, as fastai makes a GradScaler for each fit. */
static int begin_scale(struct be_program *p, struct err *err)
{
    if (!p->scaled || p->step->only || p->step->adam_step != 1 || p->step->part > 0)
        return 0;
    return cuda_check(cuda_scale_begin(p->be->compute, p->be->scale, CUDA_SCALE_START),
                      "the loss scale", err);
}

/* Counts the changes that the step makes to parameters and state, whoever enqueues it. */
static void count_changes(struct be_program *p)
{
    for (int i = 0; i < p->list->n_ops; i++) {
        const struct cuda_op *o = &p->ops[i];

        for (int k = 0; op_runs(o->op, p->step) && k < OP_MAX_IN; k++)
            if (op_traits[o->op->kind].in[k].changed && o->param[k])
                o->param[k]->version++;
    }
}

int ops_run(struct be_program *p, bool timed, struct err *err)
{
    struct timing *t = &p->timings[p->turn];
    bool unscaled = false;

    for (int i = 0; i < p->list->n_ops; i++) {
        const struct cuda_op *o = &p->ops[i];
        const bool runs = o->run && op_runs(o->op, p->step);

        if (!unscaled && op_is_optimiser(o->op->kind)) {
            unscaled = true;
            if (ranks_wait(p, err) < 0 || unscale(p, err) < 0)
                return -1;
        }
        t->ran[i] = runs;
        if ((timed && mark(p, i, err) < 0) || (runs && o->run(p, o, err) < 0) ||
            ranks_reduce(p, i, err) < 0 ||
            (p->be->wait && cuda_check(cudaStreamSynchronize(p->be->compute), "run", err) < 0))
            return err_wrap(err, "op %d %s", i, op_kind_name(o->op->kind));
    }
    if (!unscaled && (ranks_wait(p, err) < 0 || unscale(p, err) < 0))
        return -1;
    if (p->scaled && !p->step->only && step_is_last(p->step) &&
        cuda_check(cuda_scale_update(p->be->compute, p->be->scale, p->device_step),
                   "the loss scale", err) < 0)
        return -1;
    t->due = timed && mark(p, p->list->n_ops, err) == 0;
    return timed && !t->due ? -1 : 0;
}

int cuda_run(struct be_program *p, const struct step *step, struct err *err)
{
    struct slot *slot;
    int rc;

    BUG_IF(step->n_pictures < 0 || step->n_pictures > p->list->batch);
    p->step = step;
    rc = gather(p, &p->timings[p->turn], err);
    if (rc == 0)
        rc = slot_send(p, step, &slot, err);
    if (rc == 0) {
        rc = refresh_filters(p, err) < 0 || begin_scale(p, err) < 0 ? -1 : 0;
        count_changes(p);
        if (rc == 0)
            rc = graph_run(p, err);
        p->turn = (p->turn + 1) % SLOTS;
        if (slot_done(p, slot, rc == 0 ? err : NULL) < 0 ||
            (rc == 0 && slot_ahead(p, step, err) < 0))
            rc = -1;
    }
    p->step = NULL;
    return rc;
}

void cuda_profile(const struct be_program *p, double seconds[OP_KINDS])
{
    struct be_program *own = (struct be_program *)(uintptr_t)p; /* const to the outside only */

    for (int t = 0; t < SLOTS; t++)
        (void)gather(own, &own->timings[t], NULL);
    memcpy(seconds, p->seconds, sizeof p->seconds);
}
