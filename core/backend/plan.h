/* plan.h - segments and memory: what every backend needs to know of a list before it runs.
 *
 * A list is run segment by segment. A segment is a run of consecutive ops that work picture by
 * picture and do not read a STAT or GRAD that the same segment sums: all its ops run for one
 * microbatch before the next is taken, so what one op wrote is still in cache when the next reads
 * it. The optimiser's ops form element-wise segments, one kind in each.
 *
 * An ACT tensor whose writers and readers lie in one segment is LOCAL: every worker has room for
 * one microbatch of it. The others lie in the arena, whole batches, and share room when their lives
 * (first to last segment) do not overlap. Tensors read or written from outside are never shared.
 * The output of a BN_INFER right after the CONV it reads shares no room with that CONV's inputs, so
 * the two may be run as one.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_PLAN_H
#define PRESIZE_BACKEND_PLAN_H

#include "backend/op.h"

struct segment {
    int first, n;     /* ops [first, first + n) */
    bool elementwise; /* the optimiser's: no pictures */
};

enum place { PLACE_NONE, PLACE_ARENA, PLACE_LOCAL };

struct plan {
    struct segment *segments;
    int n_segments;
    struct {
        enum place place;
        size_t offset;
    } * tensors;                     /* n_tensors; bytes, 64-byte aligned; ARENA: of
                                                             the whole batch, LOCAL: of one microbatch */
    size_t arena_bytes, local_bytes; /* local: per worker */
};

/* SIZE(ctx, t) gives the bytes of ONE picture's slice of ACT tensor t in the backend's layout
 * (slices of a tensor are contiguous). Best-fit by size, largest first, ties by tensor number: a
 * function of the list alone. ERR_NOMEM. */
int plan_make(struct plan **out, const struct op_list *l,
              size_t (*size)(const void *ctx, int tensor), const void *ctx,
              struct err *err) MUST_USE;
void plan_free(struct plan *p); /* NULL is fine */

#endif
