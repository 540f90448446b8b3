/* plan.c - segments of a list and offsets of its tensors.
 *
 * Lives are closed intervals, of segments for the arena (workers are at different microbatches of
 * one segment) and of ops for a worker's own room. Two tensors may share bytes only when their
 * lives do not meet, or meet in one op that works in place. SPDX-License-Identifier: MIT */
#include "backend/plan.h"

#include <stdlib.h>
#include <string.h>

#include "backend/op_traits.h"
#include "base/size.h"

enum { ALIGN = 64 };

struct life { /* what the planner knows of one tensor */
    int tensor;
    int first, last; /* ops that touch it; first > last: none */
    bool written, read;
    bool late; /* read when the other ops of its segment are over */
    size_t bytes;
    int from, to; /* its life, in the unit of its place */
    int on;       /* the tensor whose room it has; itself */
};

struct placed {
    size_t offset, bytes;
};

/* Whether op O reads a sum that the segment beginning at op FIRST has not finished. Running
 * statistics count as such a sum: they are updated where the segment ends. */
static bool reads_open_sum(const struct op_list *l, int first, int o)
{
    for (int k = 0; k < OP_MAX_IN; k++) {
        int t = l->ops[o].in[k];

        if (t == 0)
            continue;
        for (int i = first; i < o; i++) {
            const struct op *w = &l->ops[i];

            for (int j = 0; j < OP_MAX_OUT; j++)
                if (w->out[j] == t && l->tensors[t].role != TENSOR_ACT)
                    return true;
            for (int j = 0; j < OP_MAX_IN; j++)
                if (op_traits[w->kind].in[j].changed && w->in[j] == t)
                    return true;
        }
    }
    return false;
}

/* Whether S adds up numbers of a batch. */
static bool has_sum(const struct segment *s, const struct op_list *l)
{
    for (int o = s->first; o < s->first + s->n; o++)
        for (int k = 0; k < OP_MAX_OUT; k++)
            if (l->ops[o].out[k] && l->tensors[l->ops[o].out[k]].role != TENSOR_ACT)
                return true;
    return false;
}

static size_t largest_slice(const struct segment *s, const struct op_list *l, const size_t *slices)
{
    size_t most = 1;

    for (int o = s->first; o < s->first + s->n; o++)
        for (int k = 0; k < OP_MAX_IN + OP_MAX_OUT; k++) {
            const int t = k < OP_MAX_IN ? l->ops[o].in[k] : l->ops[o].out[k - OP_MAX_IN];

            if (slices[t] > most)
                most = slices[t];
        }
    return most;
}

/* The most that have room in CACHE. All where nothing is summed: such a segment is a whole network, whose weights
 * would be read again for every few pictures. */
static int pictures_at_a_time(const struct segment *s, const struct op_list *l,
                              const size_t *slices, size_t cache)
{
    int n = l->microbatch;

    if (cache == 0 || !has_sum(s, l))
        return n;
    while (n > 1 && (l->microbatch % n || (size_t)n > cache / largest_slice(s, l, slices)))
        n--;
    return n;
}

/* SLICES: of each ACT tensor, the bytes of a picture. */
static int cut_segments(struct plan *p, const struct op_list *l, int *segment_of,
                        const size_t *slices, size_t cache, struct err *err)
{
    struct segment *s = NULL;

    p->segments = calloc((size_t)l->n_ops + 1, sizeof *p->segments);
    if (!p->segments)
        return err_set(err, ERR_NOMEM, "plan");
    for (int o = 0; o < l->n_ops; o++) {
        bool elementwise = op_is_optimiser(l->ops[o].kind);

        if (!s || s->elementwise != elementwise ||
            (elementwise && l->ops[o].kind != l->ops[s->first].kind) ||
            reads_open_sum(l, s->first, o)) {
            s = &p->segments[p->n_segments++];
            *s = (struct segment){.first = o, .n = 0, .elementwise = elementwise};
        }
        s->n++;
        segment_of[o] = p->n_segments - 1;
    }
    for (int i = 0; i < p->n_segments; i++)
        p->segments[i].pictures = pictures_at_a_time(&p->segments[i], l, slices, cache);
    return 0;
}

static void touch(struct life *life, int o)
{
    if (life->first > life->last)
        life->first = o;
    life->last = o;
}

static void find_lives(struct life *lives, const struct op_list *l, bool in_order)
{
    for (int t = 1; t < l->n_tensors; t++)
        lives[t] = (struct life){.tensor = t, .first = 0, .last = -1, .on = t};
    for (int o = 0; o < l->n_ops; o++) {
        for (int k = 0; k < OP_MAX_IN; k++)
            if (l->ops[o].in[k]) {
                touch(&lives[l->ops[o].in[k]], o);
                lives[l->ops[o].in[k]].read = true;
                lives[l->ops[o].in[k]].late |= !in_order && op_traits[l->ops[o].kind].runs_last;
            }
        for (int k = 0; k < OP_MAX_OUT; k++)
            if (l->ops[o].out[k]) {
                touch(&lives[l->ops[o].out[k]], o);
                lives[l->ops[o].out[k]].written = true;
            }
    }
}

/* A backend may let a CONV write what the BN_INFER after it returns: that must not lie on the
 * CONV's inputs. */
static void allow_folding(struct life *lives, const struct op_list *l)
{
    for (int o = 1; o < l->n_ops; o++)
        if (op_list_folds(l, o - 1))
            lives[l->ops[o].out[0]].first = o - 1;
}

static int larger_first(const void *a, const void *b)
{
    const struct life *x = a, *y = b;

    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return (x->tensor > y->tensor) - (x->tensor < y->tensor);
}

static int lower_first(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;

    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Gives each of LIVES (all of one place) its offset in p->tensors; returns the bytes needed.
 * BUSY has room for n. Best fit: the smallest gap between tensors alive at the same time. */
static size_t place_all(struct plan *p, struct life *lives, int n, struct placed *busy)
{
    size_t total = 0;

    qsort(lives, (size_t)n, sizeof *lives, larger_first);
    for (int i = 0; i < n; i++) {
        size_t end = 0, best = 0, best_gap = SIZE_MAX;
        int n_busy = 0;

        for (int j = 0; j < i; j++)
            if (lives[j].from <= lives[i].to && lives[i].from <= lives[j].to)
                busy[n_busy++] =
                    (struct placed){p->tensors[lives[j].tensor].offset, lives[j].bytes};
        qsort(busy, (size_t)n_busy, sizeof *busy, lower_first);
        for (int j = 0; j < n_busy; j++) {
            if (busy[j].offset > end) {
                size_t gap = busy[j].offset - end;

                if (gap >= lives[i].bytes && gap < best_gap) {
                    best = end;
                    best_gap = gap;
                }
            }
            if (busy[j].offset + busy[j].bytes > end)
                end = busy[j].offset + busy[j].bytes;
        }
        if (best_gap == SIZE_MAX)
            best = end;
        p->tensors[lives[i].tensor].offset = best;
        if (best + lives[i].bytes > total)
            total = best + lives[i].bytes;
    }
    return total;
}

/* Place, bytes and life of one ACT tensor that some op touches. */
static int settle(struct plan *p, const struct op_list *l, struct life *life, const int *segment_of,
                  size_t slice, struct err *err)
{
    bool outside = !life->written || !life->read;
    bool local = !outside && segment_of[life->first] == segment_of[life->last];
    const struct segment *s = &p->segments[segment_of[life->first]];
    int pictures = !local ? l->batch : life->late ? l->microbatch : s->pictures;

    if (!mul_size(&life->bytes, slice, (size_t)pictures) || life->bytes > SIZE_MAX / 4)
        return err_set(err, ERR_NOMEM, "tensor %s: %zu bytes times %d pictures",
                       l->tensors[life->tensor].name, slice, pictures);
    life->bytes = align_up(life->bytes, ALIGN);
    p->tensors[life->tensor].place = local ? PLACE_LOCAL : PLACE_ARENA;
    p->tensors[life->tensor].pictures = pictures;
    life->from = outside ? 0 : local ? life->first : segment_of[life->first];
    life->to = outside ? p->n_segments : local ? life->last : segment_of[life->last];
    if (local && life->late) { /* its pictures are written by turns with those of others */
        life->from = s->first;
        life->to = s->first + s->n;
    }
    return 0;
}

/* Gives outputs the room of what their op reads for the last time. LIVES: of all tensors, settled. The two have equal
 * dims and types (op_list_check()), so a picture lies at the same place in both. */
static void work_in_place(const struct plan *p, const struct op_list *l, struct life *lives)
{
    for (int o = 0; o < l->n_ops; o++) {
        const int in = op_in_place(&l->ops[o]), out = l->ops[o].out[0];
        struct life *a, *b;

        if (!in || !out)
            continue;
        a = &lives[in];
        b = &lives[out];
        if (p->tensors[in].place != PLACE_ARENA || p->tensors[out].place != PLACE_ARENA ||
            !a->written || !b->read || a->late || a->last != o || b->first != o ||
            a->bytes != b->bytes)
            continue;
        b->on = a->on;
        lives[a->on].to = b->to;
    }
}

/* Those of LIVES in PLACE that have room of their own, at the front of OUT; their number. */
static int pick(struct life *out, const struct plan *p, const struct op_list *l,
                const struct life *lives, enum place place)
{
    int n = 0;

    for (int t = 1; t < l->n_tensors; t++)
        if (p->tensors[t].place == place && lives[t].on == t)
            out[n++] = lives[t];
    return n;
}

static int place_tensors(struct plan *p, const struct op_list *l, const int *segment_of,
                         struct life *lives, const size_t *slices, bool in_order, struct err *err)
{
    struct placed *busy = calloc((size_t)l->n_tensors + 1, sizeof *busy);
    struct life *some = calloc((size_t)l->n_tensors + 1, sizeof *some);
    int rc = -1;

    if (!busy || !some) {
        err_set(err, ERR_NOMEM, "plan");
        goto out;
    }
    find_lives(lives, l, in_order);
    allow_folding(lives, l);
    for (int t = 1; t < l->n_tensors; t++)
        if (l->tensors[t].role == TENSOR_ACT && lives[t].first <= lives[t].last &&
            settle(p, l, &lives[t], segment_of, slices[t], err) < 0)
            goto out;
    work_in_place(p, l, lives);
    p->arena_bytes = place_all(p, some, pick(some, p, l, lives, PLACE_ARENA), busy);
    p->local_bytes = place_all(p, some, pick(some, p, l, lives, PLACE_LOCAL), busy);
    for (int t = 1; t < l->n_tensors; t++)
        p->tensors[t].offset = p->tensors[lives[t].on].offset;
    rc = 0;
out:
    free(busy);
    free(some);
    return rc;
}

bool plan_same_room(const struct plan *p, int a, int b)
{
    return a && b && p->tensors[a].place == PLACE_ARENA && p->tensors[b].place == PLACE_ARENA &&
           p->tensors[a].offset == p->tensors[b].offset;
}

int plan_make(struct plan **out, const struct op_list *l,
              size_t (*size)(const void *ctx, int tensor), const void *ctx, size_t cache,
              struct err *err)
{
    struct plan *p = calloc(1, sizeof *p);
    int *segment_of = calloc((size_t)l->n_ops + 1, sizeof *segment_of);
    struct life *lives = calloc((size_t)l->n_tensors + 1, sizeof *lives);
    size_t *slices = calloc((size_t)l->n_tensors + 1, sizeof *slices);
    int rc = -1;

    *out = NULL;
    if (p)
        p->tensors = calloc((size_t)l->n_tensors + 1, sizeof *p->tensors);
    if (!p || !segment_of || !lives || !slices || !p->tensors) {
        err_set(err, ERR_NOMEM, "plan");
        goto out;
    }
    for (int t = 1; t < l->n_tensors; t++)
        if (l->tensors[t].role == TENSOR_ACT)
            slices[t] = size(ctx, t);
    if (cut_segments(p, l, segment_of, slices, cache, err) < 0 ||
        place_tensors(p, l, segment_of, lives, slices, cache == 0, err) < 0)
        goto out;
    *out = p;
    p = NULL;
    rc = 0;
out:
    plan_free(p);
    free(segment_of);
    free(lives);
    free(slices);
    return rc;
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    free(p->segments);
    free(p->tensors);
    free(p);
}
