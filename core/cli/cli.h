/* cli.h - what the four tools share on the command line: argp child with -v -q -V, and the way out.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_CLI_CLI_H
#define PRESIZE_CLI_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stdnoreturn.h>

#include "base/err.h"
#include "base/path.h"

struct group_place;
struct key_table;
struct version_layer;

/* Filled by cli_argp; its address is the child's input (state->child_inputs[0]). */
struct cli_common {
    const char *tool; /* set by the tool before parsing: "fetch", ... */
    const char *data; /* --data DIR, else $PRESIZE_DATA, else "data" */
    bool data_given;  /* --data was */
    /* Set by a tool that also takes an address for DIR: leads *DATA to the folder that stands for it, whose name lies
     * in FOLDER. Others refuse an address. */
    int (*find_data)(const char **data, char folder[PATH_LEN], struct err *err);
    const char *results; /* --results DIR, else "results" */
    int verbose;         /* -v: 1, -q: -1 */
    bool version;        /* -V: cli_parse() prints it and ends the program */
    const char *words;   /* --words KIND (cli/manual.h), likewise */
    /* Set by a tool that works in several processes: becomes this process's place among them. NULL: a tool of one
     * process, which refuses to be one of several. */
    struct group_place *place;
    /* Why SIGUSR1 and SIGUSR2, by which schedulers and mpirun ask for an end, end the tool as an error does until it
     * catches them itself: "stopped by a signal; nothing was kept". NULL: they end it as a crash would. */
    const char *early;

    /* What the tool has, for --version --verbose and --words; set before parsing. */
    const struct version_layer *libraries; /* ends with {NULL}; or NULL */
    const struct key_table *keys;          /* N_KEYS tables */
    size_t n_keys;
};
/* --data --results -v -q --no-sandbox -V, with their long names */
extern const struct argp cli_argp;

/* argp_parse() with the common behaviour: ARGP_IN_ORDER, status 2 and "did you mean" for misuse,
 * log_begin() afterwards, SIGPIPE ignored. Of several processes, rank 0 alone speaks until cli_speak(). */
void cli_parse(const struct argp *argp, int argc, char **argv, struct cli_common *common,
               void *input);

/* The command line is good: all processes speak from here on. */
void cli_speak(void);

/* TEXT of OPTION ("--ranks") as a whole number from LEAST to MOST. Anything else ends the program as misuse. */
long cli_number(const char *tool, const char *option, const char *text, long least, long most);

/* Status of an error: 1; in fetch 4 network, 5 checksum, 6 full, 7 unsafe, 8 locked. */
int cli_status(const char *tool, const struct err *err);

/* Prints "TOOL: error: MESSAGE" and exits with cli_status(). */
noreturn void die(const char *tool, const struct err *err);
/* Prints the message and "try `TOOL --help'", exits with 2. */
noreturn void die_usage(const char *tool, const char *format, ...) PRINTF_LIKE(2, 3);

/* Suggests what to type next, on stderr: "TOOL: next: `COMMAND WORDS'". Before WORDS, which end with NULL, stand the
 * --data and --results that were given, where COMMAND ("prep", "train", "eval") needs them. Each word is quoted as a
 * shell needs. Nothing under --quiet. */
void cli_next(const struct cli_common *c, const char *command, const char *const *words);

/* Flushes stdout; status 1 with a message when it cannot be written (a full disk behind a pipe). */
void cli_finish(const char *tool);

#endif
