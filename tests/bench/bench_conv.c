/* bench_conv.c - the convolutions of the networks, ours and oneDNN's by turns, beside the machine's limits.
 *
 *   bench_conv [-v] [ARCH [PRECISION [REPEATS [ISA]]]]   e.g. bench_conv -v resnet50 fp32 5 avx2; "all" is all
 *   bench_conv --limits                                  the limits alone, of every instruction set
 *
 * Every convolution of a training step (three passes), 224 px, as many pictures as the planner gives it, on one
 * thread and on two; threads share the weights and have pictures of their own, as microbatches do. oneDNN has the
 * layouts it likes best. GFLOP/s count a direct convolution; times are the best of REPEATS turns. A row is all
 * convolutions of a network together, which is what a step's bare convolutions cost; -v also prints each shape.
 *   of peak       the multiply-adds that our algorithm does (36 per tile of Winograd), over the core's peak
 *   of bandwidth  inputs, outputs and weights in our format once, over what is read from beyond the caches; above
 *                 1 where they stay in cache between turns
 * With avx512bf16, bf16 numbers are multiplied in pairs, of which a peak is not measured: "of peak" may be above 1.
 * DNNL_MAX_CPU_ISA=AVX512_CORE_BF16 in the environment keeps oneDNN from AMX.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "backend/cpu/conv/conv.h"
#include "backend/cpu/conv/winograd.h"
#include "backend/cpu/onednn.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/thread.h"
#include "limits.h"
#include "nn/network.h"

enum {
    SIZE = 224,
    CLASSES = 37,
    MICRO = 8,
    MOST = 256,
    ROOM = 1 << 20,
    MOST_THREADS = 2,
    PASSES = 3
};

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
    struct err err = {0};

    if (!data)
        check(err_set(&err, ERR_NOMEM, "%zu numbers", n), &err);
    for (size_t i = 0; i < n; i++)
        dtype_put(data, i, t, scale * ((float)(rng_u32(&r) >> 8) / (1 << 24) - 0.5F));
    return data;
}

/* ---- the shapes of a network ------------------------------------------------------------------ */

/* Of op O; false where it is no convolution. */
static bool shape_of(struct conv_shape *out, const struct op *o, const struct tensor *t,
                     enum dtype dtype)
{
    struct conv_shape s = {.stride = o->stride, .pad = o->pad, .dtype = dtype, .n = MICRO};
    int x, w, y;

    if (o->kind == OP_CONV)
        s.pass = CONV_FORWARD, x = o->in[0], w = o->in[1], y = o->out[0];
    else if (o->kind == OP_CONV_BWD_DATA)
        s.pass = CONV_BACKWARD_DATA, x = o->out[0], w = o->in[1], y = o->in[0];
    else if (o->kind == OP_CONV_BWD_WEIGHT)
        s.pass = CONV_BACKWARD_WEIGHT, x = o->in[0], w = o->out[0], y = o->in[1];
    else
        return false;
    s.c = t[x].dims[1], s.h = t[x].dims[2], s.w = t[x].dims[3];
    s.k = t[w].dims[0], s.r = t[w].dims[2], s.s = t[w].dims[3];
    s.p = t[y].dims[2], s.q = t[y].dims[3];
    s.groups = t[x].dims[1] / t[w].dims[1];
    if (s.pass != CONV_BACKWARD_WEIGHT) {
        const size_t a = (size_t)(s.c * s.h * s.w), b = (size_t)(s.k * s.p * s.q);
        const size_t fit = ROOM / ((a > b ? a : b) * dtype_size(dtype));

        while ((size_t)s.n > (fit ? fit : 1))
            s.n /= 2;
    }
    *out = s;
    return true;
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
        struct conv_shape s;
        int k = 0;

        if (!shape_of(&s, &l->ops[i], l->tensors, dtype))
            continue;
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

/* ---- one shape, both ways --------------------------------------------------------------------- */

struct work { /* of a thread */
    void *x, *y, *scratch, *dnn_scratch;
    float *leaf, *dnn_gradient;
};

struct sides {
    enum conv_pass pass;
    struct conv *own;
    struct dnn_conv *dnn; /* NULL: oneDNN has none, or is not there */
    size_t dnn_scratch, dnn_weight_bytes;
    const char *dnn_kernel;
    float *packed, *dnn_weight;
    struct work work[MOST_THREADS];
    double flops, products,
        bytes; /* of one run on one thread: see the top; products count as two */
};

#ifdef PRESIZE_ONEDNN
static struct dnn *library_open(void)
{
    struct dnn *d;
    struct err err = {0};

    check(dnn_new(&d, MOST_THREADS, NULL, &err), &err);
    return d;
}

static void library_close(struct dnn *d)
{
    dnn_free(d);
}

static void library_worker(void *ctx, int worker)
{
    (void)ctx;
    (void)worker;
    dnn_one_thread();
}

static void library_print(const struct dnn *d)
{
    char isa[64], library[64];

    dnn_describe(d, isa, sizeof isa, library, sizeof library);
    printf("%s %s", library, isa);
}

static void library_conv(struct sides *b, const struct conv_shape *s, struct dnn *d)
{
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
        .x = DNN_ANY,
        .y = DNN_ANY,
        .winograd = s->dtype == DTYPE_F32 && s->r == 3 && s->stride == 1 && s->h >= 14,
    };
    struct err err = {0};

    if (s->dtype != DTYPE_F32 && !dnn_has_bf16(d))
        return;
    check(dnn_conv_new(&b->dnn, d, &c, &err), &err);
    b->dnn_scratch = dnn_conv_scratch(b->dnn);
    b->dnn_weight_bytes = dnn_format_bytes(dnn_conv_format(b->dnn));
    b->dnn_kernel = dnn_conv_kernel(b->dnn);
}

static void library_conv_free(struct sides *b)
{
    dnn_conv_free(b->dnn);
}

static void library_run(const struct sides *b, const struct work *w, int worker)
{
    if (dnn_conv_run(b->dnn, worker, w->x, w->dnn_gradient ? w->dnn_gradient : b->dnn_weight, w->y,
                     w->dnn_scratch) < 0)
        exit(1);
}
#else
static struct dnn *library_open(void)
{
    return NULL;
}
static void library_close(struct dnn *d)
{
    (void)d;
}
static void library_worker(void *ctx, int worker)
{
    (void)ctx, (void)worker;
}
static void library_print(const struct dnn *d)
{
    (void)d;
    printf("built without oneDNN");
}
static void library_conv(struct sides *b, const struct conv_shape *s, struct dnn *d)
{
    (void)b, (void)s, (void)d;
}
static void library_conv_free(struct sides *b)
{
    (void)b;
}
static void library_run(const struct sides *b, const struct work *w, int worker)
{
    (void)b, (void)w, (void)worker;
}
#endif

static size_t elements_x(const struct conv_shape *s)
{
    return (size_t)s->n * (size_t)(s->c * s->h * s->w);
}

static size_t elements_y(const struct conv_shape *s)
{
    return (size_t)s->n * (size_t)(s->k * s->p * s->q);
}

static void work_new(struct work *w, const struct sides *b, const struct conv_shape *s)
{
    /* oneDNN may round channels up to 16 */
    const size_t more_x = s->c < 16 ? 16 / (size_t)s->c + 1 : 1;
    const bool gradient = s->pass == CONV_BACKWARD_WEIGHT;

    w->x = numbers(elements_x(s) * more_x, s->dtype, 2);
    w->y = numbers(elements_y(s), s->dtype, 2);
    w->scratch = numbers(conv_scratch(b->own) / 4 + 16, DTYPE_F32, 0);
    if (gradient)
        w->leaf = numbers(conv_leaf_floats(b->own), DTYPE_F32, 0);
    if (b->dnn)
        w->dnn_scratch = numbers(b->dnn_scratch / 4 + 16, DTYPE_F32, 0);
    if (b->dnn && gradient)
        w->dnn_gradient = numbers(b->dnn_weight_bytes / 4 + 16, DTYPE_F32, 0);
}

static void sides_new(struct sides *b, const struct conv_shape *s, struct dnn *d, enum isa isa,
                      int threads)
{
    const size_t nw = (size_t)(s->k * s->c * s->r * s->s);
    float *plain = numbers(nw, DTYPE_F32, 0.1F);
    struct conv_format f;
    struct err err = {0};

    *b = (struct sides){.pass = s->pass};
    check(conv_new(&b->own, s, isa, &err), &err);
    library_conv(b, s, d);
    f = conv_weight_format(b->own);
    if (s->pass != CONV_BACKWARD_WEIGHT) {
        b->packed = numbers(conv_format_bytes(&f) / 4, DTYPE_F32, 0);
        for (int i = 0; i < conv_format_strips(&f); i++)
            conv_format_fill(&f, i, plain, b->packed, isa);
        if (b->dnn)
            b->dnn_weight = numbers(b->dnn_weight_bytes / 4 + 16, DTYPE_F32, 0.1F);
    }
    for (int i = 0; i < threads; i++)
        work_new(&b->work[i], b, s);
    b->flops = 2.0 * s->n * s->p * s->q * s->k * s->c * s->r * s->s;
    b->products = b->flops;
    if (conv_algorithm(s) == CONV_WINOGRAD) {
        const int down = (s->h + WINOGRAD_TILE - 1) / WINOGRAD_TILE,
                  across = (s->w + WINOGRAD_TILE - 1) / WINOGRAD_TILE;

        b->products = 2.0 * WINOGRAD_PLANES * s->n * down * across * s->k * s->c;
    }
    b->bytes = (double)((elements_x(s) + elements_y(s)) * dtype_size(s->dtype)) +
               (double)(b->packed ? conv_format_bytes(&f) : 4 * conv_leaf_floats(b->own));
    free(plain);
}

static void sides_clear(struct sides *b)
{
    conv_free(b->own);
    library_conv_free(b);
    free(b->packed);
    free(b->dnn_weight);
    for (int i = 0; i < MOST_THREADS; i++) {
        struct work *w = &b->work[i];

        free(w->x), free(w->y), free(w->scratch), free(w->dnn_scratch), free(w->leaf),
            free(w->dnn_gradient);
    }
}

/* ---- turns ------------------------------------------------------------------------------------ */

struct turn {
    struct sides *b;
    bool dnn;
    int loops;
};

static void turn_task(void *ctx, int i, int worker) /* in a pool, as it flushes denormals */
{
    const struct turn *t = ctx;
    const struct sides *b = t->b;
    const struct work *w = &b->work[i];

    for (int k = 0; k < t->loops; k++)
        if (t->dnn)
            library_run(b, w, worker);
        else if (b->pass == CONV_FORWARD)
            conv_forward(b->own, w->x, b->packed, w->y, NULL, w->scratch);
        else if (b->pass == CONV_BACKWARD_DATA)
            conv_backward_data(b->own, w->y, b->packed, w->x, w->scratch);
        else
            conv_backward_weight(b->own, w->x, w->y, w->leaf, w->scratch);
}

/* Seconds of one run, by all threads of P side by side. */
static double timed(struct pool *p, struct sides *b, bool dnn, int loops)
{
    const double start = clock_seconds();

    pool_run(p, pool_threads(p), turn_task, &(struct turn){b, dnn, loops});
    return (clock_seconds() - start) / loops;
}

struct seconds {
    double own, dnn;
};

static struct seconds by_turns(struct pool *p, struct sides *b, int repeats)
{
    const double once = timed(p, b, false, 1) + (b->dnn ? timed(p, b, true, 1) : 0);
    const int loops = once > 4e-3 ? 1 : (int)(4e-3 / once) + 1; /* long beside waking a thread */
    struct seconds best = {1e9, b->dnn ? 1e9 : 0};

    for (int k = 0; k < repeats; k++) {
        const double own = timed(p, b, false, loops), dnn = b->dnn ? timed(p, b, true, loops) : 0;

        best.own = own < best.own ? own : best.own;
        best.dnn = dnn < best.dnn ? dnn : best.dnn;
    }
    return best;
}

/* ---- tables ----------------------------------------------------------------------------------- */

struct total {
    struct seconds s;
    double flops, products, bytes;
};

static void add(struct total *t, const struct sides *b, struct seconds s, double times)
{
    t->s.own += s.own * times;
    t->s.dnn += s.dnn * times;
    t->flops += b->flops * times;
    t->products += b->products * times;
    t->bytes += b->bytes * times;
}

/* The figures of T on N threads, whose limits are L. */
static void print_total(const struct total *t, int n, const struct limits *l)
{
    printf("%10.2f %9.1f ", t->s.own * 1e3, n * t->flops / t->s.own * 1e-9);
    if (t->s.dnn > 0)
        printf("%9.1f %6.2f", n * t->flops / t->s.dnn * 1e-9, t->s.dnn / t->s.own);
    else
        printf("%9s %6s", "-", "-");
    printf(" %8.2f %13.2f", n * t->products / t->s.own / l->flops,
           n * t->bytes / t->s.own / l->bytes);
}

static void print_limit(const struct limits *l, int threads)
{
    printf("limits of %d thread%s: %.1f GFLOP/s, %.1f GB/s\n", threads, threads > 1 ? "s" : "",
           l->flops * 1e-9, l->bytes * 1e-9);
}

static void print_row(const char *arch, const struct row *r, const struct sides *b,
                      struct seconds s, int n, const struct limits *l)
{
    static const char *const passes[] = {"forward", "data", "weight"};
    struct total t = {0};

    add(&t, b, s, 1);
    printf("%-8s %-8s %7d", arch, passes[r->s.pass], n);
    print_total(&t, n, l);
    printf("  %d x %4d %3d px -> %4d, %dx%d/%d x%d %s; %s\n", r->s.n, r->s.c, r->s.h, r->s.k,
           r->s.r, r->s.s, r->s.stride, r->times, conv_algorithm_name(conv_algorithm(&r->s)),
           b->dnn ? b->dnn_kernel : "-");
}

struct bench {
    struct pool *pools[MOST_THREADS]; /* of one thread, of two */
    int threads, repeats;
    bool each; /* prints each shape */
    struct dnn *d;
    enum isa isa;
};

static void measure(const struct bench *x, const char *arch, int number, enum dtype dtype)
{
    static const char *const names[] = {"forward", "data", "weight", "all"};
    static struct row rows[MOST];
    const int n = rows_of(rows, number, dtype);
    struct total totals[MOST_THREADS][PASSES + 1] = {0};
    struct limits limits[MOST_THREADS];

    for (int t = 0; t < x->threads; t++) {
        limits[t] = limits_measure(x->pools[t], x->isa < ISA_AVX512 ? x->isa : ISA_AVX512);
        printf("%-8s %-8s ", arch, dtype_name(dtype));
        print_limit(&limits[t], t + 1);
    }
    printf("%-8s %-8s %7s %10s %9s %9s %6s %8s %13s\n", arch, "pass", "threads", "ms", "GFLOP/s",
           "oneDNN's", "ratio", "of peak", "of bandwidth");
    for (int i = 0; i < n; i++) {
        struct sides b;

        sides_new(&b, &rows[i].s, x->d, x->isa, x->threads);
        for (int t = 0; t < x->threads; t++) {
            const struct seconds s = by_turns(x->pools[t], &b, x->repeats);
            const double times = rows[i].times * (double)MICRO / rows[i].s.n;

            add(&totals[t][rows[i].s.pass], &b, s, times);
            add(&totals[t][PASSES], &b, s, times);
            if (x->each)
                print_row(arch, &rows[i], &b, s, t + 1, &limits[t]);
        }
        sides_clear(&b);
    }
    for (int k = 0; k <= PASSES; k++)
        for (int t = 0; t < x->threads; t++) {
            printf("%-8s %-8s %7d", arch, names[k], t + 1);
            print_total(&totals[t][k], t + 1, &limits[t]);
            printf("\n");
        }
    fflush(stdout);
}

/* ---- the command ------------------------------------------------------------------------------ */

static void misused(const char *what, const char *word)
{
    fprintf(
        stderr,
        "bench_conv: %s: %s\nusage: bench_conv [-v] [resnet18|resnet34|resnet50|all [fp32|bf16|all "
        "[REPEATS [base|avx2|avx512|avx512bf16]]]] | --limits\n",
        word, what);
    exit(2);
}

static void print_machine(const struct bench *x)
{
    const struct exec_options o = {.threads = 1};
    struct be_info info;
    struct be *b;
    struct err err = {0};

    check(cpu_backend.open(&b, &o, &err), &err);
    cpu_backend.info(b, &info);
    cpu_backend.close(b);
    printf("%s, %d processors; ours %s, ", info.device, cpu_count(), isa_name(x->isa));
    library_print(x->d);
    printf("; %d px, microbatches of %d, best of %d turns\n", SIZE, MICRO, x->repeats);
}

static void print_limits(const struct bench *x)
{
    for (enum isa isa = ISA_BASE; isa <= isa_best(); isa++)
        for (int t = 0; t < x->threads; t++) {
            const struct limits l = limits_measure(x->pools[t], isa);

            printf("%-8s ", isa_name(isa));
            print_limit(&l, t + 1);
        }
}

static enum isa isa_named(const char *name)
{
    enum isa isa = ISA_BASE;

    if (isa_choose(&isa, name, NULL) < 0)
        misused("no instruction set of this processor", name);
    return isa;
}

static bool is_asked(const char *asked, const char *name)
{
    return strcmp(asked, name) == 0 || strcmp(asked, "all") == 0;
}

int main(int argc, char **argv)
{
    static const char *const types[] = {"fp32", "bf16"};
    const bool limits = argc > 1 && strcmp(argv[1], "--limits") == 0,
               each = argc > 1 && strcmp(argv[1], "-v") == 0;
    const int skip = limits || each;
    const char *words[] = {"all", "all", "5", isa_name(isa_best())};
    struct bench x = {.threads = cpu_count() < MOST_THREADS ? 1 : MOST_THREADS, .each = each};
    struct err err = {0};
    bool any = false;

    for (int i = 1 + skip; i < argc; i++)
        if (i - 1 - skip < 4)
            words[i - 1 - skip] = argv[i];
    x.repeats = (int)strtol(words[2], NULL, 10);
    if (x.repeats < 1)
        misused("REPEATS is a number from 1", words[2]);
    x.isa = isa_named(words[3]);
    x.d = library_open();
    for (int t = 0; t < x.threads; t++)
        check(pool_new(&x.pools[t], t + 1, library_worker, NULL, &err), &err);
    print_machine(&x);
    if (limits)
        print_limits(&x);
    for (int a = RESNET18; a <= RESNET50 && !limits; a++)
        for (int t = 0; t < 2; t++)
            if (is_asked(words[0], arch_name(a)) && is_asked(words[1], types[t])) {
                measure(&x, arch_name(a), a, t ? DTYPE_BF16 : DTYPE_F32);
                any = true;
            }
    for (int t = 0; t < x.threads; t++)
        pool_free(x.pools[t]);
    library_close(x.d);
    if (!any && !limits)
        misused("none of the networks and precisions", words[0]);
    return 0;
}
