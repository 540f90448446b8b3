/* planted_keys.c - exec_keys as a later version, or a careless one, might have them; linked into train and
 * eval by `ld --wrap=exec_keys` (test_old_runs.sh).
 *
 * $PLANTED is one of
 *   later      a key is added and one retired, in a version after today's, as it has to be done
 *   unmarked   the keys of today with none of their histories: the control, which old runs must fail under
 *   removed    the retired rows are gone: another control
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"

enum { ROWS_MAX = 64 };

extern const struct key __real_exec_keys[];
struct key __wrap_exec_keys[ROWS_MAX];

static const char *const answers[] = {"no", "yes", NULL};

/* In the room of a retired key, which no record of today has; in older ones, both are the first choice. */
static const struct key later =
    KEY_CHOICE(struct exec_options, layout, "exec.later", "yes", answers, "planted");

static int plant_later(int n)
{
    const struct key_table table = {__real_exec_keys, 0};
    const int version = keys_version(&table, 1) + 1;

    for (int i = 0; i < n; i++)
        if (strcmp(__wrap_exec_keys[i].name, "exec.device") == 0) {
            __wrap_exec_keys[i].retired = version;
            __wrap_exec_keys[i].instead = "plant another";
        }
    __wrap_exec_keys[n] = later;
    __wrap_exec_keys[n].since = version;
    __wrap_exec_keys[n].implied = "no";
    return n + 1;
}

__attribute__((constructor)) static void plant(void)
{
    const char *how = getenv("PLANTED");
    int n = 0;

    BUG_IF(!how);
    for (const struct key *row = __real_exec_keys; row->name; row++) {
        BUG_IF(n + 2 > ROWS_MAX);
        if (row->retired && strcmp(how, "removed") == 0)
            continue;
        __wrap_exec_keys[n] = *row;
        if (strcmp(how, "unmarked") == 0) {
            __wrap_exec_keys[n].since = __wrap_exec_keys[n].retired = 0;
            __wrap_exec_keys[n].implied = NULL;
        }
        n++;
    }
    if (strcmp(how, "later") == 0)
        n = plant_later(n);
    __wrap_exec_keys[n] = (struct key)KEY_END;
}
