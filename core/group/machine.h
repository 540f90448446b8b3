/* machine.h - memory that processes of one machine share, and where they meet.
 *
 * The memory is a file without a name (memfd_create) of the first process; the others open it through /proc, before
 * sandbox_enter(), which forbids that. All processes ask for memory in the same order and so have the same. One thread
 * of each makes all calls. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_GROUP_MACHINE_H
#define PRESIZE_GROUP_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What the first process tells the others. */
struct machine_key {
    int64_t pid;
    int32_t file;     /* its descriptor in that process */
    uint32_t is_made; /* 0: the other fields say nothing */
    unsigned char mark
        [16]; /* random, also in the memory: a process of that number may be another machine's */
};

struct machine;
/* The first of RANKS processes; KEY is for the others. ERR_UNSUPPORTED, ERR_IO, ERR_NOMEM. */
int machine_make(struct machine **out, struct machine_key *key, int ranks,
                 struct err *err) MUST_USE;
/* Process RANK, from 1. ERR_UNSUPPORTED: the memory of KEY is out of reach. */
int machine_open(struct machine **out, const struct machine_key *key, int rank, int ranks,
                 struct err *err) MUST_USE;
void machine_close(
    struct machine *m); /* NULL is fine; memory that was not given back stays mapped */

struct machine_limit {
    double seconds; /* how long it waits for the others */
    /* Asked some times a second, when it has waited for a while: true ends the wait. NULL: nothing does. */
    bool (*ends)(void *ctx);
    void *ctx;
};
/* Returns when all have called it; what they wrote before is seen. Sleeps while it waits; false: not all came within
 * the LIMIT. */
bool machine_meet(struct machine *m, const struct machine_limit *limit) MUST_USE;
/* Each gives the BYTES at ALL + rank * BYTES and gets the others'. False: as above. */
bool machine_share(struct machine *m, void *all, size_t bytes,
                   const struct machine_limit *limit) MUST_USE;

/* BYTES, zeroed, on a page of its own, the same for all processes; NULL: out of memory. What is not written takes no
 * room. */
void *machine_memory(struct machine *m, size_t bytes);
/* Of machine_memory(), before all of it is used: this process's part gets huge pages, where the system has them. */
void machine_populate(struct machine *m, void *memory, size_t bytes);
/* Of machine_memory(). What it held is lost when the last process has given it back. */
void machine_give_back(struct machine *m, void *memory, size_t bytes);

#endif
