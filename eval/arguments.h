/* arguments.h - the command line of eval: options, words, and what goes with what.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_ARGUMENTS_H
#define PRESIZE_EVAL_ARGUMENTS_H

#include <argp.h>

#include "cli/cli.h"
#include "group/group.h"
#include "request.h"

/* Keys of options; some are what is to be done (args.action). */
enum {
    OPT_CONFUSED = 256,
    OPT_CONFUSION,
    OPT_LOSSES,
    OPT_SHOW,
    OPT_REPORT,
    OPT_COMPARE,
    OPT_FAIL,
    OPT_PREDICT,
    OPT_BEST,
    OPT_VERIFY,
    OPT_LIST,
    OPT_JSON,
    OPT_CSV,
    OPT_SPLIT,
    OPT_SET,
    OPT_TTA,
    OPT_BETA,
    OPT_STRICT,
    OPT_TOP,
    OPT_ISSUES,
    OPT_WITH_TRAIN,
    OPT_CLEAN,
    OPT_GROUPS,
    OPT_PLOT,
    OPT_WATCH,
    OPT_EXPORT,
    OPT_SERVE,
    OPT_CAM,
    OPT_SIGN,
    OPT_RANKS
};

struct args {
    struct cli_common common;
    struct request request;
    int action; /* an OPT_, 0: the overview */
    const char *action_name;
    char **before, **after; /* words before and after the action, room for argc */
    int n_before, n_after;
    char backend[64];
    bool has_beta;
    int ranks;                /* --ranks; 0: not given */
    struct group_place place; /* of this process among those of mpirun or srun */
    bool has_losses;          /* the overview's run: --top-losses shows something */
    int open;           /* option whose number may be the next word ("--top-losses 5"); 0: none */
    const char *number; /* a word that was taken for one */
};

extern const struct argp_option arguments_options[];
/* An argp parser; state->input is a struct args. Misuse ends the program with status 2. */
error_t arguments_parse(int key, char *arg, struct argp_state *state);
bool arguments_draw_curves(const struct args *a); /* --plot, --watch */
/* After the parser: words become runs and files, and combinations that mean nothing end the program with status 2. */
void arguments_finish(struct args *a);

#endif
