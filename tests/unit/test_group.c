/* test_group.c - processes that work as one: they exchange bytes, and none outlives another's death unawares.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/group.h"

enum { MOST = 5, LARGE = 3 << 20, LOST = 3, FAILED = 4, FINE = 0 };

struct member {
    pid_t pid;
    int status;
    char said[1200]; /* what lost() was told, or why it could not join */
};

struct play { /* what the members do once they are together */
    void (*act)(struct group *g);
    struct group_place place; /* rank is filled in */
    double limit_s;
    int ranks;                           /* that come; 0: place.ranks */
    void (*bend)(struct group_place *p); /* NULL, or what is wrong with a member's place */
};

static int report = -1; /* the child's end of its pipe */

static void lost(void *ctx, const char *why, bool said)
{
    (void)ctx;
    (void)said;
    (void)!write(report, why, strlen(why));
    _exit(LOST);
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static void member(const struct play *play, int rank)
{
    const struct group_options o = {.limit_s = play->limit_s, .lost = lost};
    struct group_place place = play->place;
    struct group *g;
    struct err err = {0};

    place.rank = place.local = rank;
    if (play->bend)
        play->bend(&place);
    if (group_join(&g, &place, &o, &err) < 0) {
        (void)!write(report, err.msg, strlen(err.msg));
        _exit(FAILED);
    }
    play->act(g);
    group_leave(g);
    _exit(FINE);
}

static void start(struct member *m, int pipes[MOST], const struct play *play)
{
    const int n = play->ranks ? play->ranks : play->place.ranks;

    for (int r = 0; r < n; r++) {
        int ends[2];

        assert_int_equal(pipe(ends), 0);
        m[r] = (struct member){.pid = fork()};
        assert_true(m[r].pid >= 0);
        if (m[r].pid == 0) {
            report = ends[1];
            member(play, r);
        }
        close(ends[1]);
        pipes[r] = ends[0];
    }
}

static void collect(struct member *m, const int pipes[MOST], int n)
{
    for (int r = 0; r < n; r++) {
        ssize_t got, at = 0;

        while ((got = read(pipes[r], m[r].said + at, sizeof m[r].said - 1 - (size_t)at)) > 0)
            at += got;
        close(pipes[r]);
        waitpid(m[r].pid, &m[r].status, 0);
        m[r].status = WIFEXITED(m[r].status) ? WEXITSTATUS(m[r].status) : -WTERMSIG(m[r].status);
    }
}

static struct play play_of(int ranks, void (*act)(struct group *g))
{
    static int number;
    struct play p = {.act = act, .place = {.ranks = ranks}, .limit_s = 20};

    snprintf(p.place.meet, sizeof p.place.meet, "@test_group %ld %d", (long)getpid(), number++);
    return p;
}

static void run(struct member m[MOST], const struct play *play)
{
    int pipes[MOST];

    start(m, pipes, play);
    collect(m, pipes, play->ranks ? play->ranks : play->place.ranks);
}

static void must_end(const struct member *m, int status, const char *text)
{
    if (m->status != status || !strstr(m->said, text))
        fail_msg("status %d and \"%s\", expected %d and \"%s\"", m->status, m->said, status, text);
}

/* ---- exchanges ------------------------------------------------------------------------------- */

static void check(bool holds)
{
    if (!holds)
        _exit(77);
}

static void exchange(struct group *g)
{
    const int n = group_size(g), rank = group_rank(g);
    char *all = calloc((size_t)n, LARGE), name[64];

    check(all != NULL);
    for (size_t bytes = 0; bytes <= LARGE; bytes = bytes ? bytes * 61 : 1) {
        memset(all, 0, bytes * (size_t)n);
        memset(all + (size_t)rank * bytes, rank + 1, bytes);
        group_share(g, all, bytes);
        for (int r = 0; r < n; r++)
            for (size_t i = 0; i < bytes; i += bytes / 7 + 1)
                check(all[(size_t)r * bytes + i] == r + 1);
    }
    check(group_any(g, rank == n - 1) && !group_any(g, false) && group_any(g, rank == 0));
    snprintf(name, sizeof name, "device %d", rank + 7);
    group_introduce(g, name);
    for (int r = 0; r < n; r++) {
        snprintf(name, sizeof name, "device %d)", r + 7);
        check(strstr(group_name(g, r), name) != NULL);
    }
    free(all);
}

static void all_parts_reach_all(void **state)
{
    (void)state;
    for (int n = 2; n <= MOST; n++) {
        const struct play play = play_of(n, exchange);
        struct member m[MOST];

        run(m, &play);
        for (int r = 0; r < n; r++)
            must_end(&m[r], FINE, "");
    }
}

static void nothing(struct group *g)
{
    if (group_rank(g) % 2)
        pause_ms(group_rank(g));
}

static void who_leaves_is_not_missed(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        const struct play play = play_of(3, nothing);
        struct member m[MOST];

        run(m, &play);
        for (int r = 0; r < 3; r++)
            must_end(&m[r], FINE, "");
    }
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static int victim; /* rank */

/* Others hang where a device would hang them, not in an exchange. */
static void hang(struct group *g)
{
    if (group_rank(g) == victim)
        kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void leave_without_a_word(struct group *g)
{
    if (group_rank(g) == victim)
        _exit(FINE);
    for (int i = 0; i < 1000; i++)
        (void)group_any(g, false);
}

static void fall_silent(struct group *g)
{
    if (group_rank(g) == victim)
        kill(getpid(), SIGSTOP);
    for (;;)
        pause();
}

static void fail_with_a_reason(struct group *g)
{
    if (group_rank(g) == victim) {
        group_fail(g, "out of luck");
        _exit(FAILED);
    }
    for (;;)
        pause();
}

/* All but the victim end with TEXT and its name, within seconds. */
static void all_end(struct play play, const char *text)
{
    for (victim = 0; victim < play.place.ranks; victim++) {
        const double begin = clock_seconds();
        struct member m[MOST];
        char name[64];
        int pipes[MOST];

        start(m, pipes, &play);
        for (int r = 0; r < play.place.ranks; r++)
            if (r != victim) {
                int status;

                waitpid(m[r].pid, &status, 0);
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == LOST);
            }
        assert_true(clock_seconds() - begin < 60); /* never, without the watch */
        kill(m[victim].pid, SIGKILL);
        snprintf(name, sizeof name, "pid %ld", (long)m[victim].pid);
        for (int r = 0; r < play.place.ranks; r++) {
            const ssize_t got = read(pipes[r], m[r].said, sizeof m[r].said - 1);

            assert_true(got >= 0);
            close(pipes[r]);
            if (r == victim) {
                waitpid(m[r].pid, NULL, 0);
                continue;
            }
            if (!strstr(m[r].said, name) || !strstr(m[r].said, text))
                fail_msg("rank %d: \"%s\", expected %s and \"%s\"", r, m[r].said, name, text);
        }
        play.place.meet[1]++; /* another place */
    }
}

static void a_death_ends_all(void **state)
{
    (void)state;
    all_end(play_of(3, hang), "has died");
    all_end(play_of(2, hang), "has died");
}

static void so_does_an_exit(void **state)
{
    (void)state;
    all_end(play_of(3, leave_without_a_word), "has died");
}

static void so_does_silence(void **state)
{
    struct play play = play_of(3, fall_silent);

    (void)state;
    play.limit_s = 2;
    all_end(play, "has not been heard of");
}

static void so_does_a_failure_by_its_reason(void **state)
{
    (void)state;
    all_end(play_of(3, fail_with_a_reason), "failed: out of luck");
}

static void part_ways(struct group *g)
{
    char all[64] = {0};

    group_share(g, all, group_rank(g) == 1 ? 2 : 3);
    for (;;)
        pause();
}

static void other_sizes_are_found(void **state)
{
    const struct play play = play_of(3, part_ways);
    struct member m[MOST];

    (void)state;
    run(m, &play);
    for (int r = 0; r < 3; r++)
        must_end(&m[r], LOST, "is at another place of the run");
}

/* ---- the start ------------------------------------------------------------------------------- */

static void who_does_not_come_is_named(void **state)
{
    struct play play = play_of(4, nothing);
    struct member m[MOST];

    (void)state;
    play.ranks = 2;
    play.limit_s = 1;
    run(m, &play);
    must_end(&m[0], FAILED, "missing: 2 3");
    must_end(&m[1], FAILED, "missing: 2 3");
}

static void without_member_0(struct group_place *p)
{
    if (p->rank == 0)
        _exit(FINE);
}

static void of_another_count(struct group_place *p)
{
    p->ranks += p->rank == 1;
}

static void all_the_same(struct group_place *p)
{
    p->rank = p->rank > 0;
}

static void a_start_that_cannot_be_is_refused(void **state)
{
    struct play play = play_of(3, nothing);
    struct member m[MOST];

    (void)state;
    play.limit_s = 1;
    play.bend = without_member_0;
    run(m, &play);
    must_end(&m[1], FAILED, "rank 0 was not met");
    play = play_of(3, nothing);
    play.limit_s = 3;
    play.bend = of_another_count;
    run(m, &play);
    must_end(&m[0], FAILED, "rank 1 of 4 came where 3 ranks meet");
    play = play_of(3, nothing);
    play.limit_s = 3;
    play.bend = all_the_same;
    run(m, &play);
    must_end(&m[0], FAILED, "two processes are rank 1");
}

/* A port of this machine that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* Comes to PORT as soon as somebody listens, says BYTES of rubbish. */
static void stranger(int port, size_t bytes)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_addr = {htonl(INADDR_LOOPBACK)},
                                   .sin_port = htons((uint16_t)port)};
    char rubbish[4096];
    int fd = -1;

    signal(SIGPIPE, SIG_IGN);
    memset(rubbish, 'x', sizeof rubbish);
    for (int i = 0; i < 400; i++, pause_ms(5)) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
            break;
        close(fd);
    }
    (void)!write(fd, rubbish, bytes);
    pause_ms(300);
    _exit(FINE);
}

static void strangers_do_no_harm(void **state)
{
    static const size_t sizes[] = {0, 3, 16, 4096};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct play play = play_of(3, exchange);
        const int port = free_port();
        struct member m[MOST];
        pid_t other = fork();

        if (other == 0)
            stranger(port, sizes[i]);
        snprintf(play.place.meet, sizeof play.place.meet, "127.0.0.1:%d", port);
        run(m, &play);
        for (int r = 0; r < 3; r++)
            must_end(&m[r], FINE, "");
        waitpid(other, NULL, 0);
    }
}

static void of_another_job(struct group_place *p)
{
    if (p->rank == 1)
        snprintf(p->job, sizeof p->job, "another");
}

static void another_job_is_turned_away(void **state)
{
    struct play play = play_of(2, nothing);
    struct member m[MOST];

    (void)state;
    play.limit_s = 1;
    play.bend = of_another_job;
    run(m, &play);
    must_end(&m[0], FAILED, "missing: 1");
}

/* ---- the environment ------------------------------------------------------------------------- */

struct setting {
    const char *names[8]; /* NAME=VALUE */
    int rc, rank, ranks, local;
    const char *meet; /* begins so */
};

static void forget(void)
{
    static const char *const all[] = {"PRESIZE_RANK",
                                      "PRESIZE_RANKS",
                                      "PRESIZE_LOCAL_RANK",
                                      "PRESIZE_MEET",
                                      "OMPI_COMM_WORLD_RANK",
                                      "OMPI_COMM_WORLD_SIZE",
                                      "OMPI_COMM_WORLD_LOCAL_RANK",
                                      "PMIX_NAMESPACE",
                                      "PMI_RANK",
                                      "PMI_SIZE",
                                      "MPI_LOCALRANKID",
                                      "SLURM_JOB_ID",
                                      "SLURM_PROCID",
                                      "SLURM_NTASKS",
                                      "SLURM_STEP_NUM_TASKS",
                                      "SLURM_LOCALID",
                                      "MASTER_ADDR",
                                      "MASTER_PORT"};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        unsetenv(all[i]);
}

// clang-format off
static const struct setting settings[] = {
    {{NULL}, 0, 0, 1, 0, ""},
    {{"PRESIZE_RANK=1", "PRESIZE_RANKS=2", "PRESIZE_LOCAL_RANK=0", "PRESIZE_MEET=h:1"}, 0, 1, 2, 0, "h:1"},
    {{"OMPI_COMM_WORLD_RANK=3", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_RANK=1",
      "PMIX_NAMESPACE=job7"}, 0, 3, 4, 1, "@presize "},
    {{"PMI_RANK=2", "PMI_SIZE=3", "MASTER_ADDR=node0", "MASTER_PORT=29500"}, 0, 2, 3, 2, "node0:29500"},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "SLURM_LOCALID=1", "SLURM_JOB_ID=5"}, 0, 1, 2, 1, "@presize "},
    {{"SLURM_PROCID=0", "SLURM_NTASKS=4", "SLURM_JOB_ID=5"}, 0, 0, 1, 0, ""}, /* a batch script */
    {{"SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=1", "SLURM_LOCALID=0"}, 0, 0, 1, 0, "@"},
    {{"PRESIZE_RANK=2", "PRESIZE_RANKS=2"}, -1, 0, 0, 0, ""},
    {{"PRESIZE_RANK=0", "PRESIZE_RANKS=none"}, -1, 0, 0, 0, ""},
    {{"PRESIZE_RANK=0", "PRESIZE_RANKS=100000"}, -1, 0, 0, 0, ""},
};
// clang-format on

static void launchers_are_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct setting *s = &settings[i];
        struct group_place p;
        struct err err = {0};

        forget();
        for (int k = 0; s->names[k]; k++)
            assert_int_equal(putenv((char *)(uintptr_t)s->names[k]), 0);
        assert_int_equal(group_place(&p, &err), s->rc);
        if (s->rc < 0) {
            assert_non_null(strstr(err.msg, "expected a number"));
            continue;
        }
        assert_int_equal(p.rank, s->rank);
        assert_int_equal(p.ranks, s->ranks);
        assert_int_equal(p.local, s->local);
        assert_true(strncmp(p.meet, s->meet, strlen(s->meet)) == 0);
    }
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_reach_all),
        cmocka_unit_test(who_leaves_is_not_missed),
        cmocka_unit_test(a_death_ends_all),
        cmocka_unit_test(so_does_an_exit),
        cmocka_unit_test(so_does_silence),
        cmocka_unit_test(so_does_a_failure_by_its_reason),
        cmocka_unit_test(other_sizes_are_found),
        cmocka_unit_test(who_does_not_come_is_named),
        cmocka_unit_test(a_start_that_cannot_be_is_refused),
        cmocka_unit_test(strangers_do_no_harm),
        cmocka_unit_test(another_job_is_turned_away),
        cmocka_unit_test(launchers_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
