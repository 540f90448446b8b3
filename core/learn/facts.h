/* facts.h - what run.json says of a run before it starts: program, machine, parents.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_FACTS_H
#define PRESIZE_LEARN_FACTS_H

#include <jansson.h>

#include "learn/session.h"

/* Commit and dirty flag of the working folder's repository, null outside one. Runs git: before sandbox_enter(). */
json_t *facts_git(void);

/* INITIAL is weights_sha256() before the first step, GIT (borrowed) facts_git(). *out owned by the caller. */
int facts_collect(json_t **out, const struct session *s, int argc, char *const *argv, json_t *git,
                  const char *initial, struct err *err) MUST_USE;

/* Who trains together, as group_name() names them; null for one alone. */
json_t *facts_ranks(const struct session *s);

#endif
