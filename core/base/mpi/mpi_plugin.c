/* mpi_plugin.c - libpresize_mpi.so: two exchanges of bytes through MPI, whichever it is built with.
 * SPDX-License-Identifier: MIT */
#include "base/mpi_plugin.h"

#include <mpi.h>
#include <stdlib.h>
#include <time.h>

#include "base/plugin.h"

/* Waiting: MPI's own calls spin, which would take a core from the threads that compute or read. An exchange of one
 * batch norm's sums takes some 10 us on one machine, so the first polls follow at once. */
enum { POLLS = 200, PAUSE_NS = 20000 };

static MPI_Comm all_ranks; /* a copy of the world: MPI's errors come back to us */

/* Landlock forbids a process to read another's memory, which MPIs do on one machine where the kernel lets them; they
 * notice at the first message and say so each time. Through shared memory bytes are copied twice. */
static void forbid_foreign_memory(void)
{
    static const char *const variables[][2] = {
        {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"}, /* Open MPI 4 */
        {"OMPI_MCA_smsc", "^cma"},                            /* Open MPI 5 */
        {"UCX_TLS", "^cma"},
        {"MPIR_CVAR_CH4_CMA_ENABLE", "0"}, /* MPICH */
    };

    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        (void)setenv(variables[i][0], variables[i][1], 0);
}

static const char *start(int *rank, int *ranks)
{
    int level;

    forbid_foreign_memory();
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS)
        return "MPI_Init_thread failed";
    if (level < MPI_THREAD_FUNNELED)
        return "this MPI runs in programs without threads only";
    if (MPI_Comm_dup(MPI_COMM_WORLD, &all_ranks) != MPI_SUCCESS ||
        MPI_Comm_set_errhandler(all_ranks, MPI_ERRORS_RETURN) != MPI_SUCCESS ||
        MPI_Comm_rank(all_ranks, rank) != MPI_SUCCESS ||
        MPI_Comm_size(all_ranks, ranks) != MPI_SUCCESS)
        return "MPI's communicators do not work";
    return NULL;
}

static enum mpi_result wait_for(MPI_Request *request, double limit_s)
{
    const double begin = MPI_Wtime();
    int done = 0;

    for (long polls = 0;; polls++) {
        if (MPI_Test(request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return MPI_FAILED;
        if (done)
            return MPI_DONE;
        if (polls < POLLS)
            continue;
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
        if (MPI_Wtime() - begin > limit_s)
            return MPI_LATE;
    }
}

/* MPI counts in int: a part is one element of a type of BYTES. OUT NULL: all processes share ALL; else parts of ALL
 * go to OUT. */
static enum mpi_result exchange(void *out, void *all, size_t bytes, double limit_s)
{
    enum mpi_result result = MPI_FAILED;
    MPI_Request request;
    MPI_Datatype part;
    int rc;

    if (bytes == 0)
        return MPI_DONE;
    if (MPI_Type_contiguous((int)bytes, MPI_BYTE, &part) != MPI_SUCCESS)
        return MPI_FAILED;
    rc = MPI_Type_commit(&part);
    if (rc == MPI_SUCCESS)
        rc = out ? MPI_Ialltoall(all, 1, part, out, 1, part, all_ranks, &request)
                 : MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, 1, part, all_ranks,
                                  &request);
    if (rc == MPI_SUCCESS)
        result = wait_for(&request, limit_s);
    MPI_Type_free(&part);
    return result;
}

static enum mpi_result share(void *all, size_t bytes, double limit_s)
{
    return exchange(NULL, all, bytes, limit_s);
}

static enum mpi_result swap(void *out, const void *in, size_t bytes, double limit_s)
{
    return exchange(out, (void *)(uintptr_t)in, bytes, limit_s);
}

static void end(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}

static void finish(void)
{
    MPI_Comm_free(&all_ranks);
    MPI_Finalize();
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#if defined(OPEN_MPI)
#define BUILT_WITH "Open MPI " TEXT(OMPI_MAJOR_VERSION) "." TEXT(OMPI_MINOR_VERSION)
#elif defined(MPICH_VERSION)
#define BUILT_WITH "MPICH " MPICH_VERSION
#else
#define BUILT_WITH "an MPI of standard " TEXT(MPI_VERSION)
#endif

static const struct mpi_plugin table = {
    .built_with = BUILT_WITH,
    .start = start,
    .share = share,
    .swap = swap,
    .end = end,
    .finish = finish,
};

extern const struct plugin presize_plugin;
__attribute__((visibility("default"))) const struct plugin presize_plugin = {
    .abi = PLUGIN_ABI, .version = PRESIZE_VERSION, .table = &table};
