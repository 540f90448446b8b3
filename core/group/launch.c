/* launch.c - mpirun for --ranks N, and who speaks of several processes. SPDX-License-Identifier: MIT */
#include "group/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"

enum {
    /* $PRESIZE_RANK_SECONDS: longer than rank 0 takes to write what the others wait for */
    LIMIT_S = 1800,
    COMMON_S = 2 /* for rank 0 to say itself what is wrong with all of them */
};

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

/* In a process group of its own, as a terminal's Ctrl-C comes by way of this process; without input, and with OUT for
 * its stdout. 0, or errno. */
static int spawn(pid_t *pid, char *const *args, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, old;
    int why;

    if (set_variables() < 0 || posix_spawn_file_actions_init(&files) != 0 ||
        posix_spawnattr_init(&attributes) != 0)
        return ENOMEM;
    why = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (why == 0)
        why = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
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
static int status_of(int status, const char *after)
{
    enum { MISUSED = 2 };
    int number = 0;

    if (WIFSIGNALED(status))
        number = WTERMSIG(status);
    else if (WEXITSTATUS(status) > MISUSED)
        number = WEXITSTATUS(status) % 128;
    if (number == 0)
        return WEXITSTATUS(status);
    if (number >= NSIG)
        log_error("mpirun ended with status %d; %s", WEXITSTATUS(status), after);
    else
        log_error("mpirun, or one of the processes, was ended by signal %d, %s, and the others "
                  "with it; %s",
                  number, strsignal(number), after);
    return 1;
}

/* What the processes print, to stdout: mpirun itself loses what it cannot write, without a word. All is read in any
 * case. 0, or the errno of the first write that failed. */
static int pass_output(int from)
{
    char text[1 << 14];
    int why = 0;

    for (;;) {
        const ssize_t n = read(from, text, sizeof text);

        if (n == 0 || (n < 0 && errno != EINTR))
            return why;
        for (ssize_t at = 0; at < n && why == 0;) {
            const ssize_t written = write(STDOUT_FILENO, text + at, (size_t)(n - at));

            at += written > 0 ? written : 0;
            why = written < 0 && errno != EINTR ? errno : 0;
        }
    }
}

/* Runs ARGS to its end; *LOST as pass_output(). 0, or errno. */
static int run_mpirun(char *const *args, int *status, int *lost)
{
    int ends[2], why;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    why = spawn(&pid, args, ends[1]);
    close(ends[1]);
    *lost = why == 0 ? pass_output(ends[0]) : 0;
    close(ends[0]);
    while (why == 0 && waitpid(pid, status, 0) < 0)
        why = errno == EINTR ? 0 : errno;
    return why;
}

int launch_ranks(int n, char *const *argv, const char *after, int *status, struct err *err)
{
    char program[PATH_LEN], mpirun[64];
    const char *name;
    char **args = NULL;
    int why, lost = 0;

    if (launch_by_ranks())
        return err_set(err, ERR_UNSUPPORTED,
                       "this mpirun does not tell its processes which of how many they are "
                       "(OMPI_COMM_WORLD_RANK or PMI_RANK): take that of Open MPI or MPICH");
    if (path_of_program(program, err) < 0 || group_mpirun(&name, err) < 0)
        return -1;
    snprintf(mpirun, sizeof mpirun, "%s", name);
    args = command(mpirun, n, argv, program);
    fflush(NULL);
    why = args ? run_mpirun(args, status, &lost) : ENOMEM;
    free(args);
    if (why == ENOENT)
        return err_set(err, ERR_UNSUPPORTED,
                       "several processes are started by %s, which is not on the PATH: install "
                       "the programs of the MPI that presize was built with (on Debian and Ubuntu "
                       "openmpi-bin or mpich)",
                       mpirun);
    if (why != 0) {
        errno = why;
        return err_errno(err, "%s", mpirun);
    }
    *status = status_of(*status, after);
    if (*status != 0 || lost == 0)
        return 0;
    errno = lost;
    return err_errno(err, "cannot write the output");
}

bool launch_by_ranks(void)
{
    return getenv(LAUNCHED) != NULL;
}

/* ---- who speaks ------------------------------------------------------------------------------ */

static int kept = -1; /* stderr, while it is muted */

void launch_let_rank_0_speak(int rank)
{
    const struct timespec moment = {COMMON_S, 0};

    if (rank > 0)
        nanosleep(&moment, NULL);
}

/* mpirun ends rank 0, too, when one that is silent ends first. */
static void wait_where_muted(void)
{
    launch_let_rank_0_speak(kept >= 0);
}

void launch_mute(const struct group_place *place)
{
    const int copy = place->rank > 0 ? dup(STDERR_FILENO) : -1;
    const int nowhere = copy >= 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;

    if (nowhere < 0) {
        if (copy >= 0)
            close(copy);
        return;
    }
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
    kept = copy;
    (void)atexit(wait_where_muted);
}

void launch_unmute(void)
{
    if (kept < 0)
        return;
    dup2(kept, STDERR_FILENO);
    close(kept);
    kept = -1;
}

void launch_say(const char *why)
{
    progress_end();
    log_error("%s", why);
    fflush(stdout);
}

/* ---- together -------------------------------------------------------------------------------- */

static int find_limit(double *seconds, struct err *err)
{
    const char *text = getenv("PRESIZE_RANK_SECONDS");
    char *end;

    *seconds = LIMIT_S;
    if (!text || !*text)
        return 0;
    *seconds = strtod(text, &end);
    return *end == 0 && *seconds > 0
               ? 0
               : err_set(err, ERR_INPUT,
                         "PRESIZE_RANK_SECONDS=%.60s: expected a number of seconds above 0", text);
}

/* The others write to nowhere, and errors alone. */
static int be_silent(const char *tool, struct err *err)
{
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0)
        return err_errno(err, "/dev/null");
    close(nowhere);
    log_begin(tool, LOG_ERROR);
    return 0;
}

int launch_join(struct group **out, const char *tool, const struct group_place *place,
                void (*lost)(void *ctx, const char *why, bool said), void *ctx, struct err *err)
{
    struct group_options o = {.lost = lost, .ctx = ctx};

    *out = NULL;
    if (place->ranks == 1)
        return 0;
    if (find_limit(&o.limit_s, err) < 0 || group_join(out, place, &o, err) < 0) {
        launch_let_rank_0_speak(place->rank);
        return -1;
    }
    return place->rank > 0 ? be_silent(tool, err) : 0;
}
