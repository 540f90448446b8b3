/* launch.h - several processes of one command: started by --ranks N, or found by what mpirun or srun set; what all of
 * them find alike, rank 0 says.
 *
 * Order of calls: launch_mute(), the command line is read and checked, launch_unmute(), launch_ranks() where --ranks N
 * asks for it, launch_join(). SPDX-License-Identifier: MIT */
#ifndef PRESIZE_GROUP_LAUNCH_H
#define PRESIZE_GROUP_LAUNCH_H

#include <stdbool.h>

#include "base/err.h"
#include "group/group.h"

/* --ranks N, --gpus N: runs the same command N times by mpirun and waits; *STATUS is mpirun's. SIGINT, SIGTERM, SIGHUP,
 * SIGUSR1 and SIGUSR2 become a wish to stop; after any of them SIGINT, SIGTERM or SIGHUP ends all. Where a signal ended
 * a process, an error says so, and AFTER, what to do then. ERR_UNSUPPORTED: no mpirun; an mpirun that does not say who
 * is who started this process. ERR_IO: all ended well, but stdout could not be written. */
int launch_ranks(int n, char *const *argv, const char *after, int *status,
                 struct err *err) MUST_USE;
/* Whether launch_ranks() started this process. */
bool launch_by_ranks(void);

/* Ranks above 0 say nothing on stderr from here on, and leave rank 0 some seconds when they end, as mpirun ends all
 * when one fails. */
void launch_mute(const struct group_place *place);
void launch_unmute(void);

/* group_join(), with $PRESIZE_RANK_SECONDS as the limit (ERR_INPUT: no number above 0). *OUT is NULL where this process
 * is alone. The members but rank 0 write errors of TOOL on stderr from then on, and nothing on stdout. */
int launch_join(struct group **out, const char *tool, const struct group_place *place,
                void (*lost)(void *ctx, const char *why, bool said), void *ctx,
                struct err *err) MUST_USE;
/* Ranks above 0 wait some seconds, in which rank 0 says what is wrong with all and ends them. */
void launch_let_rank_0_speak(int rank);
/* A line of error for people, below what is on stdout so far. */
void launch_say(const char *why);

#endif
