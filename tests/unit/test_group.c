/* test_group.c - what launchers say in the environment, what is wrong with a plug-in or its MPI, and what processes of
 * a machine have in common. What processes exchange through MPI, and how they end, is tests/tool/test_train_ranks.sh.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "group/group.h"
#include "group/machine.h"
#include "group/watch.h"

struct setting {
    const char *names[8]; /* NAME=VALUE */
    int rc, rank, ranks;
    const char *launcher;
};

static void forget(void)
{
    static const char *const all[] = {
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK",     "PMI_SIZE",
        "SLURM_PROCID",         "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "PRESIZE_MPI_PLUGIN"};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        unsetenv(all[i]);
}

static void set(const struct setting *s)
{
    forget();
    for (int k = 0; s->names[k]; k++)
        assert_int_equal(putenv((char *)(uintptr_t)s->names[k]), 0);
}

// clang-format off
static const struct setting settings[] = {
    {{NULL}, 0, 0, 1, NULL},
    {{"OMPI_COMM_WORLD_RANK=3", "OMPI_COMM_WORLD_SIZE=4"}, 0, 3, 4, "mpirun"},
    {{"PMI_RANK=2", "PMI_SIZE=3"}, 0, 2, 3, "mpirun"},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2"}, 0, 1, 2, "srun"},
    {{"SLURM_PROCID=0", "SLURM_NTASKS=4"}, 0, 0, 1, NULL}, /* a batch script */
    {{"SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=1"}, 0, 0, 1, "srun"},
    /* mpirun in a step, and the other way round */
    {{"SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=1", "OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2"},
     0, 1, 2, "mpirun"},
    {{"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=1"},
     0, 1, 2, "srun"},
    {{"PMI_RANK=2", "PMI_SIZE=2"}, -1, 0, 0, NULL},
    {{"PMI_RANK=0", "PMI_SIZE=none"}, -1, 0, 0, NULL},
    {{"PMI_RANK=0", "PMI_SIZE=100000"}, -1, 0, 0, NULL},
};
// clang-format on

static void launchers_are_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct setting *s = &settings[i];
        struct group_place p;
        struct err err = {0};

        set(s);
        assert_int_equal(group_place(&p, &err), s->rc);
        if (s->rc < 0) {
            assert_non_null(strstr(err.msg, "expected a number"));
            continue;
        }
        assert_int_equal(p.rank, s->rank);
        assert_int_equal(p.ranks, s->ranks);
        assert_string_equal(p.launcher ? p.launcher : "", s->launcher ? s->launcher : "");
    }
    forget();
}

static void a_plug_in_that_is_none_is_refused(void **state)
{
    static const struct {
        const char *file, *says;
    } rows[] = {
        {"/nowhere/libpresize_mpi.so", "is not there: install an MPI"},
        {"/proc/self/exe", "cannot be loaded"},
        {"README.md", "cannot be loaded"},
    };
    const struct group_place place = {.rank = 0, .ranks = 2, .launcher = "mpirun"};
    const struct group_options o = {.limit_s = 1};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct group *g;
        struct err err = {0};

        setenv("PRESIZE_MPI_PLUGIN", rows[i].file, 1);
        assert_int_equal(group_join(&g, &place, &o, &err), -1);
        assert_null(g);
        assert_int_equal(err.kind, ERR_UNSUPPORTED);
        if (!strstr(err.msg, rows[i].says))
            fail_msg("%s: \"%s\"", rows[i].file, err.msg);
    }
    forget();
}

/* ---- a machine ------------------------------------------------------------------------------- */

enum { PROCESSES = 3, LARGE = 200000, FLOATS = 3 << 20, ROUNDS = 1000 };

static const struct machine_limit patient = {60, NULL, NULL}, hurried = {0.01, NULL, NULL};

/* What each byte of RANK's part is. */
static unsigned char byte_of(int rank, size_t i)
{
    return (unsigned char)(i * 7 + (size_t)rank * 31);
}

/* Where it fails, a number for the status. */
static int meets_and_shares(struct machine *m, int rank)
{
    static unsigned char all[PROCESSES * LARGE];
    const size_t bytes = FLOATS * sizeof(float);
    float *common = machine_memory(m, bytes), *more = machine_memory(m, 64);

    for (size_t i = 0; i < LARGE; i++)
        all[(size_t)rank * LARGE + i] = byte_of(rank, i);
    if (!machine_share(m, all, LARGE, &patient))
        return 1;
    for (int r = 0; r < PROCESSES; r++)
        for (size_t i = 0; i < LARGE; i++)
            if (all[(size_t)r * LARGE + i] != byte_of(r, i))
                return 2;
    if (!common || !more || common[0] != 0 || common[FLOATS - 1] != 0)
        return 3;
    if (!machine_meet(m, &patient))
        return 4;
    machine_populate(m, common, bytes);
    for (int round = 0; round < ROUNDS; round++) { /* one writes, the others read */
        if (rank == round % PROCESSES)
            common[round] = more[0] = (float)round;
        if (!machine_meet(m, &patient))
            return 5;
        if (common[round] != (float)round || more[0] != (float)round)
            return 6;
        if (!machine_meet(m, &patient))
            return 7;
    }
    machine_give_back(m, common, bytes);
    machine_give_back(m, more, 64);
    return 0;
}

static int late(struct machine *m, int rank)
{
    return rank == 2 ? 0 : machine_meet(m, &hurried);
}

/* Processes that call PLAY; each has status 0. */
static void together(int (*play)(struct machine *m, int rank))
{
    struct machine_key key;
    struct machine *first;
    struct err err = {0};
    int status;

    if (machine_make(&first, &key, PROCESSES, &err) < 0)
        fail_msg("%s", err.msg);
    for (int r = 1; r < PROCESSES; r++)
        if (fork() == 0) {
            struct machine *m;

            _exit(machine_open(&m, &key, r, PROCESSES, &err) < 0 ? 100 : play(m, r));
        }
    assert_int_equal(play(first, 0), 0);
    for (int r = 1; r < PROCESSES; r++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    machine_close(first);
}

static void processes_of_a_machine_share_memory(void **state)
{
    (void)state;
    together(meets_and_shares);
}

static void who_waits_too_long_is_told(void **state)
{
    (void)state;
    together(late);
}

static void another_machine_is_noticed(void **state)
{
    struct machine_key key, other;
    struct machine *first, *m;
    struct err err = {0};

    (void)state;
    assert_int_equal(machine_make(&first, &key, 2, &err), 0);
    other = key;
    other.mark[3] ^= 1;
    assert_int_equal(machine_open(&m, &other, 1, 2, &err), -1);
    assert_non_null(strstr(err.msg, "another machine's"));
    other = (struct machine_key){.pid = 1, .file = 1 << 30, .is_made = 1};
    assert_int_equal(machine_open(&m, &other, 1, 2, &err), -1);
    other.is_made = 0;
    assert_int_equal(machine_open(&m, &other, 1, 2, &err), -1);
    machine_close(first);
}

/* ---- a process that hangs -------------------------------------------------------------------- */

static void count_late(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

/* How often a watch of a second calls in two seconds: with PROGRESS, a step of a bar now and then; in a CALL. */
static int late_calls(bool progress, bool call)
{
    atomic_int late = 0;
    struct watch *w;
    struct err err = {0};

    assert_int_equal(watch_new(&w, 1, count_late, &late, &err), 0);
    if (call)
        watch_call(w);
    for (int i = 0; i < 200; i++) {
        if (progress)
            progress_set((uint64_t)i, NULL);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    if (call)
        watch_called(w);
    watch_free(w);
    return late;
}

static void who_hangs_is_told_once(void **state)
{
    (void)state;
    assert_int_equal(late_calls(false, false), 1);
    assert_int_equal(late_calls(true, false), 0);
    assert_int_equal(late_calls(false, true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launchers_are_known),
        cmocka_unit_test(a_plug_in_that_is_none_is_refused),
        cmocka_unit_test(processes_of_a_machine_share_memory),
        cmocka_unit_test(who_waits_too_long_is_told),
        cmocka_unit_test(another_machine_is_noticed),
        cmocka_unit_test(who_hangs_is_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
