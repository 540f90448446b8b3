/* compare.h - bounds of every op, and the loop over cases and devices.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_COMPARE_H
#define PRESIZE_TESTS_COMPARE_H

#include "bits.h"
#include "ops.h"

static inline double gamma_of(double k)
{
    return k * unit / (1.0 - k * unit);
}

/* Terms in the longest sum of a case, and a few for what else is rounded. */
static inline double ops_terms(const struct ops_case *c)
{
    const struct op o = {.kind = c->kind, .stride = c->stride, .pad = c->pad};
    const char *sums = op_traits[c->kind].sums, *letter = sums;
    int sizes[OP_LETTERS];
    double terms = 1;

    ops_sizes(sizes, c, &o);
    for (; letter && *letter; letter++)
        terms *= sizes[*letter - 'a'];
    return letter != sums ? terms + 4 : 8;
}

/* Linear ops: tol[i] = 2 gamma_K of the same op on absolute values. */
static inline void ops_bound_linear(const struct ops_setup *s, float *const tol[MAX_OUT])
{
    struct ops_setup a = *s;
    struct ops_results r;
    struct err err = {0};
    double factor = 2.0 * gamma_of(ops_terms(&s->c));

    for (int i = 0; i < MAX_IN; i++) {
        if (!s->in[i])
            continue;
        a.in[i] = malloc(s->n_in[i] * sizeof(float));
        assert_non_null(a.in[i]);
        for (size_t e = 0; e < s->n_in[i]; e++)
            a.in[i][e] = fabsf(s->in[i][e]);
    }
    assert_int_equal(ops_run(&ref_exact_backend, &(struct exec_options){0}, &a, &r, &err), 0);
    for (int i = 0; i < MAX_OUT; i++)
        for (size_t e = 0; tol[i] && e < s->n_out[i]; e++)
            tol[i][e] = (float)(factor * (double)r.out[i][e] * (1 + 1e-6));
    ops_results_free(&r, &a);
    for (int i = 0; i < MAX_IN; i++)
        free(a.in[i]);
}

/* Channel of element E. */
static inline size_t ops_channel(const struct ops_case *c, size_t e)
{
    return e / ((size_t)c->h * (size_t)c->w) % (size_t)c->c;
}

/* mean: K u mean|y|; variance (from sums of y and y y): K u (mean y^2 + 2 |mean| mean|y|). */
static inline void ops_bound_stats(const struct ops_setup *s, const struct ops_results *ref,
                                   float *const tol[MAX_OUT], float *const state[MAX_IN])
{
    size_t channels = (size_t)s->c.c;
    double m = (double)s->n_in[0] / (double)channels, g = 2.0 * gamma_of(ops_terms(&s->c));

    for (size_t k = 0; k < channels; k++) {
        double absolute = 0.0, square = 0.0, mean = (double)ref->out[0][k];
        double rstd = (double)ref->out[0][channels + k], d_mean, d_var;

        for (size_t e = 0; e < s->n_in[0]; e++)
            if (ops_channel(&s->c, e) == k) {
                absolute += fabs((double)s->in[0][e]) / m;
                square += (double)s->in[0][e] * (double)s->in[0][e] / m;
            }
        d_mean = g * absolute;
        d_var = g * (square + 2.0 * fabs(mean) * absolute);
        tol[0][k] = (float)(d_mean + 2 * unit * fabs(mean));
        tol[0][channels + k] = (float)(rstd * rstd * rstd * d_var + 2 * unit * rstd);
        if (s->c.extra) {
            state[1][k] = (float)(0.1 * d_mean + 4 * unit * fabs((double)ref->state[1][k]));
            state[2][k] = (float)(0.2 * d_var + 4 * unit * fabs((double)ref->state[2][k]));
        }
    }
}

/* Forward and backward batch norm, element by element: a few roundings of each term. */
static inline void ops_bound_norm(const struct ops_setup *s, float *const tol[MAX_OUT])
{
    const struct ops_case *c = &s->c;
    size_t channels = (size_t)c->c;
    double m = (double)s->n_out[0] / (double)channels;

    for (size_t e = 0; e < s->n_out[0]; e++) {
        size_t k = ops_channel(c, e);
        double sum;

        if (c->kind == OP_BN_APPLY || c->kind == OP_BN_INFER) {
            int at = c->kind == OP_BN_APPLY ? 2 : 3;
            double rstd = c->kind == OP_BN_APPLY ? (double)s->in[1][channels + k]
                                                 : 1.0 / sqrt((double)s->in[2][k] + 1e-5);

            sum = (fabs((double)s->in[0][e]) + fabs((double)s->in[1][k])) * rstd *
                      fabs((double)s->in[at][k]) +
                  fabs((double)s->in[at + 1][k]) +
                  (c->extra ? fabs((double)s->in[at + 2][e]) : 0.0);
        } else {
            double rstd = (double)s->in[2][channels + k];

            sum = fabs((double)s->in[4][k]) * rstd *
                  (fabs((double)s->in[0][e]) + fabs((double)s->in[3][k]) / m +
                   (fabs((double)s->in[1][e]) + fabs((double)s->in[2][k])) * rstd *
                       fabs((double)s->in[3][channels + k]) / m);
        }
        tol[0][e] = (float)(16 * unit * sum);
    }
}

static inline void ops_bound_bwd_stats(const struct ops_setup *s, const struct ops_results *ref,
                                       float *const tol[MAX_OUT])
{
    size_t channels = (size_t)s->c.c;
    bool relu = s->c.kind == OP_BN_RELU_BWD_STATS;
    const float *y = s->in[relu ? 1 : 3], *stat = s->in[relu ? 2 : 4];
    const float *flows = ref->out[0] && !relu ? ref->out[0] : s->in[0];
    float *const *sums = relu ? tol : tol + 1;
    double g = 2.0 * gamma_of(ops_terms(&s->c));

    for (size_t k = 0; k < channels; k++) {
        double sum = 0.0, product = 0.0, mean = (double)stat[k], rstd = (double)stat[channels + k];

        for (size_t e = 0; e < s->n_in[0]; e++)
            if (ops_channel(&s->c, e) == k) {
                double a = fabs((double)flows[e]);

                if (flows != s->in[0])
                    tol[0][e] = (float)(4 * unit * a);
                sum += a;
                product += a * (fabs((double)y[e]) + fabs(mean)) * rstd;
            }
        sums[0][k] = sums[2][k] = (float)(g * sum);
        sums[0][channels + k] = sums[1][k] = (float)(g * product);
    }
}

/* exp(x - max): 1 ulp, and u |x - max| from rounding its argument; then a sum of k. */
static inline void ops_bound_softmax(const struct ops_setup *s, const struct ops_results *ref,
                                     float *const tol[MAX_OUT])
{
    size_t k = (size_t)s->c.k;
    double focal = (double)s->c.focal;

    for (size_t n = 0; n < (size_t)s->c.n; n++) {
        double low = INFINITY, high = -INFINITY, relative;

        for (size_t i = 0; i < k; i++) {
            const double x = (double)s->in[0][n * k + i];

            low = x < low ? x : low; /* gcc 12 fails at fmin() here on aarch64 */
            high = x > high ? x : high;
        }
        relative = 2 * unit * ((double)k + 8 + 2 * (high - low)) * (1 + focal * (1 + high - low));
        for (size_t i = n * k; i < (n + 1) * k; i++) {
            tol[0][i] = (float)(relative * (double)ref->out[0][i]) + 1e-37f;
            if (tol[2])
                tol[2][i] =
                    ((float)(relative + 4 * unit) + (focal > 0 ? 0 : tol[0][i] - (float)relative)) /
                    (float)s->c.n;
        }
        tol[1][n] = (float)(relative + 4 * unit * (high - low));
    }
}

/* Sums of a few terms. */
static inline void ops_bound_sums(const struct ops_setup *s, float *const tol[MAX_OUT],
                                  float *const state[MAX_IN])
{
    for (size_t e = 0; e < s->n_in[0]; e++) {
        double sum = fabs((double)s->in[0][e]);

        for (size_t at = e; at < s->n_in[1]; at += s->n_in[0])
            sum += fabs((double)s->in[1][at]);
        for (size_t at = e; at < s->n_in[1]; at += s->n_in[0])
            state[1][at] = (float)(8 * unit * sum);
        if (tol[0])
            tol[0][e] = (float)(8 * unit * sum);
    }
}

static inline void ops_bound_adam(const struct ops_setup *s, float *const state[MAX_IN])
{
    const struct step *t = &s->step;
    double bias1 = 1 - pow(t->mom, t->adam_step), bias2 = 1 - pow(t->sqr_mom, t->adam_step);

    for (size_t e = 0; e < s->n_in[0]; e++) {
        double clip = s->in[4] ? (double)*s->in[4] : 1.0, g = clip * (double)s->in[0][e];
        double p = (double)s->in[1][e], m = (double)s->in[2][e];
        double v = (double)s->in[3][e];
        double v1 = t->sqr_mom * v + (1 - t->sqr_mom) * g * g;
        double m_sum = t->mom * fabs(m) + (1 - t->mom) * fabs(g);

        state[2][e] = (float)(8 * unit * m_sum);
        state[3][e] = (float)(8 * unit * v1);
        state[1][e] = (float)(8 * unit * fabs(p) +
                              24 * unit * t->lr[1] / bias1 * m_sum / (sqrt(v1 / bias2) + t->eps));
    }
}

static inline void ops_bound_sgd(const struct ops_setup *s, float *const state[MAX_IN])
{
    const struct step *t = &s->step;

    for (size_t e = 0; e < s->n_in[0]; e++) {
        double clip = s->in[3] ? (double)*s->in[3] : 1.0, p = fabs((double)s->in[1][e]);
        double g = fabs(clip * (double)s->in[0][e]) + t->wd * p;
        double m = t->mom * fabs((double)s->in[2][e]) + g;

        state[2][e] = (float)(8 * unit * m);
        state[1][e] = (float)(8 * unit * p + 16 * unit * t->lr[1] * (g + m));
    }
}

/* The largest allowed difference of every value, before the rounding of a 16-bit store. */
static inline void ops_bound(const struct ops_setup *s, const struct ops_results *ref,
                             float *const tol[MAX_OUT], float *const state[MAX_IN])
{
    switch (s->c.kind) {
    case OP_BN_STATS:
        ops_bound_stats(s, ref, tol, state);
        return;
    case OP_BN_APPLY:
    case OP_BN_INFER:
    case OP_BN_BWD_APPLY:
    case OP_BN_RELU_BWD_APPLY:
        ops_bound_norm(s, tol);
        return;
    case OP_BN_BWD_STATS:
    case OP_BN_RELU_BWD_STATS:
        ops_bound_bwd_stats(s, ref, tol);
        return;
    case OP_SOFTMAX_LOSS:
        ops_bound_softmax(s, ref, tol);
        return;
    case OP_ADAM:
        ops_bound_adam(s, state);
        return;
    case OP_SGD:
        ops_bound_sgd(s, state);
        return;
    case OP_GRAD_SUM:
    case OP_EMA:
        ops_bound_sums(s, tol, state);
        return;
    case OP_AUGMENT:
    case OP_RELU:
    case OP_RELU_BWD:
    case OP_MAX_POOL:
        return; /* equal bits */
    default:
        ops_bound_linear(s, tol);
    }
}

/* Fails naming the first value of GOT that is not within TOL (and a 16-bit store's last place) of
 * WANT. */
static inline void ops_close(const struct ops_setup *s, const char *where, int which,
                             const float *got, const float *want, const float *tol, size_t n,
                             enum dtype dtype)
{
    for (size_t i = 0; i < n; i++) {
        double allowed = (double)tol[i], diff = fabs((double)got[i] - (double)want[i]);

        if (dtype == DTYPE_BF16 && allowed > 0.0)
            allowed += 0x1p-7 * fabs((double)want[i]);
        if (dtype == DTYPE_F16 && allowed > 0.0)
            allowed += 0x1p-10 * fabs((double)want[i]) + 0x1p-24;
        if (!(diff <= allowed))
            fail_msg("%s on %s: %d[%zu] is %.9g, ref %.9g, off by %.3g, allowed %.3g",
                     ops_case_name(&s->c), where, which, i, (double)got[i], (double)want[i], diff,
                     allowed);
    }
}

static inline void ops_compare(const struct ops_setup *s, const char *where,
                               const struct ops_results *got, const struct ops_results *ref)
{
    const struct op *o = &s->list->ops[0];
    float *tol[MAX_OUT] = {0}, *state[MAX_IN] = {0};

    for (int i = 0; i < MAX_OUT; i++)
        if (got->out[i])
            assert_non_null(tol[i] = calloc(s->n_out[i], sizeof(float)));
    for (int i = 0; i < MAX_IN; i++)
        if (got->state[i])
            assert_non_null(state[i] = calloc(s->n_in[i], sizeof(float)));
    ops_bound(s, ref, tol, state);
    for (int i = 0; i < MAX_OUT; i++)
        if (got->out[i]) {
            enum dtype t = s->list->tensors[o->out[i]].dtype;

            if (s->c.kind == OP_CONV_BWD_WEIGHT && strcmp(where, "cuda") == 0)
                t = s->c.dtype; /* cuDNN gives it in the type of its inputs */
            if (t == DTYPE_U8 || t == DTYPE_BITS || t == DTYPE_I32)
                memset(tol[i], 0, s->n_out[i] * sizeof(float));
            ops_close(s, where, i, got->out[i], ref->out[i], tol[i], s->n_out[i], t);
        }
    for (int i = 0; i < MAX_IN; i++)
        if (got->state[i])
            ops_close(s, where, 100 + i, got->state[i], ref->state[i], state[i], s->n_in[i],
                      DTYPE_F32);
    for (int i = 0; i < MAX_OUT; i++)
        free(tol[i]);
    for (int i = 0; i < MAX_IN; i++)
        free(state[i]);
}

static inline bool ops_is_conv(const struct ops_case *c)
{
    return (c->kind == OP_CONV || c->kind == OP_CONV_BWD_DATA || c->kind == OP_CONV_BWD_WEIGHT) &&
           c->dtype != DTYPE_F16;
}

/* Every case on every device there is, against ref. Devices that differ only in threads or instruction set
 * must give the same bits. What a device calls unsupported is counted apart. */
static inline void ops_check(const struct ops_case *cases, size_t n)
{
    int passed = 0, unsupported = 0, absent = 0;

    for (size_t i = 0; i < n; i++) {
        struct ops_setup s = ops_begin(&cases[i], i + 1);
        struct ops_results ref, first = {0};
        struct err err = {0};

        if (ops_run(&ref_backend, &(struct exec_options){0}, &s, &ref, &err) < 0)
            fail_msg("%s on ref: %s", ops_case_name(&s.c), err.msg);
        for (int d = 0; d < N_DEVICES; d++) {
            const struct backend *k = ops_backend(d);
            struct ops_results got;

            if (!k) {
                absent++;
                continue;
            }
            if (ops_run(k, &ops_devices[d].options, &s, &got, &err) < 0) {
                const bool must = ops_devices[d].own && !cases[i].refused && ops_is_conv(&cases[i]);

                if (err.kind != ERR_UNSUPPORTED || must)
                    fail_msg("%s on %s: %s", ops_case_name(&s.c), k->name, err.msg);
                ops_results_free(&got, &s);
                unsupported++;
                continue;
            }
            if (cases[i].refused && strcmp(k->name, "cpu") == 0)
                fail_msg("%s on cpu: should be unsupported", ops_case_name(&s.c));
            ops_compare(&s, k->name, &got, &ref);
            if (d == 0)
                first = got;
            else if (ops_devices[d].same && !ops_same_bits(&s, &first, &got))
                fail_msg("%s on %s, device %d: other bits than device 0", ops_case_name(&s.c),
                         k->name, d);
            if (d > 0)
                ops_results_free(&got, &s);
            passed++;
        }
        ops_print_bits(&s, &first);
        ops_results_free(&first, &s);
        ops_results_free(&ref, &s);
        ops_end(&s);
    }
    print_message("%s: %d passed, %d unsupported, %d without device\n", op_kind_name(cases[0].kind),
                  passed, unsupported, absent);
}

#endif
