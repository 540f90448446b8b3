/* team.h - several processes that train one run, a GPU each: started, joined, ended together.
 *
 * Rank 0 alone writes the run folder, the table and the log; the others are silent unless they fail. What
 * goes wrong with one of them ends all: rank 0's run is then marked as failed, and its last checkpoint
 * is there to resume from. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_TEAM_H
#define PRESIZE_TRAIN_TEAM_H

#include "backend/backend.h"
#include "base/group.h"
#include "record/run.h"

struct team;

/* --gpus N: in N new processes it returns 0, in this one, when they have ended, 1 with rank 0's *STATUS.
 * SIGINT, SIGTERM and SIGHUP are passed on to them. */
int team_launch(int n, int *status, struct err *err) MUST_USE;

/* *OUT is NULL where this process is alone. END(WHY) must end the process at once, by whatever thread; WHY may be
 * NULL: another one has said it. */
int team_join(struct team **out, void (*end)(const char *why), struct err *err) MUST_USE;

struct group *team_group(const struct team *t);          /* of NULL: NULL */
const struct be_ranks *team_ranks(const struct team *t); /* of NULL: NULL */
bool team_leads(const struct team *t);                   /* rank 0, or alone */
void team_run(struct team *t, struct run *run);          /* what is marked as failed; NULL: none */
void team_fail(struct team *t, const struct err *err);   /* T not NULL: ends all of them */
void team_leave(struct team *t);                         /* all are done; NULL is fine */

/* All say TEXT (SHA256_HEX bytes) of their WHAT. ERR_INPUT names one that says another. G may be NULL. */
int team_same(struct group *g, const char *what, const char *text, struct err *err) MUST_USE;

#endif
