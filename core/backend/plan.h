/* plan.h - segments and memory: what every backend needs to know of a list before it runs.
 *
 * A list is run segment by segment. A segment is a run of consecutive ops that work picture by
 * picture and do not read a STAT or GRAD that the same segment sums: all its ops run for one
 * microbatch before the next is taken, so what one op wrote is still in cache when the next reads
 * it. Where a microbatch's tensors are larger than a cache, its ops run for a few of its pictures
 * after the other; gradients of weights, which sum over a microbatch, come after all of them. The
 * optimiser's ops form element-wise segments, one kind in each.
 *
 * An ACT tensor whose writers and readers lie in one segment is LOCAL: every worker has room for
 * the pictures that are taken at a time, or, where a gradient of weights reads it, for a microbatch.
 * The others lie in the arena, whole batches, and share room when their lives
 * (first to last segment) do not overlap. Tensors read or written from outside are never shared.
 * Where the last that reads one is an op that may work in place (op_in_place()), its output has the same room: the
 * stream of a network's blocks is one tensor in memory then, whose lines are in cache when they are written.
 * The output of a BN_INFER right after the CONV it reads shares no room with that CONV's inputs, so
 * the two may be run as one.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_PLAN_H
#define PRESIZE_BACKEND_PLAN_H

#include "backend/op.h"

struct segment {
    int first, n;     /* ops [first, first + n) */
    int pictures;     /* taken at a time: a divisor of the microbatch */
    bool elementwise; /* the optimiser's: no pictures */
};

enum place { PLACE_NONE, PLACE_ARENA, PLACE_LOCAL };

struct plan {
    struct segment *segments;
    int n_segments;
    struct {
        enum place place;
        size_t offset;               /* bytes, 64-byte aligned */
        int pictures;                /* that there is room for */
    } * tensors;                     /* n_tensors */
    size_t arena_bytes, local_bytes; /* local: per worker */
};

/* Whether tensors A and B (0: none) have the same room in the arena. */
bool plan_same_room(const struct plan *p, int a, int b);

/* SIZE(ctx, t) gives the bytes of ONE picture's slice of ACT tensor t in the backend's layout
 * (slices of a tensor are contiguous). CACHE: bytes that what is taken of a tensor at a time should
 * have at most; 0: microbatches are taken whole, in the order of the list. Best-fit by size, largest
 * first, ties by tensor number: a function of list and CACHE alone. ERR_NOMEM. */
int plan_make(struct plan **out, const struct op_list *l,
              size_t (*size)(const void *ctx, int tensor), const void *ctx, size_t cache,
              struct err *err) MUST_USE;
void plan_free(struct plan *p); /* NULL is fine */

#endif
