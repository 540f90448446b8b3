/* team.c - several processes that train one run. SPDX-License-Identifier: MIT */
#include "learn/team.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/path.h"

enum {
    /* $PRESIZE_RANK_SECONDS: longer than rank 0 takes to write what the others wait for */
    LIMIT_S = 1800,
    COMMON_S = 2 /* for rank 0 to say itself what is wrong with all of them */
};

struct team {
    struct group *group;
    struct run *run; /* that is failed if the group is; NULL */
    struct be_ranks ranks;
};

static double limit(void)
{
    const char *text = getenv("PRESIZE_RANK_SECONDS");
    const double seconds = text ? strtod(text, NULL) : 0;

    return seconds > 0 ? seconds : LIMIT_S;
}

/* ---- launching ------------------------------------------------------------------------------- */

#define LAUNCHED "PRESIZE_LAUNCHED"

static volatile sig_atomic_t launcher, asked;

/* mpirun passes SIGUSR1 on to all, and takes SIGTERM for the end of all within a second. */
static void pass_on(int number)
{
    const int error = errno;
    const bool ends = asked && number != SIGUSR1 && number != SIGUSR2;

    asked = 1;
    kill((pid_t)launcher, ends ? SIGTERM : SIGUSR1);
    errno = error;
}

static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
}

/* One machine, as many processes as were asked for, each on all its processors: what mpirun's options would say, in the
 * variables of Open MPI 4 and 5, as other MPIs have other options. Root has asked for it by --ranks. */
static int set_variables(void)
{
    static const char *const variables[][2] = {
        {LAUNCHED, "1"},
        {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
        {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
        {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
        {"OMPI_MCA_hwloc_base_binding_policy", "none"},
        {"OMPI_MCA_orte_execute_quiet", "1"},
        {"PRTE_ALLOW_RUN_AS_ROOT", "1"},
        {"PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
        {"PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"},
        {"PRTE_MCA_hwloc_default_binding_policy", "none"},
    };

    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (setenv(variables[i][0], variables[i][1], 0) < 0)
            return -1;
    return 0;
}

/* ARGV, to be run N times by MPIRUN; owned by the caller. NULL: out of memory. PROGRAM, of this process, stands for a
 * name without a folder, which the PATH may lead elsewhere. */
static char **command(char *mpirun, int n, char *const *argv, char *program)
{
    static char option[] = "-n", count[16];
    size_t given = 0;
    char **args;

    while (argv[given])
        given++;
    args = calloc(given + 4, sizeof *args);
    if (!args)
        return NULL;
    snprintf(count, sizeof count, "%d", n);
    args[0] = mpirun;
    args[1] = option;
    args[2] = count;
    memcpy(args + 3, argv, given * sizeof *args);
    if (!strchr(argv[0], '/'))
        args[3] = program;
    return args;
}

/* In a process group of its own, as a terminal's Ctrl-C comes by way of this process; without input. 0, or errno. */
static int spawn(pid_t *pid, char *const *args)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, old;
    int why;

    if (set_variables() < 0 || posix_spawn_file_actions_init(&files) != 0 ||
        posix_spawnattr_init(&attributes) != 0)
        return ENOMEM;
    why = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old); /* until its number is known */
    (void)posix_spawnattr_setsigmask(&attributes, &old);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    if (why == 0)
        why = posix_spawnp(pid, args[0], &files, &attributes, args, environ);
    if (why == 0) {
        launcher = *pid;
        catch_signals();
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return why;
}

/* STATUS of mpirun: where a signal ended a process, Open MPI's is 128 + its number, MPICH's its number. The processes
 * themselves end with 0 to MISUSED. */
static int status_of(int status)
{
    enum { MISUSED = 2 };
    int number = 0;

    if (WIFSIGNALED(status))
        number = WTERMSIG(status);
    else if (WEXITSTATUS(status) > MISUSED)
        number = WEXITSTATUS(status) % 128;
    if (number == 0)
        return WEXITSTATUS(status);
    log_error(
        "mpirun, or one of the processes, was ended by signal %d, %s, and the others with it; "
        "`train --resume` continues from the last checkpoint",
        number, strsignal(number));
    return 1;
}

int team_launch(int n, char *const *argv, int *status, struct err *err)
{
    char program[PATH_LEN], mpirun[64];
    const char *name;
    char **args = NULL;
    pid_t pid;
    int why;

    if (path_of_program(program, err) < 0 || group_mpirun(&name, err) < 0)
        return -1;
    snprintf(mpirun, sizeof mpirun, "%s", name);
    args = command(mpirun, n, argv, program);
    fflush(NULL);
    why = args ? spawn(&pid, args) : ENOMEM;
    free(args);
    if (why == ENOENT)
        return err_set(err, ERR_UNSUPPORTED,
                       "several processes are started by %s, which is not on the PATH: install "
                       "the programs of the MPI that presize was built with (on Debian and Ubuntu "
                       "openmpi-bin or mpich)",
                       mpirun);
    while (why == 0 && waitpid(pid, status, 0) < 0)
        why = errno == EINTR ? 0 : errno;
    if (why != 0) {
        errno = why;
        return err_errno(err, "%s", mpirun);
    }
    *status = status_of(*status);
    return 0;
}

bool team_is_launched(void)
{
    return getenv(LAUNCHED) != NULL;
}

/* ---- together -------------------------------------------------------------------------------- */

static void share(void *ctx, void *all, size_t bytes)
{
    group_share(ctx, all, bytes);
}

static void *memory(void *ctx, size_t bytes)
{
    return group_machine_memory(ctx, bytes);
}

static void populate(void *ctx, void *data, size_t bytes)
{
    group_machine_populate(ctx, data, bytes);
}

/* After team_leave() nobody counts who gave memory back: it ends with the processes. */
static void give_back(void *ctx, void *data, size_t bytes)
{
    if (ctx)
        group_machine_give_back(ctx, data, bytes);
}

static void meet(void *ctx)
{
    group_machine_meet(ctx);
}

static void swap(void *ctx, void *out, const void *in, size_t bytes)
{
    group_across_swap(ctx, out, in, bytes);
}

static void gather(void *ctx, void *all, size_t bytes)
{
    group_across_share(ctx, all, bytes);
}

static void say(const char *why)
{
    progress_end();
    log_error("%s", why);
    fflush(stdout);
}

static void lose(void *ctx, const char *why, bool said)
{
    struct team *t = ctx;
    struct err err = {0};

    if (!said)
        say(why);
    if (!t->run)
        return;
    err_set(&err, ERR_IO, "%s", why);
    run_fail(t->run, &err);
}

/* The others write to nowhere, and errors alone. */
static int be_silent(struct err *err)
{
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0)
        return err_errno(err, "/dev/null");
    close(nowhere);
    log_begin("train", LOG_ERROR);
    return 0;
}

void team_let_rank_0_speak(int rank)
{
    const struct timespec moment = {COMMON_S, 0};

    if (rank > 0)
        nanosleep(&moment, NULL);
}

int team_join(struct team **out, const struct group_place *place, struct err *err)
{
    struct group_options o = {.limit_s = limit(), .lost = lose};
    struct team *t;

    *out = NULL;
    if (place->ranks == 1)
        return 0;
    t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_NOMEM, "%d processes", place->ranks);
    o.ctx = t;
    if (group_join(&t->group, place, &o, err) < 0) {
        free(t);
        team_let_rank_0_speak(place->rank);
        return -1;
    }
    t->ranks = (struct be_ranks){.rank = group_rank(t->group),
                                 .ranks = group_size(t->group),
                                 .local = group_local(t->group),
                                 .by_launcher = !team_is_launched(),
                                 .share = share,
                                 .ctx = t->group,
                                 .sharers = group_sharers(t->group),
                                 .machine_ranks = group_machine_size(t->group),
                                 .machine_rank = group_machine_rank(t->group),
                                 .memory = memory,
                                 .populate = populate,
                                 .give_back = give_back,
                                 .meet = meet,
                                 .swap = swap,
                                 .gather = gather};
    *out = t;
    return t->ranks.rank > 0 ? be_silent(err) : 0;
}

struct group *team_group(const struct team *t)
{
    return t ? t->group : NULL;
}

const struct be_ranks *team_ranks(const struct team *t)
{
    return t ? &t->ranks : NULL;
}

void team_watch(struct team *t, struct run *run)
{
    if (t)
        t->run = run;
}

bool team_leads(const struct team *t)
{
    return !t || t->ranks.rank == 0;
}

void team_fail(struct team *t, const struct err *err)
{
    const int rank = t->ranks.rank;

    if (err->kind == ERR_STOPPED || err->kind == ERR_NUMERIC) { /* rank 0's checkpoint is written */
        group_meet(t->group);
        team_leave(t);
        return;
    }
    team_let_rank_0_speak(rank);
    if (rank > 0) {
        struct err named = *err;

        (void)err_wrap(&named, "%s", group_name(t->group, rank));
        say(named.msg);
        group_tell(t->group, named.msg);
    } else {
        say(err->msg);
    }
    group_end(t->group, cli_status("train", err));
}

void team_leave(struct team *t)
{
    if (!t)
        return;
    group_leave(t->group);
    t->group = t->ranks.ctx = NULL;
}

int team_same(struct group *g, const char *what, const char *text, struct err *err)
{
    char(*all)[SHA256_HEX];
    int rank = 1;

    if (!g)
        return 0;
    all = calloc((size_t)group_size(g), sizeof *all);
    if (!all)
        return err_set(err, ERR_NOMEM, "%s", what);
    memcpy(all[group_rank(g)], text, sizeof *all);
    group_share(g, all, sizeof *all);
    while (rank < group_size(g) && memcmp(all[rank], all[0], sizeof *all) == 0)
        rank++;
    free(all);
    if (rank == group_size(g))
        return 0;
    return err_set(err, ERR_INPUT, "%s has other %s than rank 0", group_name(g, rank), what);
}
