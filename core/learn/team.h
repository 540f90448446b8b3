/* team.h - several processes that train one run: started, joined, ended together.
 *
 * Rank 0 alone writes the run folder, the table and the log; the others are silent unless they fail. An error of
 * one ends all of them at once, and the launcher (mpirun, srun) does so where one dies; the last checkpoint is there to
 * resume from. What all find alike (a signal's stop, a loss that is no number) they end in order.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_TEAM_H
#define PRESIZE_LEARN_TEAM_H

#include "backend/backend.h"
#include "base/group.h"
#include "run/run.h"

struct team;

/* --ranks N, --gpus N: runs the same command N times by mpirun and waits; *STATUS is mpirun's. SIGINT, SIGTERM, SIGHUP,
 * SIGUSR1 and SIGUSR2 become a wish to stop with a checkpoint; after any of them SIGINT, SIGTERM or SIGHUP ends all.
 * ERR_UNSUPPORTED: no mpirun. */
int team_launch(int n, char *const *argv, int *status, struct err *err) MUST_USE;
/* Ranks above 0 wait some seconds, in which rank 0 says what is wrong with all and ends them. */
void team_let_rank_0_speak(int rank);
/* Whether team_launch() started this process. */
bool team_is_launched(void);

/* Meets the other processes of PLACE. *OUT is NULL where this process is alone; team_leave() or team_fail() ends it.
 * Errors are group_join()'s; ERR_NOMEM. */
int team_join(struct team **out, const struct group_place *place, struct err *err) MUST_USE;

struct group *team_group(const struct team *t);          /* of NULL: NULL */
const struct be_ranks *team_ranks(const struct team *t); /* of NULL: NULL */
/* RUN is rank 0's to write: it becomes `failed` where another process ends the training. NULL: it has its last status,
 * or there is none. */
void team_watch(struct team *t, struct run *run);
bool team_leads(const struct team *t); /* rank 0, or alone */
/* T not NULL. Returns for what all found: rank 0 says it then, and the others end with status 0. */
void team_fail(struct team *t, const struct err *err);
void team_leave(struct team *t); /* all are done; NULL is fine */

/* All say TEXT (SHA256_HEX bytes) of their WHAT. ERR_INPUT names one that says another. G may be NULL. */
int team_same(struct group *g, const char *what, const char *text, struct err *err) MUST_USE;

#endif
