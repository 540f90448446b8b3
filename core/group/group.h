/* group.h - processes that work as one: what they exchange, through MPI.
 *
 * MPI is a plug-in (mpi_plugin.h), opened by group_join() and group_mpirun(): a process by itself never loads it. One
 * thread makes all calls, but group_across(), which another one may call meanwhile. All members make the same calls in
 * the same order, and so the same calls of group_across() in theirs. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_GROUP_GROUP_H
#define PRESIZE_GROUP_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "base/err.h"

enum { GROUP_MAX = 1024, GROUP_NAME = 256 };

/* Which of how many processes this is, as its launcher says in the environment. */
struct group_place {
    int rank, ranks;      /* 0, 1: alone */
    const char *launcher; /* "mpirun", "srun", also of one process; NULL: none */
};

/* From what Open MPI, MPICH, Intel MPI (PMI) or Slurm's srun set. ERR_INPUT: numbers that cannot be. */
int group_place(struct group_place *out, struct err *err) MUST_USE;

/* The name of the mpirun of the MPI that the plug-in was built with, "mpirun.openmpi". Errors as group_join()'s of the
 * plug-in. */
int group_mpirun(const char **name, struct err *err) MUST_USE;

struct group_options {
    /* How long the process may take to end a call of these functions or a step of a progress bar (base/log.h); others
     * may keep it waiting for some seconds more. */
    double limit_s;
    /* WHY the group cannot go on, a sentence, which is SAID already where another member found it; the group then ends
     * all processes. In any thread. */
    void (*lost)(void *ctx, const char *why, bool said);
    void *ctx;
};

struct group;
/* Opens $PRESIZE_MPI_PLUGIN, else libpresize_mpi.so beside the running program, and begins MPI, which may start threads
 * and write files: before sandbox_enter(). ERR_UNSUPPORTED: no plug-in, or none that can be used. ERR_INPUT: MPI counts
 * other processes than the launcher, as when the launcher is another MPI's; a member is another version of presize. */
int group_join(struct group **out, const struct group_place *place, const struct group_options *o,
               struct err *err) MUST_USE;
int group_rank(const struct group *g);
int group_size(const struct group *g);
/* Rank among the members of this machine; how many of them, with this one, have exactly its processors. */
int group_local(const struct group *g);
int group_sharers(const struct group *g);
/* "rank 2 (HOST, pid 1234, TEXT)", TEXT as group_introduce() was told. */
const char *group_name(const struct group *g, int rank);
int group_introduce(struct group *g, const char *text, struct err *err) MUST_USE; /* ERR_NOMEM */

/* Each gives the part of BYTES at ALL + rank * BYTES and gets the others'. */
void group_share(struct group *g, void *all, size_t bytes);
bool group_any(struct group *g, bool mine);
void group_meet(struct group *g); /* returns when all have called it */
/* All say TEXT (SHA256_HEX bytes) of their WHAT. ERR_INPUT names one that says another. G may be NULL. */
int group_same(struct group *g, const char *what, const char *text, struct err *err) MUST_USE;

/* Each gives SIZE bytes of MINE. ALL[r] becomes those of rank r, which the caller frees, and SIZES[r] their number;
 * without KEEP ALL stays NULL, as where rank 0 alone needs it. Both have group_size() elements. ERR_NOMEM: this member
 * has not all of it; the others are not held up. */
int group_collect(struct group *g, char **all, size_t *sizes, const void *mine, size_t size,
                  bool keep, struct err *err) MUST_USE;

/* Machines whose members share memory: a range of ranks each, as many on every machine. Members of this machine, 1
 * where memory cannot be shared so; this one's number among them, from 0. */
int group_machine_size(const struct group *g);
int group_machine_rank(const struct group *g);
/* What the members of a machine do together, where there are several (machine.h); all of them in the same order. */
void group_machine_meet(struct group *g);
/* BYTES of zeros that these members share, as long as the group lasts; NULL: out of memory. Only where
 * group_machine_size() is above 1, as the meeting is. */
void *group_machine_memory(struct group *g, size_t bytes);
void group_machine_populate(struct group *g, void *memory, size_t bytes);
void group_machine_give_back(struct group *g, void *memory, size_t bytes);

/* An exchange among the members of one machine_rank, one on each machine, in the order of the machines. OUT not NULL:
 * IN has a part of BYTES for every machine, and part I of OUT becomes what the member of machine I has for this one;
 * OUT and IN are apart. OUT NULL: each gives the part at IN + machine * BYTES and gets the others'. */
struct group_parts {
    void *out, *in;
    size_t bytes; /* below 2^31 */
};
enum { GROUP_PARTS = 64, GROUP_WINDOW = 2 };
/* Begins N exchanges, at most GROUP_PARTS. Returns when those of all calls but the last GROUP_WINDOW - 1 are done, so
 * that the calls of a window are on their way at once; with ALL, which members need not have alike, when all are done.
 * The memory of PARTS stays as it is until then. False: an exchange failed, and so will all that follow. */
bool group_across(struct group *g, const struct group_parts *parts, int n, bool all) MUST_USE;
/* On the thread of the other calls, which has waited WAITED_S until the last group_across() returned. Ends the group
 * where one failed. */
void group_across_end(struct group *g, double waited_s);

/* What this member has exchanged so far. */
struct group_traffic {
    uint64_t exchanges, bytes; /* by MPI, what it had to send to others in these */
    uint64_t meetings;         /* of the members of its machine */
    double seconds;            /* that exchanges by MPI took; */
    double waited_s;           /* of these, that the thread of the other calls waited */
};
struct group_traffic group_traffic(const struct group *g);

/* Before group_end(): tells rank 0 WHY, and gives it some seconds to put its files in order and end all processes. */
void group_tell(struct group *g, const char *why);
/* Ends all processes at once, in whatever they are, with STATUS. */
noreturn void group_end(struct group *g, int status);
/* All are done and leave together. Also frees G; NULL is fine. */
void group_leave(struct group *g);

#endif
