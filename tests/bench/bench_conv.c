/* bench_conv.c - the convolutions of the networks, ours and oneDNN's by turns, on one thread.
 *
 *   bench_conv [ARCH [PRECISION [REPEATS [ISA]]]]   e.g. bench_conv resnet50 fp32 5 avx2
 *
 * Every convolution of a training step (three passes) with its shape, 224 px, as many pictures as the planner
 * gives it; GFLOP/s counted as direct convolution. The last rows are of all of them together, which is what a
 * step's bare convolutions cost. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/conv/conv.h"
#include "backend/cpu/onednn.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/thread.h"
#include "nn/network.h"

enum { SIZE = 224, CLASSES = 37, MICRO = 8, MOST = 256, ROOM = 1 << 20 };

struct row { /* one shape */
    struct conv_shape s;
    int times; /* in a step */
};

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        fprintf(stderr, "bench_conv: %s\n", err->msg);
        exit(1);
    }
}

static void *numbers(size_t n, enum dtype t, float scale)
{
    void *data = aligned_alloc(64, (n * dtype_size(t) / 64 + 1) * 64);
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);

    for (size_t i = 0; data && i < n; i++)
        dtype_put(data, i, t, scale * ((float)(rng_u32(&r) >> 8) / (1 << 24) - 0.5F));
    return data;
}

static int rows_of(struct row *rows, int arch, enum dtype dtype)
{
    const struct model_options m = {.arch = arch, .dropout = 0.5};
    const struct network_shape shape = {.batch = MICRO,
                                        .microbatch = MICRO,
                                        .size = SIZE,
                                        .dtype = dtype,
                                        .augment = true,
                                        .dropout = 0.5};
    struct network *net;
    struct op_list *l;
    struct err err = {0};
    int n = 0;

    check(network_new(&net, &m, CLASSES, &err), &err);
    check(network_train_list(&l, net, &shape, &err), &err);
    for (int i = 0; i < l->n_ops; i++) {
        const struct op *o = &l->ops[i];
        const struct tensor *t = l->tensors;
        struct conv_shape s = {.stride = o->stride, .pad = o->pad, .dtype = dtype, .n = MICRO};
        int x, w, y, k = 0;

        if (o->kind == OP_CONV)
            s.pass = CONV_FORWARD, x = o->in[0], w = o->in[1], y = o->out[0];
        else if (o->kind == OP_CONV_BWD_DATA)
            s.pass = CONV_BACKWARD_DATA, x = o->out[0], w = o->in[1], y = o->in[0];
        else if (o->kind == OP_CONV_BWD_WEIGHT)
            s.pass = CONV_BACKWARD_WEIGHT, x = o->in[0], w = o->out[0], y = o->in[1];
        else
            continue;
        s.c = t[x].dims[1], s.h = t[x].dims[2], s.w = t[x].dims[3];
        s.k = t[w].dims[0], s.r = t[w].dims[2], s.s = t[w].dims[3];
        s.p = t[y].dims[2], s.q = t[y].dims[3];
        if (s.pass != CONV_BACKWARD_WEIGHT) {
            const size_t a = (size_t)(s.c * s.h * s.w), b = (size_t)(s.k * s.p * s.q);
            const size_t fit = ROOM / ((a > b ? a : b) * dtype_size(dtype));

            while ((size_t)s.n > (fit ? fit : 1))
                s.n /= 2;
        }
        while (k < n && memcmp(&rows[k].s, &s, sizeof s) != 0)
            k++;
        rows[k].s = s;
        rows[k].times = k == n ? 1 : rows[k].times + 1;
        n += k == n;
    }
    op_list_free(l);
    network_free(net);
    return n;
}

struct sides { /* one row, both ways */
    struct conv *own;
    struct dnn_conv *dnn;
    float *packed, *leaf;
    void *dnn_weight, *x, *y, *scratch, *dnn_scratch;
};

static void sides_new(struct sides *b, const struct conv_shape *s, struct dnn *d, enum isa isa)
{
    const bool nhwc = !dnn_has_avx512(d);
    const struct dnn_conv_desc c = {
        .pass = (enum dnn_pass)s->pass,
        .n = s->n,
        .c = s->c,
        .h = s->h,
        .w = s->w,
        .k = s->k,
        .r = s->r,
        .s = s->s,
        .p = s->p,
        .q = s->q,
        .stride = s->stride,
        .pad = s->pad,
        .dtype = s->dtype,
        .x = nhwc        ? DNN_NHWC
             : s->c < 16 ? DNN_NCHW
                         : DNN_BLOCKED16,
        .y = nhwc ? DNN_NHWC : DNN_BLOCKED16,
        .winograd = s->dtype == DTYPE_F32 && s->r == 3 && s->stride == 1 && s->h >= 14,
    };
    const size_t nx = (size_t)s->n * (size_t)(s->c * s->h * s->w),
                 ny = (size_t)s->n * (size_t)(s->k * s->p * s->q),
                 nw = (size_t)(s->k * s->c * s->r * s->s);
    float *plain = numbers(nw, DTYPE_F32, 0.1F);
    struct conv_format f;
    struct err err = {0};

    check(conv_new(&b->own, s, isa, &err), &err);
    check(dnn_conv_new(&b->dnn, d, &c, &err), &err);
    b->x = numbers(nx, s->dtype, 2);
    b->y = numbers(ny, s->dtype, 2);
    f = conv_weight_format(b->own);
    b->packed = numbers(conv_format_bytes(&f) / 4, DTYPE_F32, 0);
    if (s->pass == CONV_BACKWARD_WEIGHT)
        b->leaf = numbers(conv_leaf_floats(b->own), DTYPE_F32, 0);
    else
        for (int i = 0; i < conv_format_parts(&f); i++)
            conv_format_fill(&f, i, plain, b->packed, isa);
    b->dnn_weight = numbers(dnn_format_bytes(dnn_conv_format(b->dnn)) / 4 + 16, DTYPE_F32, 0.1F);
    b->scratch = numbers(conv_scratch(b->own) / 4 + 16, DTYPE_F32, 0);
    b->dnn_scratch = numbers(dnn_conv_scratch(b->dnn) / 4 + 16, DTYPE_F32, 0);
    free(plain);
}

static void sides_clear(struct sides *b)
{
    conv_free(b->own);
    dnn_conv_free(b->dnn);
    free(b->packed), free(b->leaf), free(b->dnn_weight), free(b->x), free(b->y), free(b->scratch),
        free(b->dnn_scratch);
    *b = (struct sides){0};
}

static double run_own(struct sides *b, enum conv_pass pass)
{
    const double start = clock_seconds();

    if (pass == CONV_FORWARD)
        conv_forward(b->own, b->x, b->packed, b->y, NULL, b->scratch);
    else if (pass == CONV_BACKWARD_DATA)
        conv_backward_data(b->own, b->y, b->packed, b->x, b->scratch);
    else
        conv_backward_weight(b->own, b->x, b->y, b->leaf, b->scratch);
    return clock_seconds() - start;
}

static double run_dnn(struct sides *b)
{
    const double start = clock_seconds();

    if (dnn_conv_run(b->dnn, 0, b->x, b->dnn_weight, b->y, b->dnn_scratch) < 0)
        exit(1);
    return clock_seconds() - start;
}

static void measure(const char *arch, const struct row *rows, int n, int repeats, struct dnn *d,
                    enum isa isa)
{
    static const char *const passes[] = {"forward", "data", "weight"};
    double own_all[4] = {0}, dnn_all[4] = {0}, flops_all[4] = {0};

    for (int i = 0; i < n; i++) {
        const struct conv_shape *s = &rows[i].s;
        const double flops = 2.0 * s->n * s->p * s->q * s->k * s->c * s->r * s->s;
        const double all = rows[i].times * (double)MICRO / s->n;
        double own = 1e9, dnn = 1e9;
        struct sides b = {0};

        sides_new(&b, s, d, isa);
        run_own(&b, s->pass);
        run_dnn(&b);
        for (int k = 0; k < repeats; k++) {
            const double a = run_own(&b, s->pass), c = run_dnn(&b);

            own = a < own ? a : own;
            dnn = c < dnn ? c : dnn;
        }
        printf("%-8s %-9s %d x %4d %3d px -> %4d, %dx%d/%d %-8s x%2d %8.3f ms %7.1f %7.1f  %5.2f  "
               "%s\n",
               arch, passes[s->pass], s->n, s->c, s->h, s->k, s->r, s->s, s->stride,
               conv_algorithm_name(conv_algorithm(s)), rows[i].times, own * 1e3, flops / own * 1e-9,
               flops / dnn * 1e-9, dnn / own, dnn_conv_kernel(b.dnn));
        for (int k = 0; k < 2; k++) {
            const int at = k ? 3 : (int)s->pass;

            own_all[at] += own * all;
            dnn_all[at] += dnn * all;
            flops_all[at] += flops * all;
        }
        sides_clear(&b);
    }
    for (int k = 0; k < 4; k++)
        printf("%-8s %-9s all %30s %8.1f ms %7.1f %7.1f  %5.2f\n", arch,
               k < 3 ? passes[k] : "three", "", own_all[k] * 1e3, flops_all[k] / own_all[k] * 1e-9,
               flops_all[k] / dnn_all[k] * 1e-9, dnn_all[k] / own_all[k]);
}

struct job {
    const char *arch;
    const struct row *rows;
    int n, repeats;
    struct dnn *d;
    enum isa isa;
};

static void task(void *ctx, int i, int worker) /* in a pool, as it flushes denormals */
{
    const struct job *j = ctx;

    (void)i;
    (void)worker;
    measure(j->arch, j->rows, j->n, j->repeats, j->d, j->isa);
}

int main(int argc, char **argv)
{
    struct pool *pool;
    static const struct {
        const char *name;
        int arch;
    } archs[] = {{"resnet18", RESNET18}, {"resnet34", RESNET34}, {"resnet50", RESNET50}};
    static struct row rows[MOST];
    struct dnn *d;
    struct err err = {0};
    enum isa isa = isa_best();

    if (argc > 4)
        for (isa = ISA_BASE; isa < isa_best() && strcmp(isa_name(isa), argv[4]) != 0; isa++)
            ;
    check(dnn_new(&d, 1, "", &err), &err);
    check(pool_new(&pool, 1, NULL, NULL, &err), &err);
    dnn_one_thread();
    for (size_t a = 0; a < sizeof archs / sizeof *archs; a++)
        for (int t = 0; t < 2; t++)
            if ((argc < 2 || strcmp(argv[1], archs[a].name) == 0 || strcmp(argv[1], "all") == 0) &&
                (argc < 3 || strcmp(argv[2], t ? "bf16" : "fp32") == 0 ||
                 strcmp(argv[2], "all") == 0)) {
                const int n = rows_of(rows, archs[a].arch, t ? DTYPE_BF16 : DTYPE_F32);

                printf("%s %s, %s: own GFLOP/s, oneDNN's, ratio\n", archs[a].name,
                       t ? "bf16" : "fp32", isa_name(isa));
                pool_run(
                    pool, 1, task,
                    &(struct job){archs[a].name, rows, n, argc > 3 ? (int)strtol(argv[3], NULL, 10) : 5, d, isa});
            }
    pool_free(pool);
    dnn_free(d);
    return 0;
}
