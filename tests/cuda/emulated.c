/* emulated.c - see emulated.h. Every tensor has memory of its own, exactly as large as it is, so that
 * AddressSanitizer sees the first value beyond. SPDX-License-Identifier: MIT */
#include "emulated.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/emulate.h"
#include "backend/elem.h"
#include "backend/op_traits.h"

struct store { /* a tensor's memory; persistent ones are in a list */
    struct store *next;
    struct tensor t;
    char *memory, *data; /* data: where the tensor starts in it */
};

struct be {
    struct store *persistents;
    bool crooked;
};

struct be_program {
    struct be *be;
    struct op_list *list;
    struct store **tensors; /* PARAM and STATE are the backend's */
    struct cuda_step step;
    struct cuda_picture *pictures;
    uint8_t *pixels;
    struct adam_k constants[2 * CUDA_GROUPS];
};

static size_t bytes_of(const struct tensor *t)
{
    return tensor_elements(t) * dtype_size(t->dtype);
}

static void store_free(struct store *s)
{
    if (s)
        free(s->memory);
    free(s);
}

static struct store *store_new(const struct tensor *t, bool crooked)
{
    struct store *s = calloc(1, sizeof *s);
    size_t shift = crooked ? dtype_size(t->dtype) > 4 ? 8 : 4 : 0;

    BUG_IF(!s);
    s->t = *t;
    s->memory = malloc(bytes_of(t) + shift);
    BUG_IF(!s->memory);
    s->data = s->memory + shift;
    memset(s->data, tensor_is_persistent(t) ? 0 : 0xff,
           bytes_of(t)); /* NaN: nothing may lean on it */
    return s;
}

static int emulated_open(struct be **out, const struct exec_options *o, struct err *err)
{
    (void)err;
    *out = calloc(1, sizeof **out);
    BUG_IF(!*out);
    (*out)->crooked = o->threads == 2;
    return 0;
}

static void emulated_close(struct be *b)
{
    while (b && b->persistents) {
        struct store *next = b->persistents->next;

        store_free(b->persistents);
        b->persistents = next;
    }
    free(b);
}

static void emulated_info(const struct be *b, struct be_info *info)
{
    (void)b;
    memset(info, 0, sizeof *info);
}

static struct store *find(const struct be *b, const char *name)
{
    struct store *s = b->persistents;

    while (s && strcmp(s->t.name, name) != 0)
        s = s->next;
    return s;
}

static void emulated_release(struct be_program *p)
{
    if (!p)
        return;
    for (int i = 1; i < p->list->n_tensors; i++)
        if (!tensor_is_persistent(&p->list->tensors[i]))
            store_free(p->tensors[i]);
    free(p->tensors);
    free(p->pictures);
    free(p->pixels);
    op_list_free(p->list);
    free(p);
}

static bool is_supported(const struct op_list *l, const struct op *o)
{
    switch (o->kind) {
    case OP_CONV:
    case OP_CONV_BWD_DATA:
    case OP_CONV_BWD_WEIGHT:
    case OP_LINEAR:
    case OP_LINEAR_BWD_DATA:
    case OP_LINEAR_BWD_WEIGHT:
        return false;
    case OP_SOFTMAX_LOSS:
        return l->tensors[o->in[0]].dtype == DTYPE_F32;
    default:
        return true;
    }
}

static int emulated_prepare(struct be_program **out, struct be *b, const struct op_list *list,
                            struct err *err)
{
    struct be_program *p = NULL;

    *out = NULL;
    if (op_list_check(list, err) < 0)
        return -1;
    for (int i = 0; i < list->n_ops; i++)
        if (!is_supported(list, &list->ops[i]))
            return err_set(err, ERR_UNSUPPORTED, "%s", op_kind_name(list->ops[i].kind));
    p = calloc(1, sizeof *p);
    BUG_IF(!p);
    p->be = b;
    p->list = op_list_copy(list);
    p->tensors = calloc((size_t)list->n_tensors + 1, sizeof(struct store *));
    p->pictures = calloc((size_t)list->batch, sizeof *p->pictures);
    BUG_IF(!p->list || !p->tensors || !p->pictures);
    for (int i = 1; i < list->n_tensors; i++) {
        const struct tensor *t = &list->tensors[i];
        struct store *s = tensor_is_persistent(t) ? find(b, t->name) : NULL;

        if (!s) {
            s = store_new(t, b->crooked);
            if (tensor_is_persistent(t)) {
                s->next = b->persistents;
                b->persistents = s;
            }
        }
        p->tensors[i] = s;
    }
    *out = p;
    return 0;
}

static void emulated_memory(const struct be_program *p, struct be_memory *m)
{
    (void)p;
    memset(m, 0, sizeof *m);
}

static void emulated_profile(const struct be_program *p, double seconds[OP_KINDS])
{
    (void)p;
    memset(seconds, 0, OP_KINDS * sizeof *seconds);
}

/* --- values in and out ----------------------------------------------------------------------- */

/* Where element I of a plain (NCHW) tensor lies: pictures are NHWC. */
static size_t place(const struct tensor *t, size_t i)
{
    size_t plane = (size_t)t->dims[2] * (size_t)t->dims[3], c = (size_t)t->dims[1];

    if (t->role != TENSOR_ACT)
        return i;
    return (i / plane / c * plane + i % plane) * c + i / plane % c;
}

static void copy_in(struct store *s, const float *src)
{
    for (size_t i = 0; i < tensor_elements(&s->t); i++)
        dtype_put(s->data, place(&s->t, i), s->t.dtype, src[i]);
}

static void copy_out(const struct store *s, float *dst)
{
    for (size_t i = 0; i < tensor_elements(&s->t); i++)
        dst[i] = dtype_get(s->data, place(&s->t, i), s->t.dtype);
}

static int emulated_put(struct be *b, const char *name, const float *src, struct err *err)
{
    (void)err;
    copy_in(find(b, name), src);
    return 0;
}

static int emulated_get(struct be *b, const char *name, float *dst, struct err *err)
{
    (void)err;
    copy_out(find(b, name), dst);
    return 0;
}

static int emulated_read(struct be_program *p, int tensor, float *dst, struct err *err)
{
    (void)err;
    copy_out(p->tensors[tensor], dst);
    return 0;
}

static int emulated_write(struct be_program *p, int tensor, const float *src, struct err *err)
{
    (void)err;
    copy_in(p->tensors[tensor], src);
    return 0;
}

/* --- running --------------------------------------------------------------------------------- */

/* Room for the whole step's pixels, and the pictures with their offsets in it. */
static void take_pictures(struct be_program *p, const struct step *s)
{
    size_t bytes = 0;

    for (int n = 0; n < p->list->batch; n++) {
        const struct picture *from = s->pictures && n < s->n_pictures ? &s->pictures[n] : NULL;

        p->pictures[n] = (struct cuda_picture){.pixels = bytes,
                                               .mix.partner = n,
                                               .target = step_target(s, n),
                                               .position = from ? from->position : (uint32_t)n};
        if (!from)
            continue;
        p->pictures[n].height = from->height;
        p->pictures[n].width = from->width;
        p->pictures[n].map = from->map;
        if (s->mixes)
            p->pictures[n].mix = s->mixes[n];
        bytes += (size_t)from->height * (size_t)from->width * 3;
    }
    free(p->pixels);
    p->pixels = malloc(bytes + 1);
    BUG_IF(!p->pixels);
    for (int n = 0; s->pictures && n < s->n_pictures; n++)
        if (s->pictures[n].pixels)
            memcpy(p->pixels + p->pictures[n].pixels, s->pictures[n].pixels,
                   (size_t)s->pictures[n].height * (size_t)s->pictures[n].width * 3);
}

static void take_step(struct be_program *p, const struct step *s)
{
    p->step = (struct cuda_step){.seed = s->seed,
                                 .epoch = s->epoch,
                                 .adam_step = s->adam_step,
                                 .n_pictures = s->n_pictures,
                                 .part = s->part,
                                 .parts = s->parts > 1 ? s->parts : 1,
                                 .mean_over = step_pictures(s, p->list->batch),
                                 .mom = s->mom,
                                 .sqr_mom = s->sqr_mom,
                                 .eps = s->eps,
                                 .wd = s->wd,
                                 .ema_decay = s->ema_decay};
    memcpy(p->step.lr, s->lr, sizeof s->lr);
    take_pictures(p, s);
}

static void *at(const struct be_program *p, int t)
{
    return t ? p->tensors[t]->data : NULL;
}

/* (Re)made chunks of N elements whose FIRST offset starts at START; ODD: none starts on 16 bytes. */
static void add_chunks(struct cuda_chunk **chunks, int *n_chunks, size_t start, size_t n,
                       unsigned group, bool odd)
{
    size_t step = odd ? CUDA_CHUNK - 3 : CUDA_CHUNK;

    for (size_t i = 0; i < n; i += step) {
        *chunks = realloc(*chunks, ((size_t)*n_chunks + 1) * sizeof **chunks);
        BUG_IF(!*chunks);
        (*chunks)[(*n_chunks)++] = (struct cuda_chunk){
            {start + i, i, i, i}, (uint32_t)(n - i < step ? n - i : step), group};
    }
}

static int run_norm(const struct be_program *p, const struct op *o)
{
    const float *base = NULL;
    struct cuda_chunk *chunks = NULL;
    double *workspace;
    int n = 0, rc;

    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < p->list->n_ops; i++) {
            const float *grad = at(p, p->list->ops[i].in[0]);

            if (!op_is_update(p->list->ops[i].kind))
                continue;
            if (pass == 0)
                base = !base || (uintptr_t)grad < (uintptr_t)base ? grad : base;
            else
                add_chunks(&chunks, &n, ((uintptr_t)grad - (uintptr_t)base) / sizeof(float),
                           tensor_elements(&p->list->tensors[p->list->ops[i].in[0]]), 0,
                           p->be->crooked);
        }
    workspace = malloc((size_t)n * sizeof *workspace);
    BUG_IF(!workspace);
    rc = cuda_grad_norm(NULL, at(p, o->out[0]), base, chunks, n, o->max_norm, workspace);
    free(workspace);
    free(chunks);
    return rc;
}

static int run_optimiser(struct be_program *p, const struct op *o)
{
    const int *in = o->in;
    struct cuda_chunk *chunks = NULL;
    const size_t elements = tensor_elements(&p->list->tensors[in[0]]);
    int n = 0, rc = 0;

    if (o->kind == OP_GRAD_SUM)
        return cuda_grad_sum(NULL, at(p, o->out[0]), at(p, in[0]), at(p, in[1]), elements, elements,
                             &p->step);
    if (o->kind == OP_GRAD_NORM)
        return run_norm(p, o);
    add_chunks(&chunks, &n, 0, elements, (unsigned)(2 * o->group + o->decay), p->be->crooked);
    if (o->kind == OP_EMA)
        rc = cuda_ema(NULL, at(p, in[0]), at(p, in[1]), chunks, n, &p->step);
    else if (o->kind == OP_SGD)
        rc = cuda_sgd(NULL, at(p, in[0]), at(p, in[1]), at(p, in[2]), chunks, n, &p->step,
                      o->nesterov, at(p, in[3]), NULL);
    else if ((rc = cuda_adam_begin(NULL, p->constants, &p->step, NULL)) == 0)
        rc = cuda_adam(NULL, at(p, in[0]), at(p, in[1]), at(p, in[2]), at(p, in[3]), chunks, n,
                       p->constants, at(p, in[4]), NULL);
    free(chunks);
    return rc;
}

static int run_bn(const struct be_program *p, const struct op *o)
{
    const int *in = o->in, *out = o->out;
    const struct tensor *y = &p->list->tensors[in[0]];
    const int c = y->dims[1];
    const size_t rows = tensor_elements(y) / (size_t)c;
    void *workspace = malloc(cuda_bn_workspace(rows, c));
    int rc;

    BUG_IF(!workspace);
    if (o->kind == OP_BN_STATS)
        rc = cuda_bn_stats(NULL, at(p, out[0]), at(p, in[0]), y->dtype, rows, c, at(p, in[1]),
                           at(p, in[2]), workspace);
    else if (o->kind == OP_BN_APPLY)
        rc = cuda_bn_apply(NULL, at(p, out[0]), at(p, out[1]), at(p, in[0]), y->dtype, rows, c,
                           at(p, in[1]), at(p, in[2]), at(p, in[3]), at(p, in[4]), o->relu);
    else if (o->kind == OP_BN_INFER)
        rc = cuda_bn_infer(NULL, at(p, out[0]), at(p, in[0]), y->dtype, rows, c, at(p, in[1]),
                           at(p, in[2]), at(p, in[3]), at(p, in[4]), at(p, in[5]), o->relu);
    else if (o->kind == OP_BN_BWD_STATS)
        rc = cuda_bn_bwd_stats(NULL, at(p, out[0]), at(p, out[1]), at(p, out[2]), at(p, out[3]),
                               at(p, in[0]), at(p, in[1]), at(p, in[2]), at(p, in[3]), y->dtype,
                               rows, c, at(p, in[4]), NULL, NULL, workspace);
    else if (o->kind == OP_BN_RELU_BWD_STATS)
        rc = cuda_bn_bwd_stats(NULL, NULL, at(p, out[0]), at(p, out[1]), at(p, out[2]),
                               at(p, in[0]), NULL, NULL, at(p, in[1]), y->dtype, rows, c,
                               at(p, in[2]), at(p, in[3]), at(p, in[4]), workspace);
    else
        rc = cuda_bn_bwd_apply(NULL, at(p, out[0]), at(p, in[0]), at(p, in[1]), y->dtype, rows,
                               rows, c, at(p, in[2]), at(p, in[3]), at(p, in[4]), at(p, in[5]));
    free(workspace);
    return rc;
}

/* AUGMENT as a network gets it, four channels a pixel, the fourth zero; and as the list has it. */
static int run_augment(const struct be_program *p, const struct op *o)
{
    const struct tensor *t = &p->list->tensors[o->out[0]];
    const size_t pixels = tensor_elements(t) / 3, size = dtype_size(t->dtype);
    char *wide = malloc(pixels * 4 * size), *x = at(p, o->out[0]);
    static const char zero[4];
    int rc;

    BUG_IF(!wide);
    rc = cuda_augment(NULL, wide, t->dtype, t->dims[0], t->dims[2], 4, p->pixels, p->pictures,
                      &p->step);
    if (rc == 0 && t->dims[2] < 64) /* both ways where that is quick */
        rc = cuda_augment(NULL, x, t->dtype, t->dims[0], t->dims[2], 3, p->pixels, p->pictures,
                          &p->step);
    for (size_t i = 0; rc == 0 && i < pixels; i++) {
        BUG_IF(memcmp(wide + (4 * i + 3) * size, zero, size) != 0);
        BUG_IF(t->dims[2] < 64 && memcmp(wide + 4 * i * size, x + 3 * i * size, 3 * size) != 0);
        memcpy(x + 3 * i * size, wide + 4 * i * size, 3 * size);
    }
    free(wide);
    return rc;
}

static int run_picture_op(const struct be_program *p, const struct op *o)
{
    const int *in = o->in, *out = o->out;
    const bool backward = o->kind == OP_MAX_POOL_BWD || o->kind == OP_CONCAT_POOL_BWD;
    const struct tensor *x = &p->list->tensors[backward ? out[0] : in[0]];
    const int n = x->dims[0], c = x->dims[1], h = x->dims[2], w = x->dims[3];

    switch (o->kind) {
    case OP_RELU:
        return cuda_relu(NULL, at(p, out[0]), at(p, in[0]), x->dtype, tensor_elements(x));
    case OP_RELU_BWD:
        return cuda_relu_bwd(NULL, at(p, out[0]), at(p, in[0]), at(p, in[1]), x->dtype,
                             tensor_elements(x));
    case OP_MAX_POOL:
        return cuda_max_pool(NULL, at(p, out[0]), at(p, out[1]), at(p, in[0]), x->dtype, n, h, w,
                             c);
    case OP_MAX_POOL_BWD:
        return cuda_max_pool_bwd(NULL, at(p, out[0]), at(p, in[0]), at(p, in[1]), at(p, in[2]),
                                 x->dtype, n, h, w, c);
    case OP_CONCAT_POOL:
        return cuda_concat_pool(NULL, at(p, out[0]), at(p, out[1]), at(p, in[0]), x->dtype, n,
                                h * w, c);
    case OP_CONCAT_POOL_BWD:
        return cuda_concat_pool_bwd(NULL, at(p, out[0]), at(p, in[0]), at(p, in[1]), x->dtype, n,
                                    h * w, c);
    case OP_SOFTMAX_LOSS:
        return cuda_softmax_loss(NULL, at(p, out[0]), at(p, out[1]), at(p, out[2]), at(p, in[0]), n,
                                 c, o->smoothing, o->focal, p->pictures, &p->step, NULL);
    case OP_DROPOUT:
    case OP_DROPOUT_BWD:
        return cuda_dropout(NULL, at(p, out[0]), at(p, in[0]), x->dtype, n, h * w, c, o->rate,
                            o->layer, p->pictures, &p->step);
    default:
        return -1; /* no such op */
    }
}

static int run_op(struct be_program *p, const struct op *o)
{
    switch (o->kind) {
    case OP_AUGMENT:
        return run_augment(p, o);
    case OP_BN_STATS:
    case OP_BN_APPLY:
    case OP_BN_INFER:
    case OP_BN_BWD_STATS:
    case OP_BN_BWD_APPLY:
    case OP_BN_RELU_BWD_STATS:
    case OP_BN_RELU_BWD_APPLY:
        return run_bn(p, o);
    default:
        return op_is_optimiser(o->kind) ? run_optimiser(p, o) : run_picture_op(p, o);
    }
}

static int emulated_run(struct be_program *p, const struct step *step, struct err *err)
{
    take_step(p, step);
    for (int i = 0; i < p->list->n_ops; i++) {
        const struct op *o = &p->list->ops[i];
        int rc = op_runs(o, step) ? run_op(p, o) : 0;

        if (rc != 0)
            return err_set(err, ERR_NOMEM, "%s: %d %s", op_kind_name(o->kind), rc,
                           emulate_fault() ? emulate_fault() : "");
    }
    return 0;
}

const struct backend emulated_backend = {
    .name = "emulated",
    .open = emulated_open,
    .close = emulated_close,
    .info = emulated_info,
    .prepare = emulated_prepare,
    .release = emulated_release,
    .memory = emulated_memory,
    .run = emulated_run,
    .profile = emulated_profile,
    .put = emulated_put,
    .get = emulated_get,
    .read = emulated_read,
    .write = emulated_write,
};
