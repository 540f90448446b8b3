/* mpi_plugin.h - MPI in a library of its own, opened when a launcher started the process (group.c).
 *
 * The tools link no MPI; libpresize_mpi.so, beside them, does, and MPI's headers are compiled into nothing else.
 * Bytes alone cross: no sum is MPI's, as its order would be the library's. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_GROUP_MPI_PLUGIN_H
#define PRESIZE_GROUP_MPI_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "group/group.h"

enum mpi_result { MPI_DONE, MPI_LATE, MPI_FAILED, MPI_TOLD };
enum { MPI_TEXT = 1024 };

/* All functions are called by one thread, but exchange(), which another one may call meanwhile. */
struct mpi_plugin {         /* the table of its struct plugin */
    const char *built_with; /* "Open MPI 4.1", the headers' */
    const char *mpirun;     /* its name beside the compiler of that MPI: "mpirun.openmpi" */
    const char *srun_type;  /* of srun --mpi=: "pmix" */
    /* NULL, or what is wrong. *RANKS as MPI counts them: 1 where its launcher is another MPI's. */
    const char *(*start)(int *rank, int *ranks);
    /* NULL, or what is wrong. Those that give the same NUMBER exchange ACROSS, in the order of their ranks. */
    const char *(*split)(int number);
    /* TEXT to rank 0, which has so many SECONDS to end all processes. Rank 0: whether another process has told it one,
     * at OUT (MPI_TEXT bytes); what it waits for then ends as MPI_TOLD. */
    void (*tell)(const char *text, int seconds);
    bool (*told)(char *out);
    /* The exchanges: bytes are below 2^31, and the process sleeps while it waits; MPI_LATE: not done LIMIT_S seconds
     * after the call. share: of all ranks, each gives the BYTES at ALL + rank * BYTES and gets the others'. exchange:
     * of those that split() put together, begins and waits as group_across() does. */
    enum mpi_result (*share)(void *all, size_t bytes, double limit_s);
    enum mpi_result (*exchange)(const struct group_parts *parts, int n, bool all, double limit_s);
    void (*end)(int status); /* all processes, at once; does not return */
    void (*finish)(void);    /* all call it; returns when all have */
};

#endif
