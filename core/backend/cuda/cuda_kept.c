/* cuda_kept.c - a set of pictures that stays on the device, so that only parameters travel.
 *
 * A picture is sent when a step first needs it, on the compute stream and in front of the step, so its
 * readers come after it without an event. SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "backend/cuda/cuda.h"
#include "base/size.h"

enum { PIXEL_ALIGN = 16, SPARE = 512 << 20 /* bytes left free for the lists of other phases */ };

void kept_free(struct be *b)
{
    if (b->compute)
        cudaStreamSynchronize(b->compute);
    cudaFree(b->kept.pixels);
    free(b->kept.at);
    b->kept = (struct kept){0};
}

int cuda_keep(struct be *b, uint32_t set, uint32_t n, size_t bytes, struct err *err)
{
    struct kept k = {.set = set, .n = n, .bytes = bytes + (size_t)n * PIXEL_ALIGN};
    size_t available = 0, all = 0;

    if (b->kept.set == set || b->options.resident == RESIDENT_OFF)
        return b->kept.set == set;
    if (cuda_check(cudaMemGetInfo(&available, &all), "free memory", err) < 0)
        return -1;
    if (available < SPARE || k.bytes > available - SPARE)
        return 0;
    k.at = malloc((size_t)n * sizeof *k.at);
    if (!k.at)
        return err_set(err, ERR_NOMEM, "a set of %u pictures", n);
    for (uint32_t i = 0; i < n; i++)
        k.at[i] = SIZE_MAX;
    if (cudaMalloc((void **)&k.pixels, k.bytes) !=
        cudaSuccess) { /* in pieces, or taken meanwhile */
        (void)cudaGetLastError();
        free(k.at);
        return 0;
    }
    kept_free(b);
    b->kept = k;
    return 1;
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

bool kept_take(struct be *b, const struct picture *p, size_t bytes)
{
    struct kept *k = &b->kept;

    if (k->at[p->rank] != SIZE_MAX)
        return false;
    BUG_IF(bytes > k->bytes - k->used);
    k->at[p->rank] = k->used;
    k->used += bytes;
    return true;
}
