/* cpu_ranks.c - several processes that share a batch: the bits of one that computes it alone.
 *
 * Every process has as many microbatches of the batch, in their order. What one process sums in the fixed tree over all
 * microbatches (docs/architecture.md), several sum in the same tree. Rows of batch norms are gathered whole.
 *
 * The processes of one machine share memory: gradients of microbatches, gradients, weights, their copies and the
 * optimiser's state are there once, and each process does its share of the tasks that one process would do. It meets
 * the others where one process would wait for its threads.
 *
 * Several machines: of weight gradients each machine adds the complete subtrees among its own microbatches. The
 * subtrees' sums are then split into as many parts as there are processes. Each process gets its part of all of them,
 * adds them in the tree's order, and all parts are gathered on every machine. Where every machine has one subtree this
 * moves 2 (n - 1) / n of the gradients for n machines, the least that any all-reduce does; no library decides in which
 * order numbers meet. Each machine then runs the whole optimiser.
 *
 * All of it happens on the thread that runs the list. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/size.h"

enum {
    PIECE = 1 << 14, /* floats that a worker adds at a time */
    LINE = 16        /* floats in a cache line */
};

struct addition {
    int to, from; /* rows */
};

struct ranks {
    int machines, machine; /* how many, this one's number */
    struct subtree *own;   /* of this machine, from left to right; PLAIN unset */
    int n_own;
    int most; /* subtrees that a machine has at most: all exchange so many rows */
    size_t n; /* floats in a row: all gradients, and what makes it a multiple of the processes */
    /* Of a row, which processes of one number on their machines exchange: n / processes of a machine; a process's part
     * of it: slice / machines. */
    size_t slice, each;
    float *mine;  /* (most, n), the machine's: the sums of own subtrees */
    float *all;   /* (n), the machine's: the gradients */
    float *parts; /* (most, machines, each): of all subtrees, this process's part */
    struct region common, private;
    struct addition *additions; /* of rows of PARTS; the last leaves the whole sum in row 0 */
    int n_additions;
};

int machine_ranks(const struct be_ranks *r)
{
    return r && r->machine_ranks > 1 ? r->machine_ranks : 1;
}

int machine_rank(const struct be_ranks *r)
{
    return machine_ranks(r) > 1 ? r->machine_rank : 0;
}

void machine_meeting(const struct be_ranks *r)
{
    if (machine_ranks(r) > 1)
        r->meet(r->ctx);
}

int own_tasks(const struct be_ranks *r, int n)
{
    const int ranks = machine_ranks(r), rank = machine_rank(r);

    return n > rank ? (n - rank - 1) / ranks + 1 : 0;
}

int own_task(const struct be_ranks *r, int i)
{
    return i * machine_ranks(r) + machine_rank(r);
}

int ranks_count(const struct be_program *p)
{
    return p->be->options.ranks ? p->be->options.ranks->ranks : 1;
}

int ranks_first(const struct be_program *p)
{
    return p->be->options.ranks ? p->be->options.ranks->rank * p->n_micro : 0;
}

int ranks_all(const struct be_program *p)
{
    return ranks_count(p) * p->n_micro;
}

void ranks_rows(struct be_program *p, double *rows, size_t width)
{
    const struct be_ranks *r = p->be->options.ranks;

    if (r)
        r->share(r->ctx, rows, (size_t)p->n_micro * width * sizeof *rows);
    p->met = true;
}

/* ---- the tree -------------------------------------------------------------------------------- */

/* Leaves of the largest complete subtree of a tree of ALL leaves that begins at FIRST and ends before END. The tree's
 * last subtree of each level may be cut short, as an odd last node passes through. */
static int subtree_at(int first, int end, int all)
{
    int n = 1;

    for (int twice = 2; first % twice == 0 && (first + twice <= end || end == all); twice *= 2) {
        n = first + twice <= end ? twice : end - first;
        if (n < twice)
            break;
    }
    return n;
}

/* The subtrees of MACHINE, which has EACH of ALL leaves, to OUT (room for EACH); how many there are. */
static int subtrees_of(struct subtree *out, int machine, int each, int all)
{
    const int end = (machine + 1) * each;
    int n = 0;

    for (int first = machine * each; first < end; first += out[n++].n)
        out[n] = (struct subtree){.first = first, .n = subtree_at(first, end, all)};
    return n;
}

/* Which rows of PARTS meet, level by level: as tree_rows() of cpu_norm.c, where a subtree stands for its leaves.
 * AT: the row of the subtree that begins at each leaf, or -1. */
static void add_up(struct ranks *r, int *at, int all)
{
    for (int gap = 1; gap < all; gap *= 2)
        for (int i = 0; i + gap < all; i += 2 * gap) {
            if (at[i] < 0 || at[i + gap] < 0)
                continue;
            r->additions[r->n_additions++] = (struct addition){at[i], at[i + gap]};
            at[i + gap] = -1;
        }
}

static int make_tree(struct ranks *r, const struct be_program *p, struct err *err)
{
    const int all = ranks_all(p), leaves = all / r->machines;
    struct subtree *some = calloc((size_t)leaves, sizeof *some);
    int *at = malloc((size_t)all * sizeof *at);

    r->own = calloc((size_t)leaves, sizeof *r->own);
    r->additions = calloc((size_t)all, sizeof *r->additions);
    if (!some || !at || !r->own || !r->additions) {
        free(some);
        free(at);
        return err_set(err, ERR_NOMEM, "a tree of %d microbatches", all);
    }
    memset(at, -1, (size_t)all * sizeof *at);
    for (int machine = 0; machine < r->machines; machine++) {
        const int n = subtrees_of(some, machine, leaves, all);

        for (int i = 0; i < n; i++)
            at[some[i].first] = i * r->machines + machine;
        r->most = n > r->most ? n : r->most;
    }
    add_up(r, at, all);
    free(some);
    free(at);
    r->n_own = subtrees_of(r->own, r->machine, leaves, all);
    for (int i = 0; i < r->n_own; i++)
        r->own[i].first -= r->machine * leaves;
    return 0;
}

/* Of N floats that RANKS processes share. */
static size_t part_floats(size_t n, size_t ranks)
{
    return align_up((n + ranks - 1) / ranks, LINE);
}

/* The most subtrees that one of MACHINES has, with EACH leaves. */
static int most_subtrees(int machines, int each)
{
    int most = 0;

    for (int m = 0; m < machines; m++) {
        int n = 0;

        for (int at = m * each; at < (m + 1) * each; n++)
            at += subtree_at(at, (m + 1) * each, machines * each);
        most = n > most ? n : most;
    }
    return most;
}

void cpu_traffic(const struct op_list *list, int ranks, struct be_traffic *t)
{
    const int each = list->batch / list->microbatch / ranks, most = most_subtrees(ranks, each);
    const size_t others = (size_t)ranks - 1;
    size_t n = 0;

    *t = (struct be_traffic){0};
    for (int i = 0; i < list->n_ops; i++) {
        const struct op *o = &list->ops[i];

        if (op_sums_batch(o->kind)) {
            t->exchanges++;
            t->bytes +=
                (size_t)(each * 2 * list->tensors[o->in[0]].dims[1]) * sizeof(double) * others;
        } else if (op_traits[o->kind].runs_last) {
            n += align_up(tensor_elements(&list->tensors[o->out[0]]), LINE);
        }
    }
    if (n == 0)
        return;
    t->exchanges += most + 1;
    t->bytes += (size_t)(most + 1) * part_floats(n, (size_t)ranks) * sizeof(float) * others;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Gives each gradient that is a sum over leaves its place in a row. */
static int place_gradients(struct ranks *r, struct be_program *p, struct err *err)
{
    const struct be_ranks *of = p->be->options.ranks;
    const size_t ranks = (size_t)ranks_count(p), most = (size_t)r->most;
    size_t n = 0;

    for (int i = 0; i < p->list->n_ops; i++) {
        struct cpu_op *o = &p->ops[i];

        if (!o->fill)
            continue;
        o->gradient = n;
        n += align_up(tensor_elements(op_tensor(p, o->op->out[0])), LINE);
    }
    r->each = part_floats(n, ranks);
    r->n = r->each * ranks;
    r->slice = r->each * (size_t)r->machines;
    if (region_share(&r->common, of, (most + 1) * r->n * sizeof(float), "gradients of machines",
                     err) < 0 ||
        region_map(&r->private, most * r->slice * sizeof(float), "gradients of machines", err) < 0)
        return -1;
    r->mine = (float *)(void *)r->common.data;
    r->all = r->mine + most * r->n;
    r->parts = (float *)(void *)r->private.data;
    for (int i = 0; i < p->list->n_ops; i++)
        if (p->ops[i].fill)
            p->data[p->ops[i].op->out[0]] = r->all + p->ops[i].gradient;
    return 0;
}

int ranks_make(struct be_program *p, struct err *err)
{
    const struct be_ranks *of = p->be->options.ranks;
    const int machines = ranks_count(p) / machine_ranks(of);
    bool sums = false;

    for (int i = 0; i < p->list->n_ops; i++)
        sums |= p->ops[i].fill != NULL;
    if (machines == 1 || !sums)
        return 0;
    p->ranks = calloc(1, sizeof *p->ranks);
    if (!p->ranks)
        return err_set(err, ERR_NOMEM, "cpu program");
    p->ranks->machines = machines;
    p->ranks->machine = of->rank / machine_ranks(of);
    return make_tree(p->ranks, p, err) < 0 ? -1 : place_gradients(p->ranks, p, err);
}

void ranks_free(struct ranks *r)
{
    if (!r)
        return;
    region_unmap(&r->common);
    region_unmap(&r->private);
    free(r->own);
    free(r->additions);
    free(r);
}

void ranks_populate(struct ranks *r)
{
    if (r)
        region_populate(&r->common);
}

size_t ranks_bytes(const struct ranks *r)
{
    return r ? region_part(&r->common) + region_part(&r->private) : 0;
}

int ranks_subtrees(const struct be_program *p)
{
    return p->ranks ? p->ranks->n_own : 1;
}

struct subtree ranks_subtree(const struct be_program *p, const struct cpu_op *o, int i)
{
    const struct ranks *r = p->ranks;

    if (!r)
        return (struct subtree){0, ranks_all(p), p->data[o->op->out[0]]};
    return (struct subtree){r->own[i].first, r->own[i].n, r->mine + (size_t)i * r->n + o->gradient};
}

/* ---- the exchange ---------------------------------------------------------------------------- */

static void add_piece(void *ctx, int i, int worker)
{
    const struct ranks *r = ((const struct be_program *)ctx)->ranks;
    const size_t first = (size_t)i * PIECE;
    const size_t n = r->each - first < PIECE ? r->each - first : PIECE;

    (void)worker;
    for (int k = 0; k < r->n_additions; k++) {
        float *to = r->parts + (size_t)r->additions[k].to * r->each + first;
        const float *from = r->parts + (size_t)r->additions[k].from * r->each + first;

        for (size_t e = 0; e < n; e++)
            to[e] += from[e];
    }
}

void ranks_gradients(struct be_program *p)
{
    const struct be_ranks *of = p->be->options.ranks;
    const struct ranks *r = p->ranks;
    const size_t first = r ? (size_t)machine_rank(of) * r->slice : 0;

    if (!p->unshared)
        return;
    p->unshared = false;
    machine_meeting(of); /* all subtrees of this machine are summed */
    if (!r)
        return;
    for (int i = 0; i < r->most; i++)
        of->swap(of->ctx, r->parts + (size_t)i * r->slice, r->mine + (size_t)i * r->n + first,
                 r->each * sizeof(float));
    pool_run(p->be->pool, (int)((r->each + PIECE - 1) / PIECE), add_piece, p);
    memcpy(r->all + first + (size_t)r->machine * r->each, r->parts, r->each * sizeof(float));
    of->gather(of->ctx, r->all + first, r->each * sizeof(float));
    machine_meeting(of);
}
