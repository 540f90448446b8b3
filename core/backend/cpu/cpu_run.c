/* cpu_run.c - one step of a prepared list.
 *
 * In a segment one task is all its ops for one microbatch, a few pictures at a time (plan.h); threads only
 * decide who takes which.
 * Sums over microbatches are made when the segment is over, weight gradients one segment later, as
 * tasks beside that segment's microbatches. SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/clock.h"

static void refill(void *ctx, int i, int worker)
{
    struct be_program *p = ctx;
    const struct refill *r = &p->refills[own_task(p->be->options.ranks, i)];

    if (r->copy->version != r->copy->of->version)
        r->copy->fill(p, r->copy, r->part, worker);
}

/* Makes the copies of weights that changed since. The processes of a machine share the work: a list that reads such
 * weights is run by all of them. */
static void refresh(struct be_program *p)
{
    bool stale = false;

    for (int i = 0; i < p->n_copies; i++)
        stale |= p->copies[i]->version != p->copies[i]->of->version;
    if (!stale)
        return;
    machine_meeting(p->be->options.ranks); /* nobody reads the old copies */
    pool_run(p->be->pool, own_tasks(p->be->options.ranks, p->n_refills), refill, p);
    machine_meeting(p->be->options.ranks);
    for (int i = 0; i < p->n_copies; i++)
        p->copies[i]->version = p->copies[i]->of->version;
}

/* The segment's ops that run LAST, or those that do not, for microbatch MICRO from its picture FIRST on. */
static void run_ops(struct be_program *p, bool last, int micro, int first, int worker)
{
    for (int k = 0; k < p->segment->n; k++) {
        const struct cpu_op *o = &p->ops[p->segment->first + k];
        const struct job j = {p, o, worker, micro, micro * p->micro + first};
        double start;

        if (!o->run || op_traits[o->op->kind].runs_last != last || !op_runs(o->op, p->step))
            continue;
        start = clock_seconds();
        o->run(&j);
        p->seconds[worker][o->op->kind] += clock_seconds() - start;
    }
}

/* Tasks of a segment: its microbatches first, then the sums of weight gradients that are due. */
static void segment_task(void *ctx, int i, int worker)
{
    struct be_program *p = ctx;

    if (i >= p->active) {
        const struct fill *f = &p->due[i - p->active];
        const double start = clock_seconds();

        f->op->fill(p, f->op, f->part, worker);
        p->seconds[worker][f->op->op->kind] += clock_seconds() - start;
        return;
    }
    for (int first = 0; first < p->micro; first += p->segment->pictures)
        run_ops(p, false, i, first, worker);
    run_ops(p, true, i, 0, worker);
}

/* The sums of the op's gradient that are this process's to make; COUNT: parts of the segment so far. */
static void add_fills(struct be_program *p, const struct cpu_op *o, int *count)
{
    const int ranks = machine_ranks(p->be->options.ranks),
              rank = machine_rank(p->be->options.ranks);

    for (int part = 0; part < o->parts; part++)
        if ((*count)++ % ranks == rank)
            p->due[p->n_due++] = (struct fill){o, part};
}

static void run_pictures(struct be_program *p)
{
    const struct segment *s = p->segment;
    const bool filled = p->fills;
    int count = 0;

    for (int i = 0; i < s->n; i++)
        if (p->ops[s->first + i].begin && op_runs(p->ops[s->first + i].op, p->step))
            p->ops[s->first + i].begin(p, &p->ops[s->first + i]);
    pool_run(p->be->pool, p->active + p->n_due, segment_task, p);
    p->n_due = 0;
    p->met = false;
    for (int i = 0; i < s->n; i++) {
        struct cpu_op *o = &p->ops[s->first + i];

        if (o->finish && op_runs(o->op, p->step))
            o->finish(p, o);
        if (o->fill && p->step->only == 0)
            add_fills(p, o, &count);
    }
    p->fills = count > 0;
    p->unshared |= p->fills;
    /* Sums read the leaves of all processes, and the next segment overwrites those that were summed beside this one. */
    if ((filled || p->fills) && !p->met)
        machine_meeting(p->be->options.ranks);
    if (filled)
        ranks_summed(p, s->first);
}

static void run_fills(struct be_program *p)
{
    const int active = p->active;

    p->active = 0;
    pool_run(p->be->pool, p->n_due, segment_task, p);
    p->active = active;
    p->n_due = 0;
    p->fills = false;
    ranks_gradients(p);
}

static void populate(struct be_program *p)
{
    heap_populate(&p->be->heap);
    region_populate(&p->gradients);
    region_populate(&p->leaves);
    ranks_populate(p->ranks);
}

int cpu_run(struct be_program *p, const struct step *step, struct err *err)
{
    BUG_IF(step->n_pictures < 0 || step->n_pictures > p->list->batch);
    p->step = step;
    p->active = step->pictures ? (step->n_pictures + p->micro - 1) / p->micro : p->n_micro;
    p->n_due = 0;
    p->fills = false;
    p->first_chunk = p->chunks;
    atomic_store(&p->failed, false);
    populate(p);
    if (step->only == 0)
        refresh(p);
    for (int s = 0; s < p->plan->n_segments; s++) {
        p->segment = &p->plan->segments[s];
        if (!p->segment->elementwise) {
            run_pictures(p);
            continue;
        }
        run_fills(p);
        optimiser_run(p);
    }
    run_fills(p);
    p->step = NULL;
    return atomic_load(&p->failed) ? err_set(err, ERR_UNSUPPORTED, "a oneDNN primitive failed") : 0;
}

void cpu_profile(const struct be_program *p, double seconds[OP_KINDS])
{
    memset(seconds, 0, OP_KINDS * sizeof *seconds);
    for (int w = 0; w < p->be->threads; w++)
        for (int k = 0; k < OP_KINDS; k++)
            seconds[k] += p->seconds[w][k];
}
