/* test_group.c - what launchers say in the environment, and what is wrong with a plug-in or its MPI. What the processes
 * exchange, and how they end, is tests/tool/test_train_ranks.sh. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/group.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launchers_are_known),
        cmocka_unit_test(a_plug_in_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
