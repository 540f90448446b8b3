/* fit.c - plans batches until one fits. Memory that is planned is not touched, so planning is cheap.
 * SPDX-License-Identifier: MIT */
#include "learn/fit.h"

#include "base/memory.h"

/* Bytes beside what is planned: primitives' code, libraries, heap. 46 to 117 MiB were measured (peak
 * resident size less the plan: resnet18, 50, 101 at 64 px). */
enum { BESIDES = 128 << 20 };

/* Whole MiB, rounded up. */
static unsigned long long mib(uint64_t bytes)
{
    return (unsigned long long)((bytes + (1 << 20) - 1) >> 20);
}

/* Pixels of the batches that are read ahead, and of the one in use. */
static size_t picture_bytes(const struct session *s, int batch)
{
    uint64_t sum = 0, n = shard_set_count(s->shards);

    for (uint32_t i = 0; i < n; i++) {
        const struct shard_picture *p = shard_set_picture(s->shards, i);

        sum += (uint64_t)p->height * p->width * 3;
    }
    return (size_t)(sum / n) * (size_t)(batch / session_ranks(s)) *
           (size_t)(s->e->exec.prefetch + 1);
}

struct need { /* bytes */
    size_t total;
    size_t batch; /* of it, what grows with the batch, and a little more */
};

/* Prepares phase PHASE with a batch of BATCH. */
static int plan(struct need *need, struct session *s, int phase, int batch, struct err *err)
{
    struct run_phase *p = &s->phases[phase];
    struct be_memory train, infer;
    int own = p->batch, rc;

    if (s->phase != phase || batch != own)
        session_release(s);
    p->batch = batch;
    rc = session_phase(s, phase, err);
    p->batch = own;
    if (rc < 0)
        return -1;
    s->device.kind->memory(s->program, &train);
    infer_memory(s->infer, &infer); /* weights are shared */
    need->batch = train.activations + train.workspace + picture_bytes(s, batch);
    need->total = need->batch + train.parameters + train.gradients + train.optimiser +
                  infer.activations + infer.workspace + BESIDES;
    if (batch != own)
        session_release(s);
    return 0;
}

/* 1: fits, 0: does not, -1. NEED is 0 when the system refused the memory at once. */
static int fits(struct need *need, struct session *s, int phase, int batch, uint64_t available,
                struct err *err)
{
    *need = (struct need){0};
    if (plan(need, s, phase, batch, err) < 0)
        return err->kind == ERR_NOMEM ? 0 : -1;
    return need->total <= available;
}

/* *LARGEST: the largest multiple of UNIT below the phase's batch that fits, 0 for none; *WHOLE: what
 * that batch needs, as needs grow by the same bytes with each UNIT, but for how tensors fall into the
 * arena. Nothing is tried that is likely not to fit. */
static int climb(int *largest, size_t *whole, struct session *s, int phase, int unit,
                 uint64_t available, struct err *err)
{
    const int batch = s->phases[phase].batch, most = (batch - 1) / unit;
    struct need one, two;
    size_t grows;
    uint64_t n;
    int rc = most < 1 ? 0 : fits(&one, s, phase, unit, available, err);

    *largest = rc > 0 ? unit : 0;
    if (rc <= 0)
        return rc;
    grows = one.batch;
    if (most > 1 && one.total + grows <= available) {
        rc = fits(&two, s, phase, 2 * unit, available, err);
        if (rc < 0)
            return -1;
        if (rc > 0) {
            *largest = 2 * unit;
            grows = two.total - one.total;
        }
    }
    *whole = one.total + grows * (size_t)(batch - unit) / (size_t)unit;
    n = 1 + (available - one.total) / (grows ? grows : 1);
    for (int k = n < (uint64_t)most ? (int)n : most; k * unit > *largest; k--) {
        rc = fits(&two, s, phase, k * unit, available, err);
        if (rc < 0)
            return -1;
        if (rc > 0)
            *largest = k * unit;
    }
    return 0;
}

static int largest_divisor(int batch, int most)
{
    while (batch % most)
        most--;
    return most;
}

/* WHOLE: what the phase's batch needs; 0: not known, as the system refused it. */
static int refuse(struct session *s, int phase, size_t whole, uint64_t available, struct err *err)
{
    const struct run_phase *p = &s->phases[phase];
    const int micro = (int)s->e->exec.microbatch, ranks = session_ranks(s);
    const int part_least = ranks * (micro ? micro : 2);
    const int parts = (int)s->e->train.accumulate;
    const char *key = p->batch == s->e->train.batch ? "train.batch" : "the phase's batch";
    size_t estimate = 0;
    int largest, part;

    /* whole microbatches first */
    if (climb(&largest, &estimate, s, phase, ranks * (micro ? micro : 8), available, err) < 0 ||
        (largest == 0 && !micro &&
         climb(&largest, &estimate, s, phase, 2 * ranks, available, err) < 0))
        return -1;
    if (largest == 0)
        return err_set(err, ERR_NOMEM,
                       "phase %s, pictures of %d px: not even a batch of %d fits into the %llu MiB "
                       "available; take a smaller model.arch or train.size",
                       p->name, p->size, part_least, mib(available));
    part = ranks * largest_divisor(p->batch / ranks, largest / ranks);
    return err_set(err, ERR_NOMEM,
                   "phase %s, %d pictures of %d px: %s%llu MiB planned, %llu MiB available; the "
                   "largest batch that fits is %d: %s=%d train.accumulate=%d makes the same %d "
                   "pictures a step",
                   p->name, p->batch, p->size, whole ? "" : "about ", mib(whole ? whole : estimate),
                   mib(available), largest, key, part, p->batch / part * parts, p->batch * parts);
}

/* Weights, gradients and moments of the whole network: less than this no batch needs. */
static size_t weights_need(const struct session *s)
{
    const struct network *n = s->network;
    size_t elements = 0;

    for (int i = 0; i < n->n_params; i++)
        elements += n->params[i].n;
    return 4 * elements / (size_t)session_machine_ranks(s) * sizeof(float) + BESIDES;
}

uint64_t fit_available(const struct session *s)
{
    return s->device.info.memory ? s->device.info.memory
                                 : memory_available() / (uint64_t)session_machine_ranks(s);
}

int fit_check(struct session *s, size_t *bytes, struct err *err)
{
    const uint64_t available = fit_available(s);
    size_t most = 0;

    if (weights_need(s) > available)
        return err_set(err, ERR_NOMEM,
                       "%s takes %llu MiB for weights, gradients and moments alone, %llu MiB are "
                       "available: take a smaller model.arch",
                       arch_name(s->e->model.arch), mib(weights_need(s)), mib(available));
    for (int i = s->n_phases - 1; i >= 0; i--) { /* the first last, as it comes next */
        struct need need;
        int rc = fits(&need, s, i, s->phases[i].batch, available, err);

        if (rc < 0)
            return -1;
        if (rc == 0)
            return refuse(s, i, need.total, available, err);
        most = need.total > most ? need.total : most;
    }
    if (bytes)
        *bytes = most;
    return 0;
}
