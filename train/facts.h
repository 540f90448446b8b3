/* facts.h - what run.json says of a run before it starts: program, machine, parents.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_FACTS_H
#define PRESIZE_TRAIN_FACTS_H

#include <jansson.h>

#include "session.h"

/* INITIAL is weights_sha256() before the first step. *out owned by the caller. */
int facts_collect(json_t **out, const struct session *s, int argc, char *const *argv,
                  const char *initial, struct err *err) MUST_USE;

/* Who trains together, as group_name() names them; null for one alone. */
json_t *facts_ranks(const struct session *s);

#endif
