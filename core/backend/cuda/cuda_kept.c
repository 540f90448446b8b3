/* cuda_kept.c - a set of pictures that stays on the device, so that only parameters travel.
 *
 * Read once, by the pool's threads, into one half of pinned memory while the other half is on its way.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "backend/cuda/cuda.h"
#include "base/size.h"

enum {
    PIXEL_ALIGN = 16,
    SPARE = 512 << 20, /* bytes left free for the lists of other phases */
    HALF = 16 << 20    /* of pinned memory, or as large as the largest picture */
};

void kept_free(struct be *b)
{
    if (b->compute)
        cudaStreamSynchronize(b->compute);
    cudaFree(b->kept.pixels);
    free(b->kept.at);
    b->kept = (struct kept){0};
}

bool kept_has(const struct be *b, const struct step *step)
{
    const struct kept *k = &b->kept;

    if (k->set == 0 || !step->pictures)
        return false;
    for (int i = 0; i < step_batch(step); i++)
        if (step->pictures[i].set != k->set || step->pictures[i].rank >= k->n)
            return false;
    return true;
}

/* ---- sending --------------------------------------------------------------------------------- */

struct sender {
    struct be *b;
    const struct picture_set *set;
    size_t half; /* bytes */
    char *host[2];
    cudaEvent_t sent[2];
    uint32_t first; /* of the pictures that are read now */
    char *to;
    struct err *errs; /* one per thread */
};

static void read_one(void *ctx, int i, int worker)
{
    struct sender *s = ctx;
    const uint32_t rank = s->first + (uint32_t)i;
    const size_t *at = s->b->kept.at;

    if (!s->errs[worker].msg[0])
        (void)s->set->read(s->set->ctx, rank, (uint8_t *)s->to + (at[rank] - at[s->first]),
                           &s->errs[worker]);
}

/* Pictures from s->first to before LAST through HALF number H. */
static int send_some(struct sender *s, uint32_t last, int h, struct err *err)
{
    const struct kept *k = &s->b->kept;
    const size_t end = last < k->n ? k->at[last] : k->bytes, first = k->at[s->first];

    if (cuda_check(cudaEventSynchronize(s->sent[h]), "pictures", err) < 0)
        return -1;
    s->to = s->host[h];
    pool_run(s->b->pool, (int)(last - s->first), read_one, s);
    for (int i = 0; i < pool_threads(s->b->pool); i++)
        if (s->errs[i].msg[0]) {
            if (err)
                *err = s->errs[i];
            return -1;
        }
    if (cuda_check(cudaMemcpyAsync(k->pixels + first, s->host[h], end - first,
                                   cudaMemcpyHostToDevice, s->b->copy),
                   "pictures", err) < 0)
        return -1;
    return cuda_check(cudaEventRecord(s->sent[h], s->b->copy), "pictures", err);
}

static int send_all(struct sender *s, struct err *err)
{
    const struct kept *k = &s->b->kept;
    uint32_t last;

    for (int h = 0; h < 2; h++)
        if (cuda_check(cudaHostAlloc((void **)&s->host[h], s->half, cudaHostAllocDefault),
                       "pictures", err) < 0 ||
            cuda_check(cudaEventCreateWithFlags(&s->sent[h], cudaEventDisableTiming), "an event",
                       err) < 0)
            return -1;
    for (int h = 0; s->first < k->n; s->first = last, h = !h) {
        last = s->first + 1;
        while (last < k->n &&
               (last + 1 < k->n ? k->at[last + 1] : k->bytes) - k->at[s->first] <= s->half)
            last++;
        if (send_some(s, last, h, err) < 0)
            return -1;
    }
    return 0;
}

static int send_set(struct be *b, const struct picture_set *set, size_t half, struct err *err)
{
    struct sender s = {.b = b, .set = set, .half = half};
    int rc = -1;

    s.errs = calloc((size_t)pool_threads(b->pool), sizeof *s.errs);
    if (s.errs)
        rc = send_all(&s, err);
    else
        err_set(err, ERR_NOMEM, "a set of %u pictures", set->n);
    if (cuda_check(cudaStreamSynchronize(b->copy), "pictures", rc == 0 ? err : NULL) < 0)
        rc = -1;
    for (int h = 0; h < 2; h++) {
        if (s.sent[h])
            cudaEventDestroy(s.sent[h]);
        cudaFreeHost(s.host[h]);
    }
    free(s.errs);
    return rc;
}

int cuda_keep(struct be *b, const struct picture_set *set, struct err *err)
{
    struct kept k = {.set = set->set, .n = set->n};
    size_t available = 0, all = 0, half = HALF;

    if (b->kept.set == set->set || b->options.resident == RESIDENT_OFF)
        return b->kept.set == set->set;
    k.at = malloc((size_t)set->n * sizeof *k.at);
    if (!k.at)
        return err_set(err, ERR_NOMEM, "a set of %u pictures", set->n);
    for (uint32_t i = 0; i < set->n; i++) {
        const size_t bytes = align_up(set->bytes(set->ctx, i), PIXEL_ALIGN);

        k.at[i] = k.bytes;
        k.bytes += bytes;
        half = half < bytes ? bytes : half;
    }
    kept_free(b); /* another set's */
    if (cuda_check(cudaMemGetInfo(&available, &all), "free memory", err) < 0) {
        free(k.at);
        return -1;
    }
    if (available < SPARE || k.bytes > available - SPARE ||
        cudaMalloc((void **)&k.pixels, k.bytes) !=
            cudaSuccess) { /* in pieces, or taken meanwhile */
        (void)cudaGetLastError();
        free(k.at);
        return 0;
    }
    b->kept = k;
    if (send_set(b, set, half, err) == 0)
        return 1;
    kept_free(b);
    return -1;
}
