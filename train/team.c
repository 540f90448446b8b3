/* team.c - several processes that train one run. SPDX-License-Identifier: MIT */
#include "team.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

enum {
    LIMIT_S = 60,   /* $PRESIZE_RANK_SECONDS */
    COMMON_S = 2,   /* for rank 0 to say itself what is wrong with all of them */
    LEFT_OVER_S = 5 /* for the others to end after rank 0 */
};

struct team {
    struct group *group;
    struct be_ranks ranks;
    void (*end)(const char *why);
    pthread_mutex_t lock; /* whoever ends the process takes it for good */
    struct run *run;      /* behind lock */
};

static double limit(void)
{
    const char *text = getenv("PRESIZE_RANK_SECONDS");
    const double seconds = text ? strtod(text, NULL) : 0;

    return seconds > 0 ? seconds : LIMIT_S;
}

/* ---- launching ------------------------------------------------------------------------------- */

static volatile sig_atomic_t children[GROUP_MAX], n_children;

static void pass_on(int number)
{
    const int error = errno;

    for (int i = 0; i < n_children; i++)
        if (children[i] > 0)
            kill((pid_t)children[i], number);
    errno = error;
}

/* What member RANK of N finds in its environment. */
static int set_place(int rank, int n, const char *meet, struct err *err)
{
    char text[3][16];

    snprintf(text[0], sizeof text[0], "%d", rank);
    snprintf(text[1], sizeof text[1], "%d", n);
    if (setenv("PRESIZE_RANK", text[0], 1) < 0 || setenv("PRESIZE_RANKS", text[1], 1) < 0 ||
        setenv("PRESIZE_LOCAL_RANK", text[0], 1) < 0 || setenv("PRESIZE_MEET", meet, 1) < 0)
        return err_errno(err, "--gpus");
    return 0;
}

static void say_end(int rank, pid_t pid, int status)
{
    if (WIFSIGNALED(status))
        log_error("rank %d (pid %ld) was ended by signal %d, %s", rank, (long)pid, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
}

static int status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Waits for all. Those that are left when rank 0 has gone for a while are ended. */
static int wait_for_all(int n)
{
    double gone = 0;
    int status, result = 1, left = n;

    while (left > 0) {
        const pid_t pid = waitpid(-1, &status, gone > 0 ? WNOHANG : 0);
        int rank = 0;

        if (pid == 0) {
            nanosleep(&(struct timespec){0, 20000000}, NULL);
            if (clock_seconds() - gone > LEFT_OVER_S)
                pass_on(SIGKILL);
        }
        while (rank < n && children[rank] != pid)
            rank++;
        if (pid <= 0 || rank == n)
            continue;
        children[rank] = 0;
        left--;
        say_end(rank, pid, status);
        if (rank == 0) {
            result = status_of(status);
            gone = clock_seconds();
        }
    }
    return result;
}

static void catch_signals(void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
}

int team_launch(int n, int *status, struct err *err)
{
    const pid_t parent = getpid();
    sigset_t all, old;
    char meet[64];

    snprintf(meet, sizeof meet, "@presize %ld %.0f", (long)parent, 1e6 * clock_seconds());
    fflush(NULL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old); /* until all are there and their numbers known */
    for (int rank = 0; rank < n; rank++) {
        const pid_t pid = fork();

        if (pid == 0) {
            /* a terminal's Ctrl-C comes by way of the parent, once; its end ends the children, too */
            setpgid(0, 0);
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            sigprocmask(SIG_SETMASK, &old, NULL);
            return getppid() != parent ? err_set(err, ERR_STOPPED, "--gpus: stopped")
                                       : set_place(rank, n, meet, err);
        }
        children[rank] = pid;
        n_children = rank + 1;
        if (pid < 0) {
            err_errno(err, "--gpus: process %d of %d", rank, n);
            pass_on(SIGKILL);
            return -1;
        }
    }
    catch_signals(pass_on);
    sigprocmask(SIG_SETMASK, &old, NULL);
    *status = wait_for_all(n);
    return 1;
}

/* ---- together -------------------------------------------------------------------------------- */

static void share(void *ctx, void *all, size_t bytes)
{
    group_share(ctx, all, bytes);
}

__attribute__((noreturn)) static void end_here(struct team *t, const char *why)
{
    char text[sizeof(struct err)];

    if (why && t->ranks.rank > 0) {
        snprintf(text, sizeof text, "rank %d: %s", t->ranks.rank, why);
        why = text;
    }
    t->end(why);
    abort();
}

/* By the watching thread, while the main one may hang in a wait for the device. */
static void lost(void *ctx, const char *why, bool said)
{
    struct team *t = ctx;

    pthread_mutex_lock(&t->lock);
    if (t->run)
        run_abandon(t->run, why);
    end_here(t, said ? NULL : why);
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

int team_join(struct team **out, void (*end)(const char *why), struct err *err)
{
    struct group_place place;
    struct team *t;

    *out = NULL;
    if (group_place(&place, err) < 0)
        return -1;
    if (place.ranks == 1)
        return 0;
    t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_NOMEM, "%d processes", place.ranks);
    t->end = end;
    pthread_mutex_init(&t->lock, NULL);
    if ((place.rank > 0 && be_silent(err) < 0) ||
        group_join(&t->group, &place,
                   &(struct group_options){.limit_s = limit(), .lost = lost, .ctx = t}, err) < 0) {
        free(t);
        return -1;
    }
    t->ranks =
        (struct be_ranks){place.rank, place.ranks, place.local, place.by_launcher, share, t->group};
    *out = t;
    return 0;
}

struct group *team_group(const struct team *t)
{
    return t ? t->group : NULL;
}

const struct be_ranks *team_ranks(const struct team *t)
{
    return t ? &t->ranks : NULL;
}

bool team_leads(const struct team *t)
{
    return !t || t->ranks.rank == 0;
}

void team_run(struct team *t, struct run *run)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->run = run;
    pthread_mutex_unlock(&t->lock);
}

/* What is wrong with all of them, rank 0 says; what a signal or a loss ends, ends when rank 0 has written a
 * checkpoint. */
void team_fail(struct team *t, const struct err *err)
{
    const bool common = err->kind == ERR_STOPPED || err->kind == ERR_NUMERIC;
    const struct timespec moment = {COMMON_S, 0};

    if (t->ranks.rank > 0) {
        nanosleep(&moment, NULL);
        while (common)
            pause(); /* lost() ends it */
    }
    pthread_mutex_lock(&t->lock); /* first: those who are told end, which lost() would tell of */
    group_fail(t->group, err->msg);
    end_here(t, err->msg);
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
