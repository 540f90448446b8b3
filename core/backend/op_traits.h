/* op_traits.h - what each kind of op is: one row for each.
 *
 * Whoever needs to know something of a kind of op reads its row: op_list_check(), the planner, the backends, the
 * self-test, tests/ops and the table of docs/ops.md. A backend adds a function, and nothing else.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_OP_TRAITS_H
#define PRESIZE_BACKEND_OP_TRAITS_H

#include "backend/op.h"

enum op_pass { PASS_FORWARD, PASS_BACKWARD, PASS_OPTIMISER };

/* Which values an input takes, for those who draw some. */
enum op_values {
    VALUES_ANY,
    VALUES_SPREAD,   /* each channel varies, about a mean of its own */
    VALUES_TIES,     /* equal numbers are welcome */
    VALUES_LOGITS,   /* far apart are welcome */
    VALUES_SHIFT,    /* a norm's beta */
    VALUES_STAT,     /* a row of means, a row of 1/sqrt(var + eps), which are above 0 */
    VALUES_VARIANCE, /* above 0 */
    VALUES_SQUARES,  /* a mean of squares: at least 0 */
    VALUES_TAP,      /* of a max pool's window: r * 3 + s, inside out[0] */
    VALUES_PIXEL,    /* h * W + w of out[0] */
};

/* One place of in[] or out[]. ROLE:
 *   a ACT, F32 or 16 bits, one type within an op   f ACT, F32   u ACT, U8   b ACT, BITS   i ACT, I32
 *   p PARAM   s STATE   e PARAM or STATE   g GRAD   t STAT
 * a capital may be absent. SHAPE: a word for each dim, the rest are 1; see op_shape(). */
struct operand {
    const char *name; /* NULL: the op has no such place */
    char role;
    const char *shape;
    enum op_values values;
    bool changed; /* an input that the op updates: running statistics, what an optimiser steps */
    /* out[0] may lie on this input: the op reads each element right before it writes the same one. */
    bool in_place;
};

/* Sizes by letter: sizes['h' - 'a']. */
enum { OP_LETTERS = 26 };

struct op_traits {
    enum op_pass pass;
    struct operand in[OP_MAX_IN], out[OP_MAX_OUT];
    const char *does; /* for docs/ops.md, in Markdown; attributes are in backticks */
    bool runs_last;   /* sums over a microbatch: after its segment's other ops, for all pictures */
    bool update;      /* an optimiser's step: in[0] is the gradient, in[1] the parameter */
    bool every_part;  /* PASS_OPTIMISER: runs in each part of a step, not in the last alone */
    bool whole_list;  /* reads more of the list than its inputs: cannot be tried alone */
    bool decides;     /* by the sign of a norm's output what passes, like ops that write a mask */
    /* Of p and q: none, the op's own, or 3x3 with stride 2 and pad 1. */
    enum { WINDOW_NONE, WINDOW_OWN, WINDOW_POOL } window;
    /* Letters whose product is the longest sum's number of terms; "": few terms; NULL: no sum. */
    const char *sums;
    /* What else must be true; the text of what is wrong, or NULL. SIZES: those that tensors give. */
    const char *(*rule)(const struct op *o, const int sizes[OP_LETTERS]);
};

extern const struct op_traits op_traits[OP_KINDS];

/* D becomes SHAPE with SIZES. A word is a number, a letter, or both ("2c"), divided by a number or letter ("c/g").
 * Letters: n pictures, c h w input, k r s filter (k also classes), p q output, g groups, l levels, e all elements of
 * (k, c, r, s). */
void op_shape(int d[4], const char *shape, const int sizes[OP_LETTERS]);
/* Sets p, q and e from the other letters. */
void op_sizes_derive(int sizes[OP_LETTERS], const struct op *o);
/* Of the words of SHAPE that are one letter: sets the size of each letter that is still 0 to its dimension in D. */
void op_sizes_bind(int sizes[OP_LETTERS], const char *shape, const int d[4]);

/* "conv", "bn_bwd_stats", ...; "unknown" for what is no kind. */
const char *op_kind_name(enum op_kind k);
/* Whether a kind of op works on parameters alone, without pictures. */
bool op_is_optimiser(enum op_kind k);
/* Whether it is a step of an optimiser: in[0] is the gradient, in[1] the parameter. */
bool op_is_update(enum op_kind k);
/* Whether a kind sums statistics over the batch: an output is STAT. */
bool op_sums_batch(enum op_kind k);
/* The tensor on which out[0] of O may lie; 0: none. */
int op_in_place(const struct op *o);
/* Whether the step runs O: step->only, and the last of several parts for most of the optimiser's. */
bool op_runs(const struct op *o, const struct step *s);

#endif
