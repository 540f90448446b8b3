/* mpi_plugin.c - libpresize_mpi.so: two exchanges of bytes through MPI, whichever it is built with.
 * SPDX-License-Identifier: MIT */
#include "base/mpi_plugin.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/plugin.h"

/* Waiting: MPI's own calls spin, which would take a core from the threads that compute or read. An exchange of one
 * batch norm's sums takes some 10 us on one machine, so the first polls follow at once. */
enum { POLLS = 200, PAUSE_NS = 20000, LOOK_NS = 10000000 };

/* A copy of the world, and what split() makes of it: MPI's errors come back to us. */
static MPI_Comm all_ranks, across_ranks = MPI_COMM_NULL;

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

/* What srun's processes meet through. Open MPI ends processes that have nothing, with advice that does not fit. */
#if defined(OPEN_MPI)
#define SRUN_TYPE "pmix"
static bool is_alone_under_srun(void)
{
    return getenv("SLURM_STEP_NUM_TASKS") && !getenv("PMIX_NAMESPACE") && !getenv("PMI_FD");
}
#else /* MPICH may use Slurm's own library, of which no variable tells */
#define SRUN_TYPE "pmi2"
static bool is_alone_under_srun(void)
{
    return false;
}
#endif

static int own_rank;

static const char *start(int *rank, int *ranks)
{
    int level;

    if (is_alone_under_srun())
        return "srun gave them no PMIx, through which they meet: start them by `srun "
               "--mpi=" SRUN_TYPE "`";
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
    own_rank = *rank;
    return NULL;
}

/* MPI may need calls of the sender, too, to bring a message on its way. */
static void tell(const char *text, int seconds)
{
    static char last[MPI_TEXT]; /* MPI's until it is sent, and the process ends soon */
    const double begin = MPI_Wtime();
    MPI_Request request;
    int done;

    snprintf(last, sizeof last, "%s", text);
    if (MPI_Isend(last, sizeof last, MPI_CHAR, 0, 0, all_ranks, &request) != MPI_SUCCESS)
        return;
    while (MPI_Wtime() - begin < seconds &&
           MPI_Test(&request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS)
        nanosleep(&(struct timespec){0, LOOK_NS}, NULL);
}

static bool told(char *out)
{
    MPI_Status status;
    int is_there = 0;

    if (own_rank > 0 ||
        MPI_Iprobe(MPI_ANY_SOURCE, 0, all_ranks, &is_there, &status) != MPI_SUCCESS || !is_there ||
        MPI_Recv(out, MPI_TEXT, MPI_CHAR, status.MPI_SOURCE, 0, all_ranks, MPI_STATUS_IGNORE) !=
            MPI_SUCCESS)
        return false;
    out[MPI_TEXT - 1] = 0;
    return true;
}

static bool is_told(void)
{
    int is_there = 0;

    return own_rank == 0 &&
           MPI_Iprobe(MPI_ANY_SOURCE, 0, all_ranks, &is_there, MPI_STATUS_IGNORE) == MPI_SUCCESS &&
           is_there;
}

static const char *split(int number)
{
    if (MPI_Comm_split(all_ranks, number, 0, &across_ranks) != MPI_SUCCESS ||
        MPI_Comm_set_errhandler(across_ranks, MPI_ERRORS_RETURN) != MPI_SUCCESS)
        return "MPI's communicators cannot be split";
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
        if (is_told())
            return MPI_TOLD;
        if (MPI_Wtime() - begin > limit_s)
            return MPI_LATE;
    }
}

/* MPI counts in int: a part is one element of a type of BYTES. OUT NULL: all processes share ALL; else parts of ALL
 * go to OUT. */
static enum mpi_result exchange(bool across, void *out, void *all, size_t bytes, double limit_s)
{
    const MPI_Comm ranks = across ? across_ranks : all_ranks;
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
        rc =
            out ? MPI_Ialltoall(all, 1, part, out, 1, part, ranks, &request)
                : MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, 1, part, ranks, &request);
    if (rc == MPI_SUCCESS)
        result = wait_for(&request, limit_s);
    MPI_Type_free(&part);
    return result;
}

static enum mpi_result share(bool across, void *all, size_t bytes, double limit_s)
{
    return exchange(across, NULL, all, bytes, limit_s);
}

static enum mpi_result swap(bool across, void *out, const void *in, size_t bytes, double limit_s)
{
    return exchange(across, out, (void *)(uintptr_t)in, bytes, limit_s);
}

static void end(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}

static void finish(void)
{
    if (across_ranks != MPI_COMM_NULL)
        MPI_Comm_free(&across_ranks);
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
    .mpirun = PRESIZE_MPIRUN,
    .srun_type = SRUN_TYPE,
    .start = start,
    .split = split,
    .tell = tell,
    .told = told,
    .share = share,
    .swap = swap,
    .end = end,
    .finish = finish,
};

extern const struct plugin presize_plugin;
__attribute__((visibility("default"))) const struct plugin presize_plugin = {
    .abi = PLUGIN_ABI, .version = PRESIZE_VERSION, .table = &table};
