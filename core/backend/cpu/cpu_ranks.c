/* cpu_ranks.c - several processes that share a batch: the bits of one that computes it alone.
 *
 * Every process has as many microbatches of the batch, in their order. What one process sums in the fixed tree over all
 * microbatches (docs/architecture.md), several sum in the same tree: rows of batch norms are gathered whole, and of
 * weight gradients each process adds the complete subtrees among its own microbatches. The subtrees' sums are then
 * split into as many parts as there are processes; each gets its part of all of them, adds them in the tree's order,
 * and all parts are gathered. Where every process has one subtree this moves 2 (n - 1) / n of the gradients, the least
 * that any all-reduce does; no library decides in which order numbers meet.
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
    struct subtree *own; /* of this process, from left to right; PLAIN unset */
    int n_own;
    int most;    /* subtrees that a process has at most: all exchange so many rows */
    size_t n;    /* floats in a row: all gradients, and what makes it a multiple of the processes */
    size_t each; /* n / processes */
    float *mine; /* (most, n): the sums of own subtrees */
    float *parts; /* (most, processes, each): of all subtrees, this process's part */
    float *all;   /* (n): the gradients */
    struct region memory;
    struct addition *additions; /* of rows of PARTS; the last leaves the whole sum in row 0 */
    int n_additions;
};

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

void ranks_rows(const struct be_program *p, double *rows, size_t width)
{
    const struct be_ranks *r = p->be->options.ranks;

    if (r)
        r->share(r->ctx, rows, (size_t)p->n_micro * width * sizeof *rows);
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

/* The subtrees of process RANK, which has EACH of ALL leaves, to OUT (room for EACH); how many there are. */
static int subtrees_of(struct subtree *out, int rank, int each, int all)
{
    const int end = (rank + 1) * each;
    int n = 0;

    for (int first = rank * each; first < end; first += out[n++].n)
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
    const int all = ranks_all(p), ranks = ranks_count(p);
    struct subtree *some = calloc((size_t)p->n_micro, sizeof *some);
    int *at = malloc((size_t)all * sizeof *at);

    r->own = calloc((size_t)p->n_micro, sizeof *r->own);
    r->additions = calloc((size_t)all, sizeof *r->additions);
    if (!some || !at || !r->own || !r->additions) {
        free(some);
        free(at);
        return err_set(err, ERR_NOMEM, "a tree of %d microbatches", all);
    }
    memset(at, -1, (size_t)all * sizeof *at);
    for (int rank = 0; rank < ranks; rank++) {
        const int n = subtrees_of(some, rank, p->n_micro, all);

        for (int i = 0; i < n; i++)
            at[some[i].first] = i * ranks + rank;
        r->most = n > r->most ? n : r->most;
    }
    add_up(r, at, all);
    free(some);
    free(at);
    r->n_own = subtrees_of(r->own, p->be->options.ranks->rank, p->n_micro, all);
    for (int i = 0; i < r->n_own; i++)
        r->own[i].first -= ranks_first(p);
    return 0;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Gives each gradient that is a sum over leaves its place in a row. */
static int place_gradients(struct ranks *r, struct be_program *p, struct err *err)
{
    const size_t ranks = (size_t)ranks_count(p), most = (size_t)r->most;
    size_t n = 0;

    for (int i = 0; i < p->list->n_ops; i++) {
        struct cpu_op *o = &p->ops[i];

        if (!o->fill)
            continue;
        o->gradient = n;
        n += align_up(tensor_elements(op_tensor(p, o->op->out[0])), LINE);
    }
    r->each = align_up((n + ranks - 1) / ranks, LINE);
    r->n = r->each * ranks;
    if (region_map(&r->memory, (2 * most + 1) * r->n * sizeof(float), "gradients of processes",
                   err) < 0)
        return -1;
    r->mine = (float *)(void *)r->memory.data;
    r->parts = r->mine + most * r->n;
    r->all = r->parts + most * r->n;
    for (int i = 0; i < p->list->n_ops; i++)
        if (p->ops[i].fill)
            p->data[p->ops[i].op->out[0]] = r->all + p->ops[i].gradient;
    return 0;
}

int ranks_make(struct be_program *p, struct err *err)
{
    bool sums = false;

    for (int i = 0; i < p->list->n_ops; i++)
        sums |= p->ops[i].fill != NULL;
    if (ranks_count(p) == 1 || !sums)
        return 0;
    p->ranks = calloc(1, sizeof *p->ranks);
    if (!p->ranks)
        return err_set(err, ERR_NOMEM, "cpu program");
    return make_tree(p->ranks, p, err) < 0 ? -1 : place_gradients(p->ranks, p, err);
}

void ranks_free(struct ranks *r)
{
    if (!r)
        return;
    region_unmap(&r->memory);
    free(r->own);
    free(r->additions);
    free(r);
}

size_t ranks_bytes(const struct ranks *r)
{
    return r ? r->memory.bytes : 0;
}

int ranks_subtrees(const struct be_program *p)
{
    return p->ranks ? p->ranks->n_own : 1;
}

struct subtree ranks_subtree(const struct be_program *p, const struct cpu_op *o, int i)
{
    const struct ranks *r = p->ranks;

    if (!r)
        return (struct subtree){0, p->n_micro, p->data[o->op->out[0]]};
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

    if (!r || !p->unshared)
        return;
    p->unshared = false;
    for (int i = 0; i < r->most; i++)
        of->swap(of->ctx, r->parts + (size_t)i * r->n, r->mine + (size_t)i * r->n,
                 r->each * sizeof(float));
    pool_run(p->be->pool, (int)((r->each + PIECE - 1) / PIECE), add_piece, p);
    memcpy(r->all + (size_t)of->rank * r->each, r->parts, r->each * sizeof(float));
    of->share(of->ctx, r->all, r->each * sizeof(float));
}
