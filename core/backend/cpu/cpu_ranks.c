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
 * A thread of its own exchanges the gradients in pieces, in the order in which the backward pass makes them, while the
 * layers before are computed. The thread that runs the list does all the rest and, at the end of the backward pass,
 * waits for the pieces that are left. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/clock.h"
#include "base/size.h"
#include "group/group.h"

enum {
    /* Floats of a row that are exchanged at a time. A batch norm's sums wait until the pieces that are on their way
     * have passed, at 1 Gbit/s 4 ms. A part of a piece is small enough to be sent without asking (mpi_plugin.c). */
    PIECE = 1 << 16,
    LINE = 16 /* floats in a cache line */
};

struct addition {
    int to, from; /* rows */
};

/* A row of floats is cut into pieces, which RANKS processes share: a part each, of EACH floats or, in the last piece,
 * of LAST. Rows are N floats, so that the parts are equal. */
struct cut {
    size_t ranks, pieces, each, last, n;
};

struct ranks {
    int machines, machine; /* how many, this one's number */
    struct subtree *own;   /* of this machine, from left to right; PLAIN unset */
    int n_own;
    int most;       /* subtrees that a machine has at most: all exchange so many rows */
    struct cut cut; /* of a row: all gradients */
    float *mine;    /* (most, cut.n), the machine's: the sums of own subtrees */
    float *all;     /* (cut.n), the machine's: the gradients */
    /* (GROUP_WINDOW, most, machines, cut.each): of pieces of all subtrees, this process's part */
    float *parts;
    struct runner *runner; /* exchanges pieces */
    int next_op;           /* of the run in progress: gradients of the ops before it are summed */
    size_t summed;         /* floats of a row that these fill */
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

static struct cut cut_row(size_t n, int ranks)
{
    struct cut c = {.ranks = (size_t)ranks, .each = part_floats(PIECE, (size_t)ranks)};
    const size_t piece = c.each * c.ranks;

    c.pieces = (n + piece - 1) / piece;
    if (c.pieces > 0)
        c.last = part_floats(n - (c.pieces - 1) * piece, c.ranks);
    if (c.pieces == 1)
        c.each = c.last;
    if (c.pieces > 0)
        c.n = ((c.pieces - 1) * c.each + c.last) * c.ranks;
    return c;
}

/* Floats of a part of PIECE. */
static size_t cut_each(const struct cut *c, size_t piece)
{
    return piece + 1 < c->pieces ? c->each : c->last;
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
    struct cut cut;
    size_t n = 0;

    *t = (struct be_traffic){0};
    for (int i = 0; i < list->n_ops; i++) {
        const struct op *o = &list->ops[i];

        if (op_sums_batch(o->kind)) {
            t->exchanges++;
            t->exchanges_backward += op_traits[o->kind].pass == PASS_BACKWARD;
            t->bytes +=
                (size_t)(each * 2 * list->tensors[o->in[0]].dims[1]) * sizeof(double) * others;
        } else if (op_traits[o->kind].runs_last) {
            n += align_up(tensor_elements(&list->tensors[o->out[0]]), LINE);
        }
    }
    cut = cut_row(n, ranks);
    t->exchanges_beside = (int)cut.pieces * (most + 1);
    t->bytes_beside = (size_t)(most + 1) * cut.n / cut.ranks * sizeof(float) * others;
    if (cut.pieces > 0) /* the last one's sums are gathered after all others */
        t->rounds_beside = (int)(cut.pieces + GROUP_WINDOW - 1) / GROUP_WINDOW + 1;
    t->exchanges += t->exchanges_beside;
    t->bytes += t->bytes_beside;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Floats that come for one piece. */
static size_t parts_floats(const struct ranks *r)
{
    return (size_t)r->most * (size_t)r->machines * r->cut.each;
}

/* Gives each gradient that is a sum over leaves its place in a row. */
static int place_gradients(struct ranks *r, struct be_program *p, struct err *err)
{
    const struct be_ranks *of = p->be->options.ranks;
    const size_t most = (size_t)r->most;
    size_t n = 0;

    for (int i = 0; i < p->list->n_ops; i++) {
        struct cpu_op *o = &p->ops[i];

        if (!o->fill)
            continue;
        o->gradient = n;
        n += align_up(tensor_elements(op_tensor(p, o->op->out[0])), LINE);
    }
    r->cut = cut_row(n, ranks_count(p));
    if (region_share(&r->common, of, (most + 1) * r->cut.n * sizeof(float), "gradients of machines",
                     err) < 0 ||
        region_map(&r->private, GROUP_WINDOW * parts_floats(r) * sizeof(float),
                   "gradients of machines", err) < 0)
        return -1;
    r->mine = (float *)(void *)r->common.data;
    r->all = r->mine + most * r->cut.n;
    r->parts = (float *)(void *)r->private.data;
    for (int i = 0; i < p->list->n_ops; i++)
        if (p->ops[i].fill)
            p->data[p->ops[i].op->out[0]] = r->all + p->ops[i].gradient;
    return 0;
}

/* ---- the exchange ---------------------------------------------------------------------------- */

/* Where the parts begin, of PIECE of a row, that the processes of this process's number on their machines exchange. */
static size_t piece_at(const struct be_program *p, size_t piece)
{
    const struct cut *c = &p->ranks->cut;
    const size_t rank = (size_t)machine_rank(p->be->options.ranks);

    return piece * c->each * c->ranks + rank * (size_t)p->ranks->machines * cut_each(c, piece);
}

/* What others have for this process of PIECE: (most, machines, cut_each). */
static float *parts_of(const struct ranks *r, size_t piece)
{
    return r->parts + piece % GROUP_WINDOW * parts_floats(r);
}

/* The own part of PIECE, from all subtrees' parts: the gradient. */
static void add_parts(const struct be_program *p, size_t piece)
{
    const struct ranks *r = p->ranks;
    const size_t n = cut_each(&r->cut, piece);
    float *parts = parts_of(r, piece);

    for (int k = 0; k < r->n_additions; k++) {
        float *to = parts + (size_t)r->additions[k].to * n;
        const float *from = parts + (size_t)r->additions[k].from * n;

        for (size_t e = 0; e < n; e++)
            to[e] += from[e];
    }
    memcpy(r->all + piece_at(p, piece) + (size_t)r->machine * n, parts, n * sizeof(float));
}

/* Until the last piece's sums are gathered. */
static int n_tasks(const struct ranks *r)
{
    return (int)r->cut.pieces + GROUP_WINDOW;
}

/* Task I of a step begins two exchanges: the parts of piece I go to those who add them, and the sums of piece
 * I - GROUP_WINDOW are gathered. Then the parts of piece I - GROUP_WINDOW + 1 are there, and are added. So latencies of
 * a window pass at once, and all processes begin the same exchanges in the same order. Where no other task may run, all
 * that was begun is waited for, as bytes move in calls of MPI only. */
static void exchange_piece(void *ctx, int i)
{
    const struct be_program *p = ctx;
    const struct be_ranks *of = p->be->options.ranks;
    const struct ranks *r = p->ranks;
    const size_t piece = (size_t)i, each = cut_each(&r->cut, piece);
    const size_t sum = piece - GROUP_WINDOW; /* before the first: huge, as no piece's number is */
    struct group_parts parts[GROUP_PARTS];
    int n = 0;

    for (size_t k = 0; piece < r->cut.pieces && k < (size_t)r->most; k++)
        parts[n++] =
            (struct group_parts){.out = parts_of(r, piece) + k * (size_t)r->machines * each,
                                 .in = r->mine + k * r->cut.n + piece_at(p, piece),
                                 .bytes = each * sizeof(float)};
    if (sum < r->cut.pieces)
        parts[n++] = (struct group_parts){.in = r->all + piece_at(p, sum),
                                          .bytes = cut_each(&r->cut, sum) * sizeof(float)};
    if (of->across(of->ctx, parts, n, !runner_more(r->runner)) && sum + 1 < r->cut.pieces)
        add_parts(p, sum + 1);
}

/* ---- made and freed -------------------------------------------------------------------------- */

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
    if (make_tree(p->ranks, p, err) < 0 || place_gradients(p->ranks, p, err) < 0)
        return -1;
    return runner_new(&p->ranks->runner, exchange_piece, p, err);
}

void ranks_free(struct ranks *r)
{
    if (!r)
        return;
    runner_free(r->runner);
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
    return (struct subtree){r->own[i].first, r->own[i].n,
                            r->mine + (size_t)i * r->cut.n + o->gradient};
}

/* ---- in a run -------------------------------------------------------------------------------- */

void ranks_summed(struct be_program *p, int op)
{
    struct ranks *r = p->ranks;

    if (!r)
        return;
    for (; r->next_op < op; r->next_op++) {
        const struct cpu_op *o = &p->ops[r->next_op];

        if (o->fill)
            r->summed = o->gradient + tensor_elements(op_tensor(p, o->op->out[0]));
    }
    runner_allow(r->runner, (int)(r->summed / (r->cut.each * r->cut.ranks)));
}

void ranks_gradients(struct be_program *p)
{
    const struct be_ranks *of = p->be->options.ranks;
    struct ranks *r = p->ranks;
    double start;

    if (!p->unshared)
        return;
    p->unshared = false;
    machine_meeting(of); /* all subtrees of this machine are summed */
    if (!r)
        return;
    start = clock_seconds();
    runner_allow(r->runner, n_tasks(r));
    runner_wait(r->runner);
    of->across_end(of->ctx, clock_seconds() - start);
    r->next_op = 0;
    r->summed = 0;
    machine_meeting(of);
}
