/* mpi_plugin.c - libpresize_mpi.so: two exchanges of bytes through MPI, whichever it is built with.
 *
 * Two threads wait for exchanges, each for its own. They call MPI by turns (MPI_THREAD_SERIALIZED), and a call of
 * either brings the messages of both on their way. SPDX-License-Identifier: MIT */
#include "group/mpi_plugin.h"

#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/plugin.h"

/* Waiting: MPI's own calls spin, which would take a core from the threads that compute or read. An exchange of one
 * batch norm's sums takes some 10 us on one machine, so the first polls follow at once. */
enum { POLLS = 200, PAUSE_NS = 20000, LOOK_NS = 10000000 };

/* A copy of the world, and what split() makes of it: MPI's errors come back to us. */
static MPI_Comm all_ranks, across_ranks = MPI_COMM_NULL;

/* What a user has set stays.
 *
 * Landlock forbids a process to read another's memory, which MPIs do on one machine where the kernel lets them; they
 * notice at the first message and say so each time. Through shared memory bytes are copied twice.
 *
 * Over TCP Open MPI asks the receiver before it sends more than 64 KiB, which takes three latencies of the link in the
 * place of one. A part of a piece of gradients has up to 128 KiB (cpu_ranks.c). */
static void set_variables(void)
{
    static const char *const variables[][2] = {
        {"OMPI_MCA_btl_tcp_eager_limit", "196608"},
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
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* whose calls of MPI these are */

static const char *start(int *rank, int *ranks)
{
    int level;

    if (is_alone_under_srun())
        return "srun gave them no PMIx, through which they meet: start them by `srun "
               "--mpi=" SRUN_TYPE "`";
    set_variables();
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level) != MPI_SUCCESS)
        return "MPI_Init_thread failed";
    if (level < MPI_THREAD_SERIALIZED)
        return "this MPI can be called by a single thread only";
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
    const double begin = clock_seconds();
    MPI_Request request;
    int done = 0, rc;

    snprintf(last, sizeof last, "%s", text);
    pthread_mutex_lock(&turn);
    rc = MPI_Isend(last, sizeof last, MPI_CHAR, 0, 0, all_ranks, &request);
    pthread_mutex_unlock(&turn);
    while (rc == MPI_SUCCESS && clock_seconds() - begin < seconds) {
        pthread_mutex_lock(&turn);
        rc = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        pthread_mutex_unlock(&turn);
        nanosleep(&(struct timespec){0, LOOK_NS}, NULL);
    }
}

/* Whether another process has told rank 0 something; to OUT, unless it is NULL. In turn. */
static bool look(char *out)
{
    MPI_Status status;
    int is_there = 0;

    if (own_rank > 0 ||
        MPI_Iprobe(MPI_ANY_SOURCE, 0, all_ranks, &is_there, &status) != MPI_SUCCESS || !is_there)
        return false;
    return !out || MPI_Recv(out, MPI_TEXT, MPI_CHAR, status.MPI_SOURCE, 0, all_ranks,
                            MPI_STATUS_IGNORE) == MPI_SUCCESS;
}

static bool told(char *out)
{
    bool is;

    pthread_mutex_lock(&turn);
    is = look(out);
    pthread_mutex_unlock(&turn);
    out[MPI_TEXT - 1] = 0;
    return is;
}

static const char *split(int number)
{
    if (MPI_Comm_split(all_ranks, number, 0, &across_ranks) != MPI_SUCCESS ||
        MPI_Comm_set_errhandler(across_ranks, MPI_ERRORS_RETURN) != MPI_SUCCESS)
        return "MPI's communicators cannot be split";
    return NULL;
}

/* Exchanges that were begun, of parts of these types; the first so many are done. */
struct pending {
    MPI_Request requests[GROUP_PARTS];
    MPI_Datatype types[GROUP_PARTS];
    int n, done;
};

/* Whether more of P are done, which the N-th look (from 0) finds; in turn. */
static enum mpi_result look_at(struct pending *p, long n)
{
    int is_done = 1;

    while (p->done < p->n && is_done) {
        if (MPI_Test(&p->requests[p->done], &is_done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return MPI_FAILED;
        p->done += is_done != 0;
    }
    return !is_done && n > POLLS && look(NULL) ? MPI_TOLD : MPI_DONE;
}

/* The first LOOKS follow at once. */
static enum mpi_result wait_for(struct pending *p, long looks, double limit_s)
{
    struct clock_wait wait = clock_wait_begin();
    enum mpi_result result;

    for (long i = 0;; i++) {
        pthread_mutex_lock(&turn);
        result = look_at(p, i);
        pthread_mutex_unlock(&turn);
        if (p->done == p->n || result != MPI_DONE)
            return result;
        if (i < looks)
            continue;
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
        if (clock_waited(&wait) > limit_s)
            return MPI_LATE;
    }
}

/* MPI counts in int: a part is one element of a type of its bytes. */
static bool begin(struct pending *p, const struct group_parts *of, MPI_Comm ranks)
{
    MPI_Datatype part;
    MPI_Request *request = &p->requests[p->n];
    int rc;

    if (MPI_Type_contiguous((int)of->bytes, MPI_BYTE, &part) != MPI_SUCCESS)
        return false;
    rc = MPI_Type_commit(&part);
    if (rc == MPI_SUCCESS)
        rc = of->out ? MPI_Ialltoall(of->in, 1, part, of->out, 1, part, ranks, request)
                     : MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, of->in, 1, part, ranks,
                                      request);
    if (rc != MPI_SUCCESS) {
        MPI_Type_free(&part);
        return false;
    }
    p->types[p->n++] = part;
    return true;
}

/* P, which is not in use, becomes the N of PARTS. */
static enum mpi_result begin_all(struct pending *p, const struct group_parts *parts, int n,
                                 MPI_Comm ranks)
{
    bool begun = true;

    p->n = p->done = 0;
    pthread_mutex_lock(&turn);
    for (int i = 0; i < n && begun; i++)
        if (parts[i].bytes > 0)
            begun = begin(p, &parts[i], ranks);
    pthread_mutex_unlock(&turn);
    return begun ? MPI_DONE : MPI_FAILED;
}

static enum mpi_result end_all(struct pending *p, long looks, double limit_s)
{
    const enum mpi_result result = wait_for(p, looks, limit_s);

    pthread_mutex_lock(&turn);
    for (int i = 0; i < p->n; i++)
        MPI_Type_free(&p->types[i]);
    pthread_mutex_unlock(&turn);
    p->n = p->done = 0;
    return result;
}

static enum mpi_result share(void *all, size_t bytes, double limit_s)
{
    const struct group_parts part = {.in = all, .bytes = bytes};
    struct pending p;
    const enum mpi_result begun = begin_all(&p, &part, 1, all_ranks);

    return begun == MPI_DONE ? end_all(&p, POLLS, limit_s) : begun;
}

/* Beside threads that compute, so no look follows another at once. */
static enum mpi_result exchange(const struct group_parts *parts, int n, bool all, double limit_s)
{
    static struct pending calls[GROUP_WINDOW]; /* the last ones, the oldest behind the newest */
    static unsigned newest;
    enum mpi_result result;

    newest = (newest + 1) % GROUP_WINDOW;
    result = begin_all(&calls[newest], parts, n, across_ranks);
    for (unsigned i = 1; i <= (all ? GROUP_WINDOW : 1) && result == MPI_DONE; i++)
        result = end_all(&calls[(newest + i) % GROUP_WINDOW], 0, limit_s);
    return result;
}

static void end(int status)
{
    /* MPICH's launcher (Hydra 4.0) loses what it has not read yet when a process aborts: here, why. */
    const struct timespec moment = {0, 300000000};

    nanosleep(&moment, NULL);
    pthread_mutex_lock(&turn);
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
    .exchange = exchange,
    .end = end,
    .finish = finish,
};

extern const struct plugin presize_plugin;
__attribute__((visibility("default"))) const struct plugin presize_plugin = {
    .abi = PLUGIN_ABI, .version = PRESIZE_VERSION, .table = &table};
