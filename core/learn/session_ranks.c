/* session_ranks.c - how the processes of a session share its batches. SPDX-License-Identifier: MIT */
#include "learn/session.h"
#include "nn/network.h"

struct group *session_group(const struct session *s)
{
    return s->e->exec.ranks ? s->e->exec.ranks->ctx : NULL;
}

int session_ranks(const struct session *s)
{
    return s->e->exec.ranks ? s->e->exec.ranks->ranks : 1;
}

int session_rank(const struct session *s)
{
    return s->e->exec.ranks ? s->e->exec.ranks->rank : 0;
}

/* Whether what the processes compute is what one would, bit by bit. */
static bool shares_microbatches(const struct session *s)
{
    return s->device.kind->shares == SHARES_MICROBATCHES;
}

int session_machine_ranks(const struct session *s)
{
    const struct be_ranks *r = s->e->exec.ranks;

    return r && r->machine_ranks > 1 && shares_microbatches(s) ? r->machine_ranks : 1;
}

int session_orders(const struct session *s)
{
    return shares_microbatches(s) ? 1 : session_ranks(s);
}

int session_microbatch(const struct session *s, int phase)
{
    const int given = (int)s->e->exec.microbatch, batch = s->phases[phase].batch;

    if (given || !shares_microbatches(s))
        return given;
    return network_microbatch(batch);
}

/* The most processes, at most MOST, that share a batch alike: each has as many whole microbatches. */
static int most_ranks(int microbatches, int most)
{
    while (microbatches % most)
        most--;
    return most;
}

int session_check_shares(const struct session *s, int phase, const char *key, struct err *err)
{
    const int batch = s->phases[phase].batch, ranks = session_ranks(s);
    const int micro = session_microbatch(s, phase);

    if (ranks == 1)
        return 0;
    if (!shares_microbatches(s))
        return batch % ranks == 0
                   ? 0
                   : err_set(err, ERR_INPUT,
                             "%s: a batch of %d pictures cannot be shared by %d processes alike: "
                             "take a multiple of %d",
                             key, batch, ranks, ranks);
    if (batch / micro % ranks == 0)
        return 0;
    err_set(err, ERR_INPUT,
            "%s: a batch of %d pictures is %d microbatches of %d, which %d processes cannot share "
            "alike; start %d",
            key, batch, batch / micro, micro, ranks, most_ranks(batch / micro, ranks));
    if (batch % ranks == 0)
        err_append(err, ", or set exec.microbatch=%d, which changes the bits of the result",
                   network_microbatch(batch / ranks));
    return -1;
}

bool session_traffic(const struct session *s, int phase, int ranks, struct be_traffic *t)
{
    const int batch = s->phases[phase].batch, parts = (int)s->e->train.accumulate;

    if (!s->device.kind->traffic || batch / s->list->microbatch % ranks)
        return false;
    s->device.kind->traffic(s->list, ranks, t);
    t->exchanges = parts * (t->exchanges + 1) + 1; /* the losses; whether to stop */
    t->bytes =
        (size_t)parts * (t->bytes + (size_t)(batch / ranks) * sizeof(float) * (size_t)(ranks - 1)) +
        (size_t)(ranks - 1);
    t->exchanges_beside *= parts;
    t->rounds_beside *= parts;
    t->exchanges_backward *= parts;
    t->bytes_beside *= (size_t)parts;
    return true;
}
