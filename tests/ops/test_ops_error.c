/* test_ops_error.c - how far convolutions are from double, on the layers of the ResNets at 224 px: outputs and
 * both gradients. Allowed is an error of 1e-5 of the tensor's root mean square (as root mean square of the errors).
 *
 * Sums of some thousand products, 25,088 pixels in a weight gradient, and Winograd's transforms each have their
 * own error; measured worst on these layers: see the lines printed. SPDX-License-Identifier: MIT */
#include "compare.h"

enum { PICTURES = 8, SAMPLES = 400 };
static const double allowed = 1e-5;

static const struct {
    int c, k, side, r, stride;
} layers[] = {{3, 64, 224, 7, 2},    {64, 64, 56, 3, 1},    {128, 128, 28, 3, 1},
              {256, 256, 14, 3, 1},  {512, 512, 7, 3, 1},   {64, 128, 56, 3, 2},
              {256, 512, 14, 3, 2},  {512, 512, 14, 3, 2},  {64, 256, 56, 1, 1},
              {512, 128, 28, 1, 1},  {1024, 256, 14, 1, 1}, {2048, 512, 7, 1, 1},
              {1024, 2048, 14, 1, 2}};
enum { LAYERS = sizeof layers / sizeof layers[0] };

struct shape {
    int c, h, k, r, stride, pad, p; /* square pictures and filters */
};

static double x_at(const struct shape *s, const float *x, int n, int c, int h, int w)
{
    if (h < 0 || h >= s->h || w < 0 || w >= s->h)
        return 0;
    return (
        double)x[((size_t)(n * s->c + c) * (size_t)s->h + (size_t)h) * (size_t)s->h + (size_t)w];
}

static double w_at(const struct shape *s, const float *w, int k, int c, int r, int q)
{
    return (
        double)w[((size_t)(k * s->c + c) * (size_t)s->r + (size_t)r) * (size_t)s->r + (size_t)q];
}

static double y_at(const struct shape *s, const float *y, int n, int k, int p, int q)
{
    return (
        double)y[((size_t)(n * s->k + k) * (size_t)s->p + (size_t)p) * (size_t)s->p + (size_t)q];
}

/* Number E of y = conv(x, w). */
static double forward(const struct shape *s, const float *x, const float *w, size_t e)
{
    const int q = (int)(e % (size_t)s->p), p = (int)(e / (size_t)s->p % (size_t)s->p);
    const int k = (int)(e / (size_t)(s->p * s->p) % (size_t)s->k),
              n = (int)(e / (size_t)(s->p * s->p) / (size_t)s->k);
    double sum = 0;

    for (int c = 0; c < s->c; c++)
        for (int r = 0; r < s->r; r++)
            for (int t = 0; t < s->r; t++)
                sum += w_at(s, w, k, c, r, t) *
                       x_at(s, x, n, c, p * s->stride + r - s->pad, q * s->stride + t - s->pad);
    return sum;
}

/* Number E of x's gradient. */
static double data(const struct shape *s, const float *dy, const float *w, size_t e)
{
    const int col = (int)(e % (size_t)s->h), row = (int)(e / (size_t)s->h % (size_t)s->h);
    const int c = (int)(e / (size_t)(s->h * s->h) % (size_t)s->c),
              n = (int)(e / (size_t)(s->h * s->h) / (size_t)s->c);
    double sum = 0;

    for (int r = 0; r < s->r; r++)
        for (int t = 0; t < s->r; t++) {
            const int p = row + s->pad - r, q = col + s->pad - t;

            if (p < 0 || q < 0 || p % s->stride || q % s->stride || p / s->stride >= s->p ||
                q / s->stride >= s->p)
                continue;
            for (int k = 0; k < s->k; k++)
                sum += w_at(s, w, k, c, r, t) * y_at(s, dy, n, k, p / s->stride, q / s->stride);
        }
    return sum;
}

/* Number E of w's gradient. */
static double weight(const struct shape *s, const float *x, const float *dy, size_t e)
{
    const int t = (int)(e % (size_t)s->r), r = (int)(e / (size_t)s->r % (size_t)s->r);
    const int c = (int)(e / (size_t)(s->r * s->r) % (size_t)s->c),
              k = (int)(e / (size_t)(s->r * s->r) / (size_t)s->c);
    double sum = 0;

    for (int n = 0; n < PICTURES; n++)
        for (int p = 0; p < s->p; p++)
            for (int q = 0; q < s->p; q++)
                sum += y_at(s, dy, n, k, p, q) *
                       x_at(s, x, n, c, p * s->stride + r - s->pad, q * s->stride + t - s->pad);
    return sum;
}

struct error {
    double off, all; /* sums of squares: of the errors, of the numbers */
};

/* SAMPLES numbers of RESULT against double; SCALE is 1, but for the control. */
static double distance(const struct ops_setup *s, const struct shape *shape, const float *result,
                       double scale)
{
    struct rng rng = rng_begin(7, RNG_TEST, 0, 0);
    struct error e = {0, 0};

    for (int i = 0; i < SAMPLES; i++) {
        const size_t at = rng_u32(&rng) % s->n_out[0];
        const double want = s->c.kind == OP_CONV            ? forward(shape, s->in[0], s->in[1], at)
                            : s->c.kind == OP_CONV_BWD_DATA ? data(shape, s->in[0], s->in[1], at)
                                                            : weight(shape, s->in[0], s->in[1], at);
        const double off = scale * (double)result[at] - want;

        e.off += off * off;
        e.all += want * want;
    }
    return sqrt(e.off / e.all);
}

static double check_layer(enum op_kind kind, int i)
{
    const struct ops_case c = {.kind = kind,
                               .n = PICTURES,
                               .micro = PICTURES,
                               .c = layers[i].c,
                               .h = layers[i].side,
                               .w = layers[i].side,
                               .k = layers[i].k,
                               .r = layers[i].r,
                               .stride = layers[i].stride,
                               .pad = layers[i].r / 2,
                               .dtype = DTYPE_F32};
    const struct shape shape = {
        c.c, c.h, c.k, c.r, c.stride, c.pad, (c.h + 2 * c.pad - c.r) / c.stride + 1};
    struct ops_setup s = ops_begin(&c, (uint64_t)i);
    struct ops_results r;
    struct err err = {0};
    double off;

    if (ops_run(&cpu_backend, &(struct exec_options){0}, &s, &r, &err) < 0)
        fail_msg("%s: %s", ops_case_name(&c), err.msg);
    off = distance(&s, &shape, r.out[0], 1);
    if (!(off <= allowed))
        fail_msg("%s: off by %.3g of the root mean square", ops_case_name(&c), off);
    assert_false(distance(&s, &shape, r.out[0], 1 + 2 * allowed) <= allowed); /* the control */
    ops_results_free(&r, &s);
    ops_end(&s);
    return off;
}

static void every_layer_is_near_double(void **state)
{
    static const enum op_kind kinds[] = {OP_CONV, OP_CONV_BWD_DATA, OP_CONV_BWD_WEIGHT};

    (void)state;
    for (int k = 0; k < 3; k++) {
        double worst = 0;

        for (int i = kinds[k] == OP_CONV_BWD_DATA ? 1 : 0; i < LAYERS; i++)
            worst = fmax(worst, check_layer(kinds[k], i));
        print_message("%s: at most %.2g of the root mean square\n", op_kind_name(kinds[k]), worst);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_is_near_double),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
