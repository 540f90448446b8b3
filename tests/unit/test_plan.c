/* test_plan.c - segments and memory of lists of ops.
 *
 * Random lists are checked by brute force: no two tensors that hold values at the same time share a byte, and
 * played through on the planned memory, every op finds what was written for it. A plan with one offset moved
 * must be found out by the one check, a plan for another order by the other.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "backend/op_traits.h"
#include "backend/plan.h"
#include "base/rng.h"

#define OP(k, ...) ((struct op){.kind = (k), __VA_ARGS__})

enum { BATCH = 12, MICRO = 4 };

static size_t slice(const void *ctx, int tensor)
{
    const struct tensor *t = &((const struct op_list *)ctx)->tensors[tensor];

    return tensor_elements(t) / (size_t)t->dims[0] * dtype_size(t->dtype);
}

static int act(struct op_list *l, int channels)
{
    char name[32];

    snprintf(name, sizeof name, "a%d", l->n_tensors);
    return op_list_tensor(l, name, TENSOR_ACT, DTYPE_F32, BATCH, channels, 1, 1);
}

static int other(struct op_list *l, const char *prefix, enum tensor_role role, int d0, int d1)
{
    char name[32];

    snprintf(name, sizeof name, "%s%d", prefix, l->n_tensors);
    return op_list_tensor(l, name, role, role == TENSOR_STAT ? DTYPE_F64 : DTYPE_F32, d0, d1, 1, 1);
}

/* bn_stats, bn_apply of X and, where it is not 0, RESIDUAL; the new activation. */
static int batch_norm(struct op_list *l, int x, int residual, int channels, int *stat)
{
    int z = act(l, channels);

    *stat = other(l, "s", TENSOR_STAT, 2, channels);
    op_list_add(l, OP(OP_BN_STATS, .in = {x}, .out = {*stat}));
    op_list_add(l, OP(OP_BN_APPLY,
                      .in = {x, *stat, other(l, "g", TENSOR_PARAM, channels, 1),
                             other(l, "b", TENSOR_PARAM, channels, 1), residual},
                      .out = {z}));
    return z;
}

/* A chain of relus, batch norms, linear layers and branches of varying width. */
static struct op_list *random_list(struct rng *r, int n_ops)
{
    struct op_list *l = op_list_new(BATCH, MICRO);
    int x[64], n = 1, stat;

    x[0] = act(l, 1 + (int)rng_below(r, 200));
    while (l->n_ops < n_ops && n < 60) {
        int from = x[n - 1 - (int)rng_below(r, (uint32_t)(n < 4 ? n : 4))];
        int channels = l->tensors[from].dims[1], to, before = x[n - 1];

        switch (rng_below(r, 5)) {
        case 0:
            to = act(l, channels);
            op_list_add(l, OP(OP_RELU, .in = {from}, .out = {to}));
            break;
        case 1:
            to = batch_norm(l, from, l->tensors[before].dims[1] == channels ? before : 0, channels,
                            &stat);
            break;
        case 2:
            op_list_add(
                l, OP(OP_LINEAR_BWD_WEIGHT, .in = {from, before},
                      .out = {other(l, "d", TENSOR_GRAD, l->tensors[before].dims[1], channels)}));
            continue;
        default:
            to = act(l, 1 + (int)rng_below(r, 200));
            op_list_add(
                l, OP(OP_LINEAR,
                      .in = {from, other(l, "w", TENSOR_PARAM, l->tensors[to].dims[1], channels)},
                      .out = {to}));
        }
        x[n++] = to;
    }
    return l;
}

struct use {
    int first_op, last_op, first_segment, last_segment;
    bool read, written;
};

static struct use use_of(const struct plan *p, const struct op_list *l, int t)
{
    struct use u = {-1, -1, -1, -1, false, false};

    for (int s = 0; s < p->n_segments; s++)
        for (int o = p->segments[s].first; o < p->segments[s].first + p->segments[s].n; o++) {
            bool in = false, out = false;

            for (int k = 0; k < 6; k++)
                in |= l->ops[o].in[k] == t;
            for (int k = 0; k < 4; k++)
                out |= l->ops[o].out[k] == t;
            if (!in && !out)
                continue;
            u.read |= in;
            u.written |= out;
            if (u.first_op < 0) {
                u.first_op = o;
                u.first_segment = s;
            }
            u.last_op = o;
            u.last_segment = s;
        }
    return u;
}

/* Whether B has the room of A because ops worked in place, the first of them the last that touches A. */
static bool is_followed_by(const struct plan *p, const struct op_list *l, int a, int b)
{
    while (a && a != b) {
        const struct op *o = &l->ops[use_of(p, l, a).last_op];

        a = op_in_place(o) == a && p->tensors[a].offset == p->tensors[b].offset &&
                    use_of(p, l, o->out[0]).first_op == o - l->ops
                ? o->out[0]
                : 0;
    }
    return a == b;
}

/* What is wrong with the plan; NULL when nothing is. */
static const char *fault(const struct plan *p, const struct op_list *l)
{
    int next = 0;

    for (int s = 0; s < p->n_segments; s++) {
        if (p->segments[s].first != next || p->segments[s].n < 1)
            return "segments do not tile the list";
        next += p->segments[s].n;
    }
    if (next != l->n_ops)
        return "segments do not cover the list";
    for (int a = 1; a < l->n_tensors; a++) {
        struct use ua = use_of(p, l, a);
        bool outside = !ua.read || !ua.written, local;
        size_t bytes;

        if (l->tensors[a].role != TENSOR_ACT || ua.first_op < 0) {
            if (p->tensors[a].place != PLACE_NONE)
                return "a tensor that needs no place has one";
            continue;
        }
        local = !outside && ua.first_segment == ua.last_segment;
        if (p->tensors[a].place != (local ? PLACE_LOCAL : PLACE_ARENA))
            return "wrong place";
        bytes = slice(l, a) * (local ? MICRO : BATCH);
        if (p->tensors[a].offset % 64 ||
            p->tensors[a].offset + bytes > (local ? p->local_bytes : p->arena_bytes))
            return "offset out of bounds or not aligned";
        for (int b = 1; b < a; b++) {
            struct use ub = use_of(p, l, b);
            bool shared = !ub.read || !ub.written || outside, meet;
            size_t other_bytes = slice(l, b) * (local ? MICRO : BATCH);

            if (p->tensors[b].place != p->tensors[a].place)
                continue;
            meet = local ? ua.first_op <= ub.last_op && ub.first_op <= ua.last_op
                         : shared || (ua.first_segment <= ub.last_segment &&
                                      ub.first_segment <= ua.last_segment);
            if (!local && (is_followed_by(p, l, a, b) || is_followed_by(p, l, b, a)))
                continue;
            if (meet && p->tensors[a].offset < p->tensors[b].offset + other_bytes &&
                p->tensors[b].offset < p->tensors[a].offset + bytes)
                return "two live tensors overlap";
        }
    }
    return NULL;
}

struct memory { /* a number for each four bytes: whose they are */
    const struct plan *p;
    const struct op_list *l;
    int *arena, *local;
    bool lost;
};

/* Picture N's slice of tensor T is written, or read: is it still there? */
static void access_slice(struct memory *m, int t, int n, bool write)
{
    const size_t words = slice(m->l, t) / sizeof(int);
    const size_t at =
        m->p->tensors[t].offset / sizeof(int) + (size_t)(n % m->p->tensors[t].pictures) * words;
    int *place = m->p->tensors[t].place == PLACE_LOCAL ? m->local : m->arena;

    for (size_t i = at; i < at + words; i++) {
        m->lost |= !write && place[i] != t * BATCH + n;
        if (write)
            place[i] = t * BATCH + n;
    }
}

static void run_op(struct memory *m, const struct op *o, int first, int pictures)
{
    for (int write = 0; write < 2; write++)
        for (int k = 0; k < (write ? OP_MAX_OUT : OP_MAX_IN); k++) {
            const int t = write ? o->out[k] : o->in[k];

            for (int n = first; m->l->tensors[t].role == TENSOR_ACT && n < first + pictures; n++)
                access_slice(m, t, n, write);
        }
}

/* As one worker of the cpu backend does. Whether an op missed what it should read. */
static bool loses_something(const struct plan *p, const struct op_list *l)
{
    struct memory m = {p, l, calloc(p->arena_bytes + 4, 1), calloc(p->local_bytes + 4, 1), false};

    for (int n = 0; n < BATCH; n++)
        access_slice(&m, 1, n, true); /* the list's input */
    for (int s = 0; s < p->n_segments; s++) {
        const struct segment *g = &p->segments[s];

        for (int micro = 0; micro < BATCH; micro += MICRO) {
            for (int i = 0; i < MICRO; i += g->pictures)
                for (int o = g->first; o < g->first + g->n; o++)
                    if (!op_traits[l->ops[o].kind].runs_last)
                        run_op(&m, &l->ops[o], micro + i, g->pictures);
            for (int o = g->first; o < g->first + g->n; o++)
                if (op_traits[l->ops[o].kind].runs_last)
                    run_op(&m, &l->ops[o], micro, MICRO);
        }
    }
    free(m.arena);
    free(m.local);
    return m.lost;
}

static void random_lists_find_what_was_written(void **state)
{
    int caught = 0, cut = 0, in_place = 0;

    (void)state;
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct rng r = rng_begin(seed, RNG_TEST, 1, 0);
        struct op_list *l = random_list(&r, 4 + (int)seed % 50);
        const size_t cache = 100 + rng_below(&r, 4000);
        struct err err = {0};
        struct plan *p, *in_order;

        assert_int_equal(op_list_check(l, &err), 0);
        assert_int_equal(plan_make(&p, l, slice, l, cache, &err), 0);
        assert_int_equal(plan_make(&in_order, l, slice, l, 0, &err), 0);
        if (loses_something(p, l))
            fail_msg("seed %u, %zu bytes of cache", seed, cache);
        for (int s = 0; s < p->n_segments; s++) {
            cut += p->segments[s].pictures < MICRO;
            assert_int_equal(MICRO % p->segments[s].pictures, 0);
            in_order->segments[s].pictures = p->segments[s].pictures;
        }
        for (int o = 0; o < l->n_ops; o++)
            in_place += l->ops[o].kind == OP_BN_APPLY &&
                        plan_same_room(p, l->ops[o].in[4], l->ops[o].out[0]);
        caught += loses_something(in_order, l); /* the control */
        plan_free(p);
        plan_free(in_order);
        op_list_free(l);
    }
    assert_true(cut > 200);
    assert_true(caught > 50);
    assert_true(in_place > 20);
}

static void random_lists_never_overlap(void **state)
{
    int caught = 0;

    (void)state;
    for (uint32_t seed = 0; seed < 60; seed++) {
        struct rng r = rng_begin(seed, RNG_TEST, 0, 0);
        struct op_list *l = random_list(&r, 4 + (int)seed);
        struct err err = {0};
        struct plan *p;
        const char *what;

        assert_int_equal(op_list_check(l, &err), 0);
        assert_int_equal(plan_make(&p, l, slice, l, 0, &err), 0);
        what = fault(p, l);
        if (what)
            fail_msg("seed %u: %s", seed, what);
        /* the control: a tensor put on top of another one must be noticed */
        for (int t = 1; t < l->n_tensors; t++)
            if (p->tensors[t].place == PLACE_ARENA && p->tensors[t].offset > 0) {
                p->tensors[t].offset = 0;
                caught += fault(p, l) != NULL;
                break;
            }
        plan_free(p);
        op_list_free(l);
    }
    assert_true(caught > 30);
}

static void memory_is_shared(void **state)
{
    struct op_list *l = op_list_new(BATCH, MICRO);
    struct err err = {0};
    struct plan *p;
    int x = act(l, 64), stat;
    const size_t one = 64 * sizeof(float);

    (void)state;
    for (int i = 0; i < 10; i++) {
        int y = act(l, 64);

        op_list_add(l, OP(OP_RELU, .in = {x}, .out = {y}));
        x = batch_norm(l, y, 0, 64, &stat);
    }
    assert_int_equal(plan_make(&p, l, slice, l, 0, &err), 0);
    assert_int_equal(p->n_segments, 11); /* relu stats | apply relu stats | ... | apply */
    /* input and output for good; of the rest two at a time (what a batch norm reads in its second segment, and
     * the next one's) */
    assert_int_equal(p->arena_bytes, 4 * BATCH * one);
    assert_int_equal(p->local_bytes, MICRO * one);
    plan_free(p);
    op_list_free(l);
}

/* z[i + 1] = norm(relu(z[i])) + z[i], all in one room but the last, which lives in one segment; not where a
 * gradient of weights asks for a z later. */
static void a_stream_of_blocks_is_one_tensor(void **state)
{
    (void)state;
    for (int trained = 0; trained < 2; trained++) {
        struct op_list *l = op_list_new(BATCH, MICRO);
        struct err err = {0};
        struct plan *p;
        int z[6], stat, shared = 0;

        z[0] = act(l, 64);
        op_list_add(l, OP(OP_RELU, .in = {act(l, 64)}, .out = {z[0]}));
        for (int i = 0; i < 5; i++) {
            int y = act(l, 64);

            op_list_add(l, OP(OP_RELU, .in = {z[i]}, .out = {y}));
            z[i + 1] = batch_norm(l, y, z[i], 64, &stat);
        }
        if (trained)
            op_list_add(l, OP(OP_LINEAR_BWD_WEIGHT, .in = {z[2], z[5]},
                              .out = {other(l, "d", TENSOR_GRAD, 64, 64)}));
        op_list_add(l, OP(OP_RELU, .in = {z[5]}, .out = {act(l, 64)}));
        assert_int_equal(op_list_check(l, &err), 0);
        assert_int_equal(plan_make(&p, l, slice, l, 0, &err), 0);
        assert_null(fault(p, l));
        for (int i = 0; i < 5; i++)
            shared += plan_same_room(p, z[i], z[i + 1]);
        assert_int_equal(shared, trained ? 3 : 4);
        assert_false(trained && plan_same_room(p, z[2], z[3]));
        plan_free(p);
        op_list_free(l);
    }
}

static void segments_end_where_a_sum_is_read(void **state)
{
    struct op_list *l = op_list_new(BATCH, MICRO);
    struct err err = {0};
    struct plan *p;
    int x = act(l, 16), dy = act(l, 8), w = other(l, "w", TENSOR_PARAM, 8, 16), dx = act(l, 16);
    int grad = other(l, "dw", TENSOR_GRAD, 8, 16), m = other(l, "m", TENSOR_STATE, 8, 16);
    int v = other(l, "v", TENSOR_STATE, 8, 16);

    (void)state;
    op_list_add(l, OP(OP_LINEAR_BWD_WEIGHT, .in = {x, dy}, .out = {grad}));
    op_list_add(l, OP(OP_LINEAR_BWD_DATA, .in = {dy, w}, .out = {dx}));
    op_list_add(l, OP(OP_ADAM, .in = {grad, w, m, v}));
    assert_int_equal(op_list_check(l, &err), 0);
    assert_int_equal(plan_make(&p, l, slice, l, 0, &err), 0);
    assert_int_equal(p->n_segments, 2); /* the gradient, unread so far, does not end it */
    assert_int_equal(p->segments[0].n, 2);
    assert_true(p->segments[1].elementwise && !p->segments[0].elementwise);
    plan_free(p);
    op_list_free(l);
}

/* Backends run a CONV and the BN_INFER after it as one. */
static void a_folded_norm_does_not_overwrite_its_input(void **state)
{
    struct op_list *l = op_list_new(BATCH, MICRO);
    struct err err = {0};
    struct plan *p;
    static const char *const weights[] = {"w0", "w1", "w2", "w3"};
    int x[8];

    (void)state;
    x[0] = act(l, 16);
    for (int i = 0; i < 4; i++) {
        int y = act(l, 16),
            w = op_list_tensor(l, weights[i], TENSOR_PARAM, DTYPE_F32, 16, 16, 1, 1);
        int v[4];

        for (int k = 0; k < 4; k++)
            v[k] = other(l, "v", k < 2 ? TENSOR_STATE : TENSOR_PARAM, 16, 1);
        x[i + 1] = act(l, 16);
        op_list_add(l, OP(OP_CONV, .in = {x[i], w}, .out = {y}, .stride = 1));
        op_list_add(l, OP(OP_BN_INFER, .in = {y, v[0], v[1], v[2], v[3]}, .out = {x[i + 1]}));
    }
    assert_int_equal(op_list_check(l, &err), 0);
    assert_int_equal(plan_make(&p, l, slice, l, 0, &err), 0);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(p->tensors[x[i]].place, PLACE_LOCAL);
        assert_int_not_equal(p->tensors[x[i]].offset, p->tensors[x[i + 1]].offset);
    }
    plan_free(p);
    op_list_free(l);
}

static size_t huge(const void *ctx, int tensor)
{
    (void)ctx;
    (void)tensor;
    return SIZE_MAX / 4;
}

static void sizes_that_overflow_are_refused(void **state)
{
    struct op_list *l = op_list_new(BATCH, MICRO);
    struct err err = {0};
    struct plan *p;
    int x = act(l, 4), y = act(l, 4);

    (void)state;
    op_list_add(l, OP(OP_RELU, .in = {x}, .out = {y}));
    assert_true(plan_make(&p, l, huge, NULL, 0, &err) < 0);
    assert_int_equal(err.kind, ERR_NOMEM);
    assert_null(p);
    plan_free(p);
    op_list_free(l);
}

static void an_empty_list_has_a_plan(void **state)
{
    struct op_list *l = op_list_new(1, 1);
    struct err err = {0};
    struct plan *p;

    (void)state;
    assert_int_equal(plan_make(&p, l, slice, l, 0, &err), 0);
    assert_int_equal(p->n_segments, 0);
    assert_int_equal(p->arena_bytes + p->local_bytes, 0);
    plan_free(p);
    op_list_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lists_find_what_was_written),
        cmocka_unit_test(random_lists_never_overlap),
        cmocka_unit_test(memory_is_shared),
        cmocka_unit_test(a_stream_of_blocks_is_one_tensor),
        cmocka_unit_test(segments_end_where_a_sum_is_read),
        cmocka_unit_test(a_folded_norm_does_not_overwrite_its_input),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(an_empty_list_has_a_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
