/* group.h - processes that work as one: a star of sockets about member 0, and who of them has died.
 *
 * Two connections lead from each member to member 0. One is for what the members exchange, in calls that all
 * make in the same order from one thread each. Over the other a thread of each process watches: a
 * connection that ends without a word, a member silent for too long, or one that says why it fails, ends
 * all of them through options.lost(). No library of MPI's is needed to be started by mpirun.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_GROUP_H
#define PRESIZE_BASE_GROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { GROUP_MAX = 1024, GROUP_NAME = 256 };

/* Which of how many this process is, and where they meet. */
struct group_place {
    int rank, ranks;  /* 0, 1: alone */
    int local;        /* rank among those of this machine */
    bool by_launcher; /* started by mpirun or srun */
    /* "HOST:PORT", or "@NAME": a socket of this machine in the abstract namespace */
    char meet[256];
    char job[128]; /* of another one whoever comes is turned away */
};

/* From PRESIZE_RANK, _RANKS, _LOCAL_RANK, _MEET; or from what Open MPI, MPICH, Intel MPI (PMI) or Slurm's srun
 * set, with MASTER_ADDR and MASTER_PORT where these are given. ERR_INPUT: numbers that cannot be. */
int group_place(struct group_place *out, struct err *err) MUST_USE;

struct group_options {
    double limit_s; /* to wait for each at the start; how long a member may be silent later */
    /* WHY it cannot continue, a sentence that names the member; SAID: it is member 0, which fails and says so
     * itself. Called once, from any thread; must end the process. */
    void (*lost)(void *ctx, const char *why, bool said);
    void *ctx;
};

struct group;
/* Returns when all have come. ERR_IO names those that have not; ERR_INPUT: another version, other counts. */
int group_join(struct group **out, const struct group_place *place, const struct group_options *o,
               struct err *err) MUST_USE;
int group_rank(const struct group *g);
int group_size(const struct group *g);
/* "rank 2 (HOST, pid 1234, TEXT)", TEXT as group_introduce() was told. */
const char *group_name(const struct group *g, int rank);

/* The exchanges: all members call, each gives its part, the one at ALL + rank * BYTES, and gets the others'. Of
 * BYTES that differ between members group_share() makes a lost one. None of them returns when a member is gone. */
void group_share(struct group *g, void *all, size_t bytes);
bool group_any(struct group *g, bool mine);
void group_introduce(struct group *g, const char *text);

/* This member fails: the others' lost() is told why. This process continues to its end. */
void group_fail(struct group *g, const char *why);
/* Waits for all; nobody is missed from then on. NULL is fine. Also frees it. */
void group_leave(struct group *g);

#endif
