/* cli.c - the tools' common options, their way out, and help with misspelt options.
 * SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/isa.h"
#include "base/key.h"
#include "base/log.h"
#include "base/path.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "base/version.h"
#include "cli/manual.h"
#include "cli/out.h"
#include "group/group.h"
#include "group/launch.h"

enum {
    KEY_DATA = 0x7001,
    KEY_RESULTS,
    KEY_NO_SANDBOX,
    KEY_WORDS,
    OPTIONS_MAX = 128,
    NAME_LEN = 64
};

static const struct argp_option options[] = {
    {"data", KEY_DATA, "DIR", 0,
     "where data lie (default: $PRESIZE_DATA, else data); train and eval also take "
     "https://HOST/PATH or s3://BUCKET/PREFIX",
     -2},
    {"results", KEY_RESULTS, "DIR", 0, "where run folders lie (default: results)", -2},
    {"verbose", 'v', NULL, 0, "say more", -2},
    {"quiet", 'q', NULL, 0, "warnings and errors only, no progress bar", -2},
    {"no-sandbox", KEY_NO_SANDBOX, NULL, 0,
     "do not give up the rights to run programs and to write elsewhere", -2},
    {"version", 'V', NULL, 0, "print the version; with --verbose also the libraries'", -2},
    {"words", KEY_WORDS, "KIND", OPTION_HIDDEN, "what completion and man pages are made of", -2},
    {0},
};

static struct cli_common *common_of_process; /* for tools that hand no child_inputs on */

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    struct cli_common *c = state->input ? state->input : common_of_process;

    switch (key) {
    case KEY_DATA:
        c->data = arg;
        c->data_given = true;
        return 0;
    case KEY_RESULTS:
        c->results = arg;
        return 0;
    case 'v':
        c->verbose = 1;
        return 0;
    case 'q':
        c->verbose = -1;
        return 0;
    case KEY_NO_SANDBOX:
        sandbox_off();
        return 0;
    case 'V':
        c->version = true;
        return 0;
    case KEY_WORDS:
        c->words = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_argp = {.options = options, .parser = parse_common};

/* --- did you mean --- */

struct names {
    const char *name[OPTIONS_MAX];
    size_t n;
};

static void collect(struct names *names, const struct argp *argp)
{
    for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++)
        if (o->name && names->n < OPTIONS_MAX)
            names->name[names->n++] = o->name;
    for (const struct argp_child *c = argp->children; c && c->argp; c++)
        collect(names, c->argp);
}

/* getopt takes any beginning that fits one option only; two fitting ones are its affair. */
static bool is_beginning(const struct names *names, const char *word)
{
    for (size_t i = 0; i < names->n; i++)
        if (strncmp(names->name[i], word, strlen(word)) == 0)
            return true;
    return false;
}

/* The keys of an experiment are train's, those that begin with "presize." a description's. */
static bool is_key_of(void *tool, const char *key)
{
    const bool description = strncmp(key, "presize.", 8) == 0;

    return strcmp(tool, "train") == 0 ? !description : strcmp(tool, "prep") == 0 && description;
}

/* "--show-batch --unique" would write a file of that name. */
static void check_argument(const struct argp *argp, const char *option, const char *argument,
                           const char *tool)
{
    for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++)
        if (o->name && o->arg && !(o->flags & OPTION_ARG_OPTIONAL) && strcmp(o->name, option) == 0)
            die_usage(tool, "--%s takes %s, not the option %s", option, o->arg, argument);
    for (const struct argp_child *c = argp->children; c && c->argp; c++)
        check_argument(c->argp, option, argument, tool);
}

static bool is_option(const struct names *names, const char *word)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->name[i], word) == 0)
            return true;
    return false;
}

/* "--epochs 3" and "--epochs=3" become the word "epochs=3", before getopt takes --lr for --lr-find. The new ARGV lasts
 * as long as the process. */
static void spell_keys(const struct argp *argp, int *argc, char ***argv, const char *tool)
{
    static char **out; /* the new ARGV */
    struct names names = {.name = {"help", "usage"}, .n = 2};
    char *word;
    int n = 0, i = 0;

    out = calloc((size_t)*argc + 1, sizeof *out);
    collect(&names, argp);
    for (; out && i < *argc && strcmp((*argv)[i], "--") != 0; i++) {
        const char *given = (*argv)[i], *value = given + strcspn(given, "=");
        char name[NAME_LEN] = "";

        if (i > 0 && strncmp(given, "--", 2) == 0)
            snprintf(name, sizeof name, "%.*s", (int)(value - given) - 2, given + 2);
        out[n++] = (*argv)[i];
        if (!name[0] || is_option(&names, name) ||
            !key_is_short(name, is_key_of, (void *)(uintptr_t)tool))
            continue;
        if (!*value && (i + 1 == *argc || strncmp((*argv)[i + 1], "--", 2) == 0))
            die_usage(tool, "--%s takes a value: --%s VALUE, or the key %s=VALUE", name, name,
                      key_typed(name, is_key_of, (void *)(uintptr_t)tool));
        if (asprintf(&word, "%s=%s", name, *value ? value + 1 : (*argv)[++i]) >= 0)
            out[n - 1] = word;
    }
    for (; out && i < *argc; i++)
        out[n++] = (*argv)[i];
    if (!out)
        return;
    *argc = n;
    *argv = out;
}

static void check_spelling(const struct argp *argp, int argc, char **argv, const char *tool)
{
    struct names names = {.name = {"help", "usage"}, .n = 2};

    collect(&names, argp);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        char word[NAME_LEN];
        const char *near, *key;

        if (i + 1 < argc && strncmp(argv[i], "--", 2) == 0 && strncmp(argv[i + 1], "--", 2) == 0)
            check_argument(argp, argv[i] + 2, argv[i + 1], tool);

        if (strncmp(argv[i], "--", 2) != 0 || strcspn(argv[i] + 2, "=") >= sizeof word)
            continue;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(argv[i] + 2, "="), argv[i] + 2);
        key =
            is_beginning(&names, word) ? NULL : key_typed(word, is_key_of, (void *)(uintptr_t)tool);
        if (key)
            die_usage(tool, "there is no option --%s; it is a key: %s=VALUE", word, key);
        if (is_beginning(&names, word))
            continue;
        near = nearest_name(word, names.name, names.n);
        if (near)
            die_usage(tool, "there is no option --%s; did you mean --%s?", word, near);
        die_usage(tool, "there is no option --%s", word);
    }
}

/* "bin/" where the tool was called bin/train, "presize " where presize was, "" where it was found by its name alone. */
static const char *called_as(const char *program)
{
    static char prefix[512];
    const char *slash = strrchr(program, '/'), *wrapper = getenv("PRESIZE_CALLED");

    if (wrapper && *wrapper)
        return "presize ";
    if (slash && (size_t)(slash - program) + 2 <= sizeof prefix)
        snprintf(prefix, sizeof prefix, "%.*s", (int)(slash - program) + 1, program);
    return prefix;
}

/* --version and --words: nothing else is done. */
static void answer(const struct argp *argp, const struct cli_common *common)
{
    struct err err = {0};

    if (common->version && common->verbose > 0)
        version_print(stdout, common->tool, common->libraries);
    else if (common->version)
        printf("%s (presize) %s\n", common->tool, presize_version);
    else if (common->words && manual_words(stdout, common->words, argp, common, &err) < 0)
        die_usage(common->tool, "%s", err.msg);
    if (common->version || common->words) {
        cli_finish(common->tool);
        exit(0);
    }
}

static void find_data(struct cli_common *common)
{
    static char folder[PATH_LEN];
    struct err err = {0};

    if (!common->find_data && strstr(common->data, "://"))
        die_usage(common->tool,
                  "--data is an address: this tool writes there and wants a folder; train and eval "
                  "also read from an address");
    if (common->find_data && common->find_data(&common->data, folder, &err) < 0)
        die(common->tool, &err);
}

/* --- signals --- */

static char early[256];              /* the line of end_early() */
static volatile sig_atomic_t is_led; /* a rank above 0: rank 0 says it */

static void end_early(int number)
{
    (void)number;
    if (!is_led)
        (void)!write(STDERR_FILENO, early, strlen(early));
    _exit(1);
}

static void catch_early(const struct cli_common *common)
{
    if (!common->early)
        return;
    snprintf(early, sizeof early, "%s: error: %s\n", common->tool, common->early);
    signal(SIGUSR1, end_early);
    signal(SIGUSR2, end_early);
}

static void find_place(struct cli_common *common, struct group_place *place)
{
    struct err err = {0};

    if (group_place(place, &err) < 0)
        die(common->tool, &err);
    is_led = place->rank > 0;
    launch_mute(place);
    if (common->place)
        *common->place = *place;
}

void cli_parse(const struct argp *argp, int argc, char **argv, struct cli_common *common,
               void *input)
{
    const char *data = getenv("PRESIZE_DATA");
    struct group_place place;
    struct err err = {0};
    enum isa isa;

    out_begin();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, told by cli_finish() */
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN); /* likewise a limit on file sizes */
#endif
    catch_early(common);
    common->data = data && *data ? data : "data";
    common->results = "results";
    common_of_process = common;
    log_begin(common->tool, LOG_INFO);
    find_place(common, &place);
    log_commands(called_as(argv[0]));
    argp_err_exit_status = 2;
    spell_keys(argp, &argc, &argv, common->tool);
    check_spelling(argp, argc, argv, common->tool);
    if (argp_parse(argp, argc, argv, ARGP_IN_ORDER, NULL, input) != 0)
        exit(2);
    answer(argp, common);
    if (place.ranks > 1 && !common->place)
        die_usage(common->tool, "%s started %d processes, and %s works in one: start it by itself",
                  place.launcher, place.ranks, common->tool);
    find_data(common);
    if (isa_choose(&isa, NULL, &err) < 0)
        die_usage(common->tool, "%s", err.msg);
    log_begin(common->tool, common->verbose > 0   ? LOG_DEBUG
                            : common->verbose < 0 ? LOG_WARN
                                                  : LOG_INFO);
}

void cli_speak(void)
{
    launch_unmute();
}

long cli_number(const char *tool, const char *option, const char *text, long least, long most)
{
    char *end;
    const long n = strtol(text, &end, 10);

    if (end == text || *end || n < least || n > most)
        die_usage(tool, "%s %s: expected a whole number from %ld to %ld", option, text, least,
                  most);
    return n;
}

int cli_status(const char *tool, const struct err *err)
{
    if (strcmp(tool, "fetch") != 0)
        return err_status(err);
    switch (err->kind) {
    case ERR_NETWORK:
        return 4;
    case ERR_CHECKSUM:
        return 5;
    case ERR_FULL:
        return 6;
    case ERR_UNSAFE:
        return 7;
    case ERR_LOCKED:
        return 8;
    default:
        return err_status(err);
    }
}

noreturn void die(const char *tool, const struct err *err)
{
    if (err->kind == ERR_USAGE)
        die_usage(tool, "%s", err->msg);
    progress_end();
    log_begin(tool, LOG_ERROR);
    log_error("%s", err->msg[0] ? err->msg : "failed, with no reason given");
    exit(cli_status(tool, err));
}

noreturn void die_usage(const char *tool, const char *format, ...)
{
    char text[sizeof((struct err *)0)->msg];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    progress_end();
    log_begin(tool, LOG_ERROR);
    log_error("%s", text);
    log_usage("Try `%s --help' for more information.\n", tool);
    exit(2);
}

/* Adds TEXT as one word to COMMAND, of SIZE bytes; what does not fit is left out. */
static void add_word(char *command, size_t size, const char *text)
{
    const size_t n = strlen(command);

    if (n + 5 > size)
        return;
    command[n] = ' ';
    text_shell(command + n + 1, size - n - 1, text);
}

void cli_next(const struct cli_common *c, const char *command, const char *const *words)
{
    const char *usual = getenv("PRESIZE_DATA");
    const bool data = strcmp(c->data, usual && *usual ? usual : "data") != 0 &&
                      strcmp(command, "eval") != 0; /* it knows where a run's data lie */
    const bool results = strcmp(c->results, "results") != 0 &&
                         (strcmp(command, "train") == 0 || strcmp(command, "eval") == 0);
    char text[4 * PATH_LEN];

    snprintf(text, sizeof text, "%s", command);
    for (int i = 0; i < 2; i++)
        if (i ? results : data) {
            add_word(text, sizeof text, i ? "--results" : "--data");
            add_word(text, sizeof text, i ? c->results : c->data);
        }
    for (; *words; words++)
        add_word(text, sizeof text, *words);
    log_next("`%s`", text);
}

void cli_finish(const char *tool)
{
    struct err err = {0};

    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    err_errno(&err, "cannot write the output");
    die(tool, &err);
}
