/* sim_nccl.c - the simulated device's NCCL: collectives between processes, through a file that all map.
 *
 * The plug-in opens it by $PRESIZE_NCCL, the name of the simulated plug-in itself. A collective is a piece of
 * work on its stream that waits for the other processes; sums are taken as around a ring, so not in the
 * order of ranks. What NCCL would answer with a hang or with wrong sums is a fault: processes that do not
 * call the same, a communicator on two streams. SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "backend/cuda/nccl_api.h"
#include "sim_private.h"

#define EXPORT __attribute__((visibility("default")))

enum { RANKS_MAX = 8, PIECE = 1 << 20, VERSION = 22809 };

struct call { /* must be the same everywhere */
    char name[16];
    uint64_t count;
    int type, op;
};

struct shared {                      /* the file */
    atomic_uint arrived, generation; /* of the barrier */
    struct call calls[RANKS_MAX];
    _Alignas(64) char pieces[RANKS_MAX][PIECE];
};

struct ncclComm {
    struct shared *all;
    int rank, ranks;
    cudaStream_t stream; /* the first it was used on */
};

/* ---- meeting --------------------------------------------------------------------------------- */

static void barrier(struct ncclComm *c)
{
    const unsigned generation = atomic_load(&c->all->generation);

    if (atomic_fetch_add(&c->all->arrived, 1) + 1 == (unsigned)c->ranks) {
        atomic_store(&c->all->arrived, 0);
        atomic_fetch_add(&c->all->generation, 1);
        return;
    }
    while (atomic_load(&c->all->generation) == generation)
        nanosleep(&(struct timespec){0, 50000}, NULL);
}

static void compare_calls(struct ncclComm *c, const struct call *mine)
{
    c->all->calls[c->rank] = *mine;
    barrier(c);
    for (int r = 0; r < c->ranks; r++) {
        const struct call *other = &c->all->calls[r];

        if (memcmp(other, mine, sizeof *mine) != 0)
            sim_fault("rank %d calls %s of %llu elements where rank %d calls %s of %llu", c->rank,
                      mine->name, (unsigned long long)mine->count, r, other->name,
                      (unsigned long long)other->count);
    }
    barrier(c);
}

static bool fails(const char *name)
{
    return sim_fails() || (strcmp(name, sim.kernel) == 0 && --sim.kernel_at == 0);
}

/* ---- work ------------------------------------------------------------------------------------ */

struct collective {
    struct ncclComm *comm;
    struct call call;
    const char *from;
    char *to;
};

/* N floats of every rank's piece, added as they pass around the ring: from the rank whose turn it is on. */
static void add_pieces(const struct ncclComm *c, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int first = (int)(i / 64) % c->ranks;
        float sum = ((const float *)(const void *)c->all->pieces[first])[i];

        for (int k = 1; k < c->ranks; k++)
            sum += ((const float *)(const void *)c->all->pieces[(first + k) % c->ranks])[i];
        to[i] = sum;
    }
}

static void run(void *args)
{
    const struct collective *w = args;
    struct ncclComm *c = w->comm;
    const bool gathers = w->call.op < 0;
    const size_t bytes = w->call.count * (w->call.type == NCCL_FLOAT32 ? 4 : 8);

    if (sim.hang_at > 0 && --sim.hang_at == 0)
        for (;;)
            pause();
    compare_calls(c, &w->call);
    for (size_t at = 0; at < bytes && !sim.fault[0]; at += PIECE) {
        const size_t n = bytes - at < PIECE ? bytes - at : PIECE;

        memcpy(c->all->pieces[c->rank], w->from + at, n);
        barrier(c);
        for (int r = 0; gathers && r < c->ranks; r++)
            memcpy(w->to + (size_t)r * bytes + at, c->all->pieces[r], n);
        if (!gathers)
            add_pieces(c, (float *)(void *)(w->to + at), n / sizeof(float));
        barrier(c);
    }
}

static int enqueue(struct collective *w, const void *from, size_t from_bytes, void *to,
                   size_t to_bytes, cudaStream_t stream)
{
    struct touch touches[2];

    if (fails(w->call.name))
        return 1;
    if (w->comm->stream && w->comm->stream != stream)
        sim_fault("a communicator on two streams");
    w->comm->stream = stream;
    touches[0] = (struct touch){sim_part(to, to_bytes, w->call.name), true};
    touches[1] = (struct touch){sim_buffer(from, from_bytes, w->call.name), false};
    if (!touches[0].buffer || !touches[1].buffer)
        return 1;
    w->from = sim_shadow(from);
    w->to = sim_shadow(to);
    sim_enqueue(stream, "a collective", run, w, sizeof *w, touches, 2);
    return 0;
}

/* ---- entry points ---------------------------------------------------------------------------- */

EXPORT int ncclGetVersion(int *version);
EXPORT int ncclGetUniqueId(struct nccl_id *id);
EXPORT int ncclCommInitRank(struct ncclComm **out, int ranks, struct nccl_id id, int rank);
EXPORT int ncclCommDestroy(struct ncclComm *c);
EXPORT int ncclAllReduce(const void *send, void *receive, size_t count, int type, int op,
                         struct ncclComm *comm, cudaStream_t stream);
EXPORT int ncclAllGather(const void *send, void *receive, size_t count, int type,
                         struct ncclComm *comm, cudaStream_t stream);
EXPORT const char *ncclGetErrorString(int result);
EXPORT const char *ncclGetLastError(struct ncclComm *comm);

int ncclGetVersion(int *version)
{
    *version = VERSION;
    return 0;
}

int ncclGetUniqueId(struct nccl_id *id)
{
    const char *folder = getenv("TMPDIR");
    int fd;

    memset(id, 0, sizeof *id);
    if (fails("unique-id"))
        return 1;
    snprintf(id->bytes, sizeof id->bytes, "%.90s/sim-nccl-XXXXXX", folder ? folder : "/tmp");
    fd = mkstemp(id->bytes);
    BUG_IF(fd < 0 || ftruncate(fd, (off_t)sizeof(struct shared)) != 0);
    close(fd);
    return 0;
}

int ncclCommInitRank(struct ncclComm **out, int ranks, struct nccl_id id, int rank)
{
    const int fd = open(id.bytes, O_RDWR | O_CLOEXEC);
    struct ncclComm *c;

    if (fails("init")) {
        close(fd);
        return 1;
    }
    c = calloc(1, sizeof *c);
    BUG_IF(fd < 0 || !c || ranks > RANKS_MAX);
    c->rank = rank;
    c->ranks = ranks;
    c->all = mmap(NULL, sizeof *c->all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    BUG_IF(c->all == MAP_FAILED);
    close(fd);
    barrier(c);
    if (rank == 0)
        unlink(id.bytes);
    *out = c;
    sim.buffers++;
    return 0;
}

int ncclCommDestroy(struct ncclComm *c)
{
    munmap(c->all, sizeof *c->all);
    free(c);
    sim.buffers--;
    return 0;
}

int ncclAllReduce(const void *send, void *receive, size_t count, int type, int op,
                  struct ncclComm *comm, cudaStream_t stream)
{
    struct collective w = {comm, {"all-reduce", count, type, op}, NULL, NULL};

    if (type != NCCL_FLOAT32 || op != NCCL_SUM)
        sim_fault("an all-reduce of other than sums of floats");
    return enqueue(&w, send, count * sizeof(float), receive, count * sizeof(float), stream);
}

int ncclAllGather(const void *send, void *receive, size_t count, int type, struct ncclComm *comm,
                  cudaStream_t stream)
{
    struct collective w = {comm, {"all-gather", count, type, -1}, NULL, NULL};

    if (type != NCCL_FLOAT64 ||
        (const char *)send != (char *)receive + (size_t)comm->rank * count * sizeof(double))
        sim_fault("an all-gather of other than doubles in their place");
    return enqueue(&w, send, count * sizeof(double), receive,
                   (size_t)comm->ranks * count * sizeof(double), stream);
}

const char *ncclGetErrorString(int result)
{
    return result ? "an error of the simulation" : "no error";
}

const char *ncclGetLastError(struct ncclComm *comm)
{
    (void)comm;
    return "";
}
