/* mpi_plugin.h - MPI in a library of its own, opened when a launcher started the process (group.c).
 *
 * The tools link no MPI; libpresize_mpi.so, beside them, does, and MPI's headers are compiled into nothing else.
 * Bytes alone cross: no sum is MPI's, as its order would be the library's. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_MPI_PLUGIN_H
#define PRESIZE_BASE_MPI_PLUGIN_H

#include <stddef.h>

enum mpi_result { MPI_DONE, MPI_LATE, MPI_FAILED };

/* All functions are called by one thread. */
struct mpi_plugin {         /* the table of its struct plugin */
    const char *built_with; /* "Open MPI 4.1", the headers' */
    /* NULL, or what is wrong. *RANKS as MPI counts them: 1 where its launcher is another MPI's. */
    const char *(*start)(int *rank, int *ranks);
    /* The exchanges; MPI_LATE: not done LIMIT_S seconds after the call. The process sleeps while it waits.
     * share: each gives the BYTES at ALL + rank * BYTES and gets the others'. swap: part I of OUT becomes rank I's part
     * for this process, of which each gives one for every rank at IN. OUT and IN are apart. BYTES are below 2^31. */
    enum mpi_result (*share)(void *all, size_t bytes, double limit_s);
    enum mpi_result (*swap)(void *out, const void *in, size_t bytes, double limit_s);
    void (*end)(int status); /* all processes, at once; does not return */
    void (*finish)(void);    /* all call it; returns when all have */
};

#endif
