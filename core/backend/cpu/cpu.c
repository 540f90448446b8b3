/* cpu.c - the cpu backend.
 *
 * A list is run segment by segment (plan.h). In a segment one task is all its ops for one
 * microbatch; threads only decide who takes which. Sums over microbatches are made when the segment
 * is over, weight gradients one segment later, as tasks beside that segment's microbatches.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/elem.h"
#include "base/clock.h"
#include "base/isa.h"
#include "base/size.h"

enum {
    CACHE = 1 << 20
}; /* bytes, what a core has to itself; a part of the rule by which lists are cut up */

const struct tensor *op_tensor(const struct be_program *p, int tensor)
{
    return &p->list->tensors[tensor];
}

char *act_data(const struct be_program *p, int tensor, int worker, int picture)
{
    if (tensor == 0)
        return NULL;

    const int room = p->plan->tensors[tensor].pictures;
    const size_t at = p->plan->tensors[tensor].offset + (size_t)(picture % room) * p->slice[tensor];

    if (p->plan->tensors[tensor].place == PLACE_LOCAL)
        return p->local.data + (size_t)worker * p->plan->local_bytes + at;
    return p->arena.data + at;
}

void *job_data(const struct job *j, int tensor)
{
    return act_data(j->p, tensor, j->worker, j->first);
}

char *worker_scratch(const struct be_program *p, int worker)
{
    return p->scratch.data + (size_t)worker * (p->scratch_bytes + p->sum_bytes);
}

float *worker_sum(const struct be_program *p, int worker)
{
    return (float *)(void *)(worker_scratch(p, worker) + p->scratch_bytes);
}

void job_fail(const struct job *j)
{
    atomic_store(&j->p->failed, true);
}

int tensor_slab(struct slab *s, const struct be *b, const struct tensor *t, int n, struct err *err)
{
    const size_t c = (size_t)t->dims[1], pixels = (size_t)t->dims[2] * (size_t)t->dims[3];
    const bool blocked = b->blocked && pixels > 1;

    if (t->dims[1] % LANES)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: the cpu backend takes a multiple of %d channels, not %d", t->name,
                       LANES, t->dims[1]);
    *s = (struct slab){
        .dtype = t->dtype,
        .n = n,
        .blocks = t->dims[1] / LANES,
        .h = t->dims[2],
        .w = t->dims[3],
        .picture = c * pixels,
        .block = blocked ? LANES * pixels : LANES,
        .pixel = blocked ? LANES : c,
    };
    return 0;
}

/* ---- device
 * --------------------------------------------------------------------------------------- */

static void worker_begin(void *ctx, int worker)
{
    const struct be *b = ctx;

    (void)worker;
    if (b->dnn)
        cpu_dnn_thread();
}

static void cpu_close(struct be *b)
{
    if (!b)
        return;
    pool_free(b->pool);
    cpu_drop(b);
    heap_free(&b->heap);
    cpu_dnn_close(b);
    free(b);
}

/* Zen 4 multiplies pairs of bf16 numbers at nearly twice the rate of fp32 (a step is 1.8 times as fast). On Sapphire
 * Rapids two fused multiply-adds are twice as fast as the pair (measured: 7.4 and 1.8 instructions per ns). */
static bool dot_is_fast(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_is("amd");
#else
    return false;
#endif
}

static void ask_dot(void *ctx, int i, int worker)
{
    (void)i;
    (void)worker;
    *(bool *)ctx = conv_dot_agrees();
}

/* Dot products where they are asked for or fast, and have the right bits. */
static enum isa choose_conv_isa(struct be *b, bool named)
{
    bool agrees = false;

    if (b->isa != ISA_AVX512BF16)
        return b->isa;
    pool_run(b->pool, 1, ask_dot, &agrees);
    return agrees && (named || dot_is_fast()) ? b->isa : ISA_AVX512;
}

/* That are this process's, where several run on the same. */
static int processors(const struct be_ranks *r)
{
    const int n = cpu_count(), sharers = r && r->sharers > 1 ? r->sharers : 1;

    return n > sharers ? n / sharers : 1;
}

static int cpu_open(struct be **out, const struct exec_options *o, struct err *err)
{
    const bool isa_named = isa_is_named(isa_choices[o->isa]);
    struct be *b = calloc(1, sizeof *b);

    *out = NULL;
    if (!b)
        return err_set(err, ERR_NOMEM, "cpu backend");
    b->options = *o;
    b->heap.sharers = o->ranks;
    b->persistents = (struct persistents){.be = b, .place = cpu_place};
    b->threads = o->threads > 0 ? (int)o->threads : processors(o->ranks);
    b->blocked = true;
    b->has_bf16 = true;
    if (isa_choose(&b->isa, isa_choices[o->isa], err) < 0 ||
        (o->conv == CONV_ONEDNN && cpu_dnn_open(b, isa_named, err) < 0) ||
        pool_new(&b->pool, b->threads, worker_begin, b, err) < 0) {
        cpu_close(b);
        return -1;
    }
    b->kernels = kernels_of(b->isa);
    b->conv_isa = b->dnn ? b->isa : choose_conv_isa(b, isa_named);
    *out = b;
    return 0;
}

static bool has_amx(void)
{
#if defined(__x86_64__)
    return backend_has_onednn() && __builtin_cpu_supports("amx-bf16");
#else
    return false;
#endif
}

/* Or is told to do without. */
static bool lacks_fma(const struct be *b)
{
#if defined(__x86_64__)
    return b->isa == ISA_BASE;
#else
    (void)b;
    return false;
#endif
}

/* The processor's name as the system tells it. */
static void processor_name(char *out, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];

    snprintf(out, size, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) == 0 && colon) {
            snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (file)
        fclose(file);
}

static void cpu_info(const struct be *b, struct be_info *info)
{
    memset(info, 0, sizeof *info);
    processor_name(info->device, sizeof info->device);
    snprintf(info->isa, sizeof info->isa, "%s", isa_name(b->isa));
    snprintf(info->library, sizeof info->library, "own convolutions");
    if (b->dnn)
        cpu_dnn_describe(b, info);
    else if (lacks_fma(b))
        snprintf(info->slow, sizeof info->slow,
                 "without fused multiply-adds convolutions take many times as long: each is "
                 "computed in steps, "
                 "for the same bits");
    else if (has_amx())
        snprintf(info->hint, sizeof info->hint,
                 "this processor has AMX, which exec.conv=onednn uses in bf16 and presize's own "
                 "convolutions "
                 "do not; its bits are those of one build and type of processor");
    info->threads = b->threads;
    info->has_bf16 = b->has_bf16;
}

/* ---- prepare
 * -------------------------------------------------------------------------------------- */

/* Channels of blocks are whole (tensor_slab), so every layout has the same size. */
static size_t slice_bytes(const void *ctx, int tensor)
{
    return ((const struct be_program *)ctx)->slice[tensor];
}

/* Of a gradient or statistic, in whole cache lines. */
static size_t own_bytes(const struct tensor *t)
{
    return t->role == TENSOR_ACT || tensor_is_persistent(t)
               ? 0
               : align_up(tensor_elements(t) * dtype_size(t->dtype), 64);
}

static int place_tensors(struct be_program *p, struct err *err)
{
    const struct op_list *l = p->list;
    size_t gradients = 0, stats = 0;

    p->slice = calloc((size_t)l->n_tensors, sizeof *p->slice);
    p->data = calloc((size_t)l->n_tensors, sizeof *p->data);
    if (!p->slice || !p->data)
        return err_set(err, ERR_NOMEM, "list of %d tensors", l->n_tensors);
    for (int i = 1; i < l->n_tensors; i++)
        *(l->tensors[i].role == TENSOR_GRAD ? &gradients : &stats) += own_bytes(&l->tensors[i]);
    if (region_share(&p->gradients, p->be->options.ranks, gradients, "gradients", err) < 0 ||
        region_map(&p->stats, stats, "statistics", err) < 0)
        return -1;
    gradients = stats = 0;
    for (int i = 1; i < l->n_tensors; i++) {
        const struct tensor *t = &l->tensors[i];

        if (t->role == TENSOR_ACT)
            p->slice[i] = tensor_elements(t) / (size_t)l->batch * dtype_size(t->dtype);
        else if (t->role == TENSOR_GRAD)
            p->data[i] = p->gradients.data + gradients;
        else if (!tensor_is_persistent(t))
            p->data[i] = p->stats.data + stats;
        *(t->role == TENSOR_GRAD ? &gradients : &stats) += own_bytes(t);
    }
    if (plan_make(&p->plan, l, slice_bytes, p, CACHE, err) < 0 ||
        region_map(&p->arena, p->plan->arena_bytes, "activations", err) < 0)
        return -1;
    return region_map(&p->local, p->plan->local_bytes * (size_t)p->be->threads, "workspace", err);
}

#define ENTRY(KIND, name) [OP_##KIND] = cpu_##name,
static cpu_prepare *const own[OP_KINDS] = {OP_EACH(ENTRY)};
/* In their place where oneDNN is asked for. */
static cpu_prepare *const dnn[OP_KINDS] = {
    [OP_CONV] = dnn_conv,
    [OP_LINEAR] = dnn_linear,
    [OP_LINEAR_BWD_DATA] = dnn_linear_bwd_data,
    [OP_LINEAR_BWD_WEIGHT] = dnn_linear_bwd_weight,
    [OP_CONV_BWD_DATA] = dnn_conv_bwd_data,
    [OP_CONV_BWD_WEIGHT] = dnn_conv_bwd_weight,
};

static int prepare_op(struct be_program *p, struct cpu_op *o, struct err *err)
{
    if (persistents_of_op(o->param, &p->be->persistents, p->list, o->op, err) < 0)
        return -1;
    return (p->be->dnn && dnn[o->op->kind] ? dnn : own)[o->op->kind](p, o, err);
}

static int place_refills(struct be_program *p, struct err *err)
{
    int n = 0;

    for (int i = 0; i < p->n_copies; i++)
        n += p->copies[i]->parts;
    p->refills = calloc((size_t)n + 1, sizeof *p->refills);
    if (!p->refills)
        return err_set(err, ERR_NOMEM, "copies of weights");
    for (int i = 0; i < p->n_copies; i++)
        for (int part = 0; part < p->copies[i]->parts; part++)
            p->refills[p->n_refills++] = (struct refill){p->copies[i], part};
    return 0;
}

static int prepare_ops(struct be_program *p, struct err *err)
{
    const struct op_list *l = p->list;

    p->ops = calloc((size_t)l->n_ops, sizeof *p->ops);
    p->copies = calloc((size_t)l->n_ops, sizeof *p->copies);
    if (!p->ops || !p->copies)
        return err_set(err, ERR_NOMEM, "list of %d ops", l->n_ops);
    for (int s = 0; s < p->plan->n_segments; s++)
        for (int i = 0; i < p->plan->segments[s].n; i++)
            p->ops[p->plan->segments[s].first + i].segment = s;
    for (int i = 0; i < l->n_ops; i++) {
        struct cpu_op *o = &p->ops[i];
        int k = 0;

        o->op = &l->ops[i];
        o->pictures =
            op_traits[o->op->kind].runs_last ? p->micro : p->plan->segments[o->segment].pictures;
        if (i > 0 && p->ops[i - 1].runs_next)
            continue;
        if (prepare_op(p, o, err) < 0)
            return err_wrap(err, "op %d %s", i, op_kind_name(o->op->kind));
        while (o->weight && k < p->n_copies && p->copies[k] != o->weight)
            k++;
        if (o->weight && k == p->n_copies) {
            p->copies[p->n_copies++] = o->weight;
            o->weight->users++;
        }
    }
    return place_refills(p, err);
}

static void at_least(size_t *room, size_t bytes)
{
    if (*room < bytes)
        *room = bytes;
}

/* Gives each weight gradient its leaves from BASE on, in every segment again; returns the room that
 * the largest segment needs. Segments use the two halves by turns: one is summed while the next is
 * written. */
static size_t place_leaves(struct be_program *p, char *base, size_t half)
{
    size_t used = 0, most = 0;

    for (int i = 0; i < p->list->n_ops; i++) {
        struct cpu_op *o = &p->ops[i];

        if (i > 0 && o->segment != p->ops[i - 1].segment)
            used = 0;
        if (base)
            o->leaves = base + (size_t)(o->segment % 2) * half + used;
        used += o->leaf_bytes * (size_t)(p->n_micro * machine_ranks(p->be->options.ranks));
        at_least(&most, used);
    }
    return most;
}

static int place_workspace(struct be_program *p, struct err *err)
{
    const size_t half = place_leaves(p, NULL, 0);
    size_t n_fills = 0;

    for (int i = 0; i < p->list->n_ops; i++) {
        const struct cpu_op *o = &p->ops[i];

        at_least(&p->sum_bytes, o->part_n * sizeof(float));
        n_fills += (size_t)o->parts;
        if (o->op->kind == OP_AUGMENT) /* a picture and its partner, fp32 */
            at_least(&p->scratch_bytes, 2 * sizeof(float) *
                                            tensor_elements(op_tensor(p, o->op->out[0])) /
                                            (size_t)p->list->batch);
        at_least(&p->scratch_bytes, o->scratch_bytes);
    }
    p->due = calloc(n_fills + 1, sizeof *p->due);
    if (!p->due)
        return err_set(err, ERR_NOMEM, "list of %zu sums", n_fills);
    p->scratch_bytes = align_up(p->scratch_bytes, 4096);
    p->sum_bytes = align_up(p->sum_bytes, 4096);
    if (region_share(&p->leaves, p->be->options.ranks, 2 * half, "gradients of microbatches", err) <
            0 ||
        region_map(&p->scratch, (p->scratch_bytes + p->sum_bytes) * (size_t)p->be->threads,
                   "scratchpads", err) < 0)
        return -1;
    if (half > 0)
        place_leaves(p, p->leaves.data, half);
    return 0;
}

static void cpu_release(struct be_program *p)
{
    if (!p)
        return;
    for (int i = 0; p->ops && i < p->list->n_ops; i++) {
        conv_free(p->ops[i].conv);
        folded_free(p->ops[i].folded);
        dnn_op_free(p->ops[i].dnn);
        free(p->ops[i].sums);
        free(p->ops[i].coef);
    }
    for (int i = 0; i < p->n_copies; i++)
        p->copies[i]->users--;
    if (p->be)
        weight_copies_sweep(p->be);
    ranks_free(p->ranks);
    region_unmap(&p->gradients);
    region_unmap(&p->stats);
    region_unmap(&p->squares);
    region_unmap(&p->arena);
    region_unmap(&p->local);
    region_unmap(&p->leaves);
    region_unmap(&p->scratch);
    free(p->ops);
    free(p->data);
    free(p->slice);
    free(p->due);
    free(p->copies);
    free(p->refills);
    free(p->chunks);
    free(p->seconds);
    plan_free(p->plan);
    op_list_free(p->list);
    free(p);
}

static int check_precision(const struct be *b, const struct op_list *l, struct err *err)
{
    for (int i = 1; i < l->n_tensors; i++)
        if (l->tensors[i].dtype == DTYPE_BF16 && !b->has_bf16)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: this processor has no bf16 kernels; use train.precision=fp32",
                           l->tensors[i].name);
        else if (l->tensors[i].dtype == DTYPE_F16)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: the cpu backend has no fp16 kernels; use train.precision=bf16",
                           l->tensors[i].name);
    return 0;
}

static int cpu_prepare_list(struct be_program **out, struct be *b, const struct op_list *list,
                            struct err *err)
{
    struct be_program *p;

    *out = NULL;
    if (op_list_check(list, err) < 0 || check_precision(b, list, err) < 0)
        return -1;
    p = calloc(1, sizeof *p);
    if (!p || !(p->list = op_list_copy(list)) ||
        !(p->seconds = calloc((size_t)b->threads, sizeof *p->seconds))) {
        err_set(err, ERR_NOMEM, "cpu program");
        goto fail;
    }
    p->be = b;
    p->micro = list->microbatch;
    p->n_micro = list->batch / list->microbatch;
    if (place_tensors(p, err) < 0 || prepare_ops(p, err) < 0 || place_workspace(p, err) < 0 ||
        ranks_make(p, err) < 0 || optimiser_chunks(p, err) < 0)
        goto fail;
    *out = p;
    return 0;
fail:
    cpu_release(p);
    return -1;
}

static void cpu_memory(const struct be_program *p, struct be_memory *m)
{
    const size_t sharers = (size_t)machine_ranks(p->be->options.ranks);

    memset(m, 0, sizeof *m);
    m->activations = p->arena.bytes;
    m->workspace =
        p->local.bytes + region_part(&p->leaves) + p->scratch.bytes + ranks_bytes(p->ranks);
    for (int i = 1; i < p->list->n_tensors; i++) {
        const struct tensor *t = &p->list->tensors[i];
        const size_t bytes = tensor_elements(t) * sizeof(float);

        if (t->role == TENSOR_GRAD)
            m->gradients += bytes;
        else if (tensor_is_persistent(t))
            m->parameters += bytes;
    }
    for (int i = 0; i < p->list->n_ops; i++)
        for (int k = 1; op_is_optimiser(p->list->ops[i].kind) && k < 4; k++) {
            const struct persistent *state = p->ops[i].param[k];

            if (!state || op_tensor(p, p->list->ops[i].in[k])->role != TENSOR_STATE)
                continue;
            m->optimiser += state->n * sizeof(float);
            m->parameters -= state->n * sizeof(float);
        }
    for (int i = 0; i < p->n_copies; i++)
        m->parameters += p->copies[i]->bytes;
    m->gradients /= sharers; /* its part of what the machine's processes have in common */
    m->parameters /= sharers;
    m->optimiser /= sharers;
    m->total = m->activations + m->workspace + m->gradients + m->parameters + m->optimiser;
}

const struct backend cpu_backend = {
    .name = "cpu",
    .shares = SHARES_MICROBATCHES,
    .open = cpu_open,
    .close = cpu_close,
    .info = cpu_info,
    .prepare = cpu_prepare_list,
    .release = cpu_release,
    .memory = cpu_memory,
    .traffic = cpu_traffic,
    .run = cpu_run,
    .profile = cpu_profile,
    .put = cpu_put,
    .get = cpu_get,
    .read = cpu_read,
    .write = cpu_write,
};
