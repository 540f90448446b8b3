/* onednn.c - oneDNN behind onednn.h: written against version 3, in which onednn_version.h puts 2.6.
 *
 * Debian's build uses OpenMP and takes a primitive's thread count when it is created, from the
 * calling thread's setting: dnn_one_thread() comes first, always. SPDX-License-Identifier: MIT */
#include "backend/cpu/onednn.h"

#ifdef PRESIZE_ONEDNN
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/onednn_version.h"

struct dnn {
    dnnl_engine_t engine;
    int workers;
    dnnl_stream_t *streams; /* one per worker */
};

struct dnn_format {
    dnn_desc desc; /* owned by what the format is part of */
    int dims[4];   /* k, c, r, s */
};

/* What conv and reorder share: a primitive and, per worker, the memory objects of its arguments. */
enum { MAX_ARGS = 6 };
struct primitive {
    struct dnn *d;
    dnnl_primitive_t handle;
    int n_args, args[MAX_ARGS]; /* DNNL_ARG_*, the scratchpad last */
    dnnl_memory_t *memory;      /* (workers, n_args) */
    size_t scratch;
    const char *kernel;
};

struct dnn_conv {
    struct primitive primitive;
    struct dnn_format weight;
};

struct dnn_reorder {
    struct primitive primitive;
    struct dnn_format format;
};

static const struct {
    const char *name;
    dnnl_cpu_isa_t isa;
} isas[] = {
    [ISA_BASE] = {"SSE41", dnnl_cpu_isa_sse41}, /* those of enum isa first, at its places */
    [ISA_AVX2] = {"AVX2", dnnl_cpu_isa_avx2},
    [ISA_AVX512] = {"AVX512_CORE", dnnl_cpu_isa_avx512_core},
    [ISA_AVX512BF16] = {"AVX512_CORE_BF16", dnnl_cpu_isa_avx512_core_bf16},
    {"AVX", dnnl_cpu_isa_avx},
    {"AVX512_CORE_VNNI", dnnl_cpu_isa_avx512_core_vnni},
    {"AVX512_CORE_AMX", dnnl_cpu_isa_avx512_core_amx},
    {"ALL", (dnnl_cpu_isa_t)0}, /* of processors other than x86-64 */
#if DNNL_VERSION_MAJOR > 2
    {"AVX512_CORE_FP16", dnnl_cpu_isa_avx512_core_fp16},
    {"AVX512_CORE_AMX_FP16", dnnl_cpu_isa_avx512_core_amx_fp16},
#endif
};

static int dnn_err(struct err *err, dnnl_status_t status, const char *what)
{
    static const char *const names[] = {"success",       "out of memory", "invalid arguments",
                                        "unimplemented", "iterator ends", "runtime error",
                                        "not required"};
    enum err_kind kind = status == dnnl_out_of_memory   ? ERR_NOMEM
                         : status == dnnl_unimplemented ? ERR_UNSUPPORTED
                                                        : ERR_INPUT;

    if (status == dnnl_success)
        return 0;
    return err_set(err, kind, "oneDNN: %s: %s", what,
                   (size_t)status < sizeof names / sizeof *names ? names[status]
                                                                 : "unknown status");
}

static dnnl_data_type_t data_type(enum dtype t)
{
    return t == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_format_tag_t layout_tag(enum dnn_layout l)
{
    static const dnnl_format_tag_t tags[] = {[DNN_NCHW] = dnnl_abcd,
                                             [DNN_BLOCKED16] = dnnl_aBcd16b,
                                             [DNN_NHWC] = dnnl_acdb,
                                             [DNN_ANY] = dnnl_format_tag_any};

    return tags[l];
}

static int desc_new(dnn_desc *out, int n, const dnnl_dims_t dims, dnnl_data_type_t type,
                    dnnl_format_tag_t tag, const char *what, struct err *err)
{
    return dnn_err(err, dnnl_memory_desc_create_with_tag(out, n, dims, type, tag), what);
}

void dnn_one_thread(void)
{
    omp_set_dynamic(0);
    omp_set_num_threads(1);
}

int dnn_new(struct dnn **out, int workers, const enum isa *most, struct err *err)
{
    struct dnn *d = NULL;

    *out = NULL;
    dnn_one_thread();
    if (most) /* refused after the first primitive: what is recorded is the effective one */
        dnnl_set_max_cpu_isa(isas[*most].isa);
    d = calloc(1, sizeof *d);
    if (!d || !(d->streams = calloc((size_t)workers, sizeof *d->streams))) {
        err_set(err, ERR_NOMEM, "oneDNN streams for %d workers", workers);
        goto fail;
    }
    d->workers = workers;
    if (dnn_err(err, dnnl_engine_create(&d->engine, dnnl_cpu, 0), "engine") < 0)
        goto fail;
    for (int w = 0; w < workers; w++)
        if (dnn_err(err, dnnl_stream_create(&d->streams[w], d->engine, dnnl_stream_default_flags),
                    "stream") < 0)
            goto fail;
    *out = d;
    return 0;
fail:
    dnn_free(d);
    return -1;
}

void dnn_free(struct dnn *d)
{
    if (!d)
        return;
    for (int w = 0; d->streams && w < d->workers; w++)
        if (d->streams[w])
            dnnl_stream_destroy(d->streams[w]);
    if (d->engine)
        dnnl_engine_destroy(d->engine);
    free(d->streams);
    free(d);
}

static bool has(dnnl_cpu_isa_t isa)
{
    return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

bool dnn_has_amx(const struct dnn *d)
{
    (void)d;
    return has(dnnl_cpu_isa_avx512_core_amx);
}

bool dnn_has_avx512(const struct dnn *d)
{
    (void)d;
    return has(dnnl_cpu_isa_avx512_core);
}

bool dnn_has_bf16(const struct dnn *d)
{
    (void)d;
    return has(dnnl_cpu_isa_avx512_core_bf16);
}

void dnn_describe(const struct dnn *d, char *isa, size_t isa_size, char *library,
                  size_t library_size)
{
    const dnnl_version_t *v = dnnl_version();
    dnnl_cpu_isa_t effective = dnnl_get_effective_cpu_isa();

    (void)d;
    snprintf(isa, isa_size, "ISA 0x%x", (unsigned)effective);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        if (isas[i].isa == effective)
            snprintf(isa, isa_size, "%s", isas[i].name);
    snprintf(library, library_size, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

/* ---- primitives ------------------------------------------------------------------------------ */

static void primitive_clear(struct primitive *p)
{
    for (int i = 0; p->memory && i < p->d->workers * p->n_args; i++)
        if (p->memory[i])
            dnnl_memory_destroy(p->memory[i]);
    free(p->memory);
    if (p->handle)
        dnnl_primitive_destroy(p->handle);
}

/* oneDNN 2.6 crashes where it gets no memory for a primitive's code (a limit on address space). */
static int room_for_code(struct err *err)
{
    enum { ROOM = 16 << 20 }; /* bytes; a primitive's code and tables take less than 1 MiB */
    void *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (room == MAP_FAILED)
        return err_set(err, ERR_NOMEM, "no memory for a primitive's code");
    munmap(room, ROOM);
    return 0;
}

/* Takes the created descriptor PD: a primitive, memory objects for ARGS (with their QUERIES for
 * exact_arg_md) and the scratchpad. PD stays the caller's. */
static int primitive_init(struct primitive *p, struct dnn *d, const_dnnl_primitive_desc_t pd, int n,
                          const int *args, const const_dnn_desc *descs, struct err *err)
{
    const_dnn_desc pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);

    p->d = d;
    p->n_args = n + 1;
    p->scratch = dnnl_memory_desc_get_size(pad);
    memcpy(p->args, args, (size_t)n * sizeof *args);
    p->args[n] = DNNL_ARG_SCRATCHPAD;
    if (room_for_code(err) < 0 ||
        dnn_err(err, dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &p->kernel),
                "implementation name") < 0 ||
        dnn_err(err, dnnl_primitive_create(&p->handle, pd), "primitive") < 0)
        return -1;
    p->memory = calloc((size_t)(d->workers * p->n_args), sizeof(dnnl_memory_t));
    if (!p->memory)
        return err_set(err, ERR_NOMEM, "oneDNN memory objects");
    for (int w = 0; w < d->workers; w++)
        for (int i = 0; i < p->n_args; i++)
            if (dnn_err(err,
                        dnnl_memory_create(&p->memory[w * p->n_args + i], i < n ? descs[i] : pad,
                                           d->engine, DNNL_MEMORY_NONE),
                        "memory object") < 0)
                return -1;
    return 0;
}

static int primitive_run(const struct primitive *p, int worker, void *const *data)
{
    dnnl_memory_t *memory = p->memory + worker * p->n_args;
    dnnl_exec_arg_t args[MAX_ARGS];

    for (int i = 0; i < p->n_args; i++) {
        if (dnn_set_data(memory[i], data[i], p->d->streams[worker]) != dnnl_success)
            return -1;
        args[i].arg = p->args[i];
        args[i].memory = memory[i];
    }
    return dnnl_primitive_execute(p->handle, p->d->streams[worker], p->n_args, args) == dnnl_success
               ? 0
               : -1;
}

static int scratchpad_attr(dnnl_primitive_attr_t *attr, struct err *err)
{
    if (dnn_err(err, dnnl_primitive_attr_create(attr), "attributes") < 0)
        return -1;
    return dnn_err(err, dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user),
                   "scratchpad mode");
}

/* ---- convolution ----------------------------------------------------------------------------- */

struct conv_descs {
    dnn_desc x, weight, bias, y;
    dnnl_dims_t stride, dilation, before, after;
};

static void conv_descs_clear(struct conv_descs *m)
{
    dnnl_memory_desc_destroy(m->x);
    dnnl_memory_desc_destroy(m->weight);
    dnnl_memory_desc_destroy(m->bias);
    dnnl_memory_desc_destroy(m->y);
}

/* To be cleared even where it fails. */
static int conv_descs(struct conv_descs *m, const struct dnn_conv_desc *c, bool weight_f32,
                      struct err *err)
{
    dnnl_dims_t x = {c->n, c->c, c->h, c->w}, weight = {c->k, c->c, c->r, c->s},
                y = {c->n, c->k, c->p, c->q}, bias = {c->k};
    const dnnl_data_type_t t = data_type(c->dtype);

    *m = (struct conv_descs){.stride = {c->stride, c->stride}, .before = {c->pad, c->pad}};
    m->after[0] = (c->p - 1) * c->stride + c->r - c->h - c->pad;
    m->after[1] = (c->q - 1) * c->stride + c->s - c->w - c->pad;
    if (desc_new(&m->x, 4, x, t, layout_tag(c->x), "x", err) < 0 ||
        desc_new(&m->y, 4, y, t, layout_tag(c->y), "y", err) < 0 ||
        desc_new(&m->bias, 1, bias, dnnl_f32, dnnl_a, "bias", err) < 0)
        return -1;
    return desc_new(&m->weight, 4, weight, weight_f32 ? dnnl_f32 : t, dnnl_format_tag_any, "weight",
                    err);
}

static int conv_forward_pd(dnnl_primitive_desc_t *pd, struct dnn *d, const struct dnn_conv_desc *c,
                           dnnl_alg_kind_t algorithm, dnnl_primitive_attr_t attr, struct err *err)
{
    struct conv_descs m;
    int rc = conv_descs(&m, c, false, err);

    if (rc == 0)
        rc = dnn_err(err,
                     dnnl_convolution_forward_primitive_desc_create(
                         pd, d->engine, c->folded ? dnnl_forward_inference : dnnl_forward_training,
                         algorithm, m.x, m.weight, c->folded ? m.bias : NULL, m.y, m.stride,
                         m.dilation, m.before, m.after, attr),
                     "convolution forward");
    conv_descs_clear(&m);
    return rc;
}

static int conv_backward_pd(dnnl_primitive_desc_t *pd, struct dnn *d, const struct dnn_conv_desc *c,
                            dnnl_alg_kind_t algorithm, dnnl_primitive_attr_t attr, struct err *err)
{
    dnnl_primitive_desc_t hint = NULL;
    struct conv_descs m;
    int rc = conv_descs(&m, c, c->pass == DNN_BACKWARD_WEIGHT, err);

    if (rc == 0)
        rc = conv_forward_pd(&hint, d, c, algorithm, NULL, err);
    if (rc == 0)
        rc = dnn_err(err,
                     c->pass == DNN_BACKWARD_DATA
                         ? dnnl_convolution_backward_data_primitive_desc_create(
                               pd, d->engine, algorithm, m.x, m.weight, m.y, m.stride, m.dilation,
                               m.before, m.after, hint, attr)
                         : dnnl_convolution_backward_weights_primitive_desc_create(
                               pd, d->engine, algorithm, m.x, m.weight, NULL, m.y, m.stride,
                               m.dilation, m.before, m.after, hint, attr),
                     "convolution backward");
    dnnl_primitive_desc_destroy(hint);
    conv_descs_clear(&m);
    return rc;
}

static int conv_pd(dnnl_primitive_desc_t *pd, struct dnn *d, const struct dnn_conv_desc *c,
                   dnnl_alg_kind_t algorithm, dnnl_primitive_attr_t attr, struct err *err)
{
    return c->pass == DNN_FORWARD ? conv_forward_pd(pd, d, c, algorithm, attr, err)
                                  : conv_backward_pd(pd, d, c, algorithm, attr, err);
}

/* Post-ops of a folded convolution: + residual, then max(., 0). */
static int folded_attr(dnnl_primitive_attr_t attr, const struct dnn_conv_desc *c, struct err *err)
{
    dnnl_post_ops_t ops = NULL;
    struct conv_descs m;
    int rc = -1;

    if (conv_descs(&m, c, false, err) == 0 &&
        dnn_err(err, dnnl_post_ops_create(&ops), "post-ops") == 0 &&
        (!c->residual ||
         dnn_err(err, dnnl_post_ops_append_binary(ops, dnnl_binary_add, m.y), "residual") == 0) &&
        (!c->relu || dnn_err(err, dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0.0F, 0.0F),
                             "relu") == 0))
        rc = dnn_err(err, dnnl_primitive_attr_set_post_ops(attr, ops), "post-ops");
    dnnl_post_ops_destroy(ops);
    conv_descs_clear(&m);
    return rc;
}

static int format_new(struct dnn_format *f, const_dnn_desc desc, const struct dnn_conv_desc *c,
                      struct err *err)
{
    *f = (struct dnn_format){.dims = {c->k, c->c, c->r, c->s}};
    return dnn_err(err, dnnl_memory_desc_clone(&f->desc, desc), "format of the weights");
}

static int conv_init_folded(struct dnn_conv *conv, struct dnn *d, const struct dnn_conv_desc *c,
                            const_dnnl_primitive_desc_t pd, struct err *err)
{
    static const int args[5] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST,
                                DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1};
    const_dnn_desc y = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    const_dnn_desc descs[5] = {dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0),
                               dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
                               dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1), y, y};

    if (format_new(&conv->weight, descs[1], c, err) < 0)
        return -1;
    return primitive_init(&conv->primitive, d, pd, c->residual ? 5 : 4, args, descs, err);
}

/* The three arguments in the order x, weight, y, by pass. */
static int conv_init(struct dnn_conv *conv, struct dnn *d, const struct dnn_conv_desc *c,
                     const_dnnl_primitive_desc_t pd, struct err *err)
{
    static const struct {
        int args[3];
        dnnl_query_t queries[3];
    } passes[] = {
        {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
         {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md}},
        {{DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
         {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md}},
        {{DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
         {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}},
    };
    const_dnn_desc descs[3];

    for (int i = 0; i < 3; i++)
        descs[i] = dnnl_primitive_desc_query_md(pd, passes[c->pass].queries[i], 0);
    if (format_new(&conv->weight, descs[1], c, err) < 0)
        return -1;
    return primitive_init(&conv->primitive, d, pd, 3, passes[c->pass].args, descs, err);
}

int dnn_conv_new(struct dnn_conv **out, struct dnn *d, const struct dnn_conv_desc *c,
                 struct err *err)
{
    struct dnn_conv *conv = calloc(1, sizeof *conv);
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int rc = -1;

    *out = NULL;
    if (!conv)
        return err_set(err, ERR_NOMEM, "convolution");
    dnn_one_thread();
    if (scratchpad_attr(&attr, err) < 0 || (c->folded && folded_attr(attr, c, err) < 0))
        goto out;
    if (!c->winograd || conv_pd(&pd, d, c, dnnl_convolution_winograd, attr, NULL) < 0)
        if (conv_pd(&pd, d, c, dnnl_convolution_direct, attr, err) < 0)
            goto out;
    rc = c->folded ? conv_init_folded(conv, d, c, pd, err) : conv_init(conv, d, c, pd, err);
    if (rc == 0) {
        *out = conv;
        conv = NULL;
    }
out:
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    dnn_conv_free(conv);
    return rc;
}

void dnn_conv_free(struct dnn_conv *c)
{
    if (!c)
        return;
    primitive_clear(&c->primitive);
    dnnl_memory_desc_destroy(c->weight.desc);
    free(c);
}

const struct dnn_format *dnn_conv_format(const struct dnn_conv *c)
{
    return &c->weight;
}

size_t dnn_conv_scratch(const struct dnn_conv *c)
{
    return c->primitive.scratch;
}

const char *dnn_conv_kernel(const struct dnn_conv *c)
{
    return c->primitive.kernel;
}

int dnn_conv_run(const struct dnn_conv *c, int worker, void *x, void *weight, void *y,
                 void *scratch)
{
    return primitive_run(&c->primitive, worker, (void *const[]){x, weight, y, scratch});
}

int dnn_conv_run_folded(const struct dnn_conv *c, int worker, void *x, void *weight, void *bias,
                        void *residual, void *y, void *scratch)
{
    return residual
               ? primitive_run(&c->primitive, worker,
                               (void *const[]){x, weight, bias, y, residual, scratch})
               : primitive_run(&c->primitive, worker, (void *const[]){x, weight, bias, y, scratch});
}

/* ---- reorder, gemm --------------------------------------------------------------------------- */

size_t dnn_format_bytes(const struct dnn_format *f)
{
    return dnnl_memory_desc_get_size(f->desc);
}

bool dnn_format_equal(const struct dnn_format *a, const struct dnn_format *b)
{
    return dnnl_memory_desc_equal(a->desc, b->desc);
}

/* The first of PARTS along k of an f32 weight, or a copy of the whole; owned by the caller. NULL where the parts
 * are no runs of memory: a part that is one has its share of the bytes, any other reaches further. */
static dnn_desc part_of(const struct dnn_format *whole, int parts)
{
    const int *k = whole->dims;
    dnnl_dims_t dims = {k[0] / parts, k[1], k[2], k[3]}, none = {0};
    dnn_desc part = NULL;

    if (parts == 1)
        return dnnl_memory_desc_clone(&part, whole->desc) == dnnl_success ? part : NULL;
    if (k[0] % parts ||
        dnnl_memory_desc_create_submemory(&part, whole->desc, dims, none) != dnnl_success)
        return NULL;
    if (dnnl_memory_desc_get_size(part) * (size_t)parts == dnn_format_bytes(whole))
        return part;
    dnnl_memory_desc_destroy(part);
    return NULL;
}

int dnn_format_parts(const struct dnn_format *f, size_t bytes)
{
    dnn_desc part;
    int parts = 1;

    while (dnn_format_bytes(f) / (size_t)(2 * parts) >= bytes && (part = part_of(f, 2 * parts))) {
        dnnl_memory_desc_destroy(part);
        parts *= 2;
    }
    return parts;
}

int dnn_reorder_new(struct dnn_reorder **out, struct dnn *d, const struct dnn_format *format,
                    int parts, bool to_plain, struct err *err)
{
    static const int args[2] = {DNNL_ARG_FROM, DNNL_ARG_TO};
    struct dnn_reorder *r = calloc(1, sizeof *r);
    const int *k = format->dims;
    dnnl_dims_t dims = {k[0] / parts, k[1], k[2], k[3]};
    const_dnn_desc descs[2];
    dnn_desc plain = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int rc = -1;

    *out = NULL;
    if (!r)
        return err_set(err, ERR_NOMEM, "reorder");
    dnn_one_thread();
    r->format = (struct dnn_format){part_of(format, parts), {k[0] / parts, k[1], k[2], k[3]}};
    if ((!r->format.desc && err_set(err, ERR_NOMEM, "format of the weights") < 0) ||
        scratchpad_attr(&attr, err) < 0 ||
        desc_new(&plain, 4, dims, dnnl_f32, dnnl_abcd, "weights", err) < 0)
        goto out;
    descs[to_plain] = plain;
    descs[!to_plain] = r->format.desc;
    if (dnn_err(
            err,
            dnnl_reorder_primitive_desc_create(&pd, descs[0], d->engine, descs[1], d->engine, attr),
            "reorder") < 0)
        goto out;
    rc = primitive_init(&r->primitive, d, pd, 2, args, descs, err);
    if (rc == 0) {
        *out = r;
        r = NULL;
    }
out:
    dnnl_memory_desc_destroy(plain);
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    dnn_reorder_free(r);
    return rc;
}

void dnn_reorder_free(struct dnn_reorder *r)
{
    if (!r)
        return;
    primitive_clear(&r->primitive);
    dnnl_memory_desc_destroy(r->format.desc);
    free(r);
}

size_t dnn_reorder_scratch(const struct dnn_reorder *r)
{
    return r->primitive.scratch;
}

const struct dnn_format *dnn_reorder_format(const struct dnn_reorder *r)
{
    return &r->format;
}

int dnn_reorder_run(const struct dnn_reorder *r, int worker, const void *src, void *dst,
                    void *scratch)
{
    void *from = (void *)(uintptr_t)src; /* oneDNN's handles are not const */

    return primitive_run(&r->primitive, worker, (void *const[]){from, dst, scratch});
}

int dnn_gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const float *a, int lda,
             const float *b, int ldb, float *c, int ldc)
{
    return dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0F, a, lda, b,
                      ldb, 0.0F, c, ldc) == dnnl_success
               ? 0
               : -1;
}
#endif
