/* team.h - several processes that train or score one run: joined, ended together; group/launch.h starts them.
 *
 * Rank 0 alone writes the run folder, the table and the log; the others are silent unless they fail. An error of
 * one ends all of them at once, and the launcher (mpirun, srun) does so where one dies; the last checkpoint is there to
 * resume from. What all find alike (a signal's stop, a loss that is no number) they end in order.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_TEAM_H
#define PRESIZE_EXPERIMENT_TEAM_H

#include "backend/backend.h"
#include "group/group.h"
#include "run/run.h"

struct team;

/* Meets the other processes of PLACE, which run TOOL ("train"). *OUT is NULL where this process is alone; team_leave()
 * or team_fail() ends it. Errors are group_join()'s; ERR_NOMEM. */
int team_join(struct team **out, const char *tool, const struct group_place *place,
              struct err *err) MUST_USE;

struct group *team_group(const struct team *t);          /* of NULL: NULL */
const struct be_ranks *team_ranks(const struct team *t); /* of NULL: NULL */
/* RUN is rank 0's to write: it becomes `failed` where another process ends the training. NULL: it has its last status,
 * or there is none. */
void team_watch(struct team *t, struct run *run);
bool team_leads(const struct team *t); /* rank 0, or alone */
/* T not NULL. Returns for what all found: rank 0 says it then, and the others end with status 0. */
void team_fail(struct team *t, const struct err *err);
void team_leave(struct team *t); /* all are done; NULL is fine */

#endif
