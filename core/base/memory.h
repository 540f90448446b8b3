/* memory.h - how much memory this process may still use.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_MEMORY_H
#define PRESIZE_BASE_MEMORY_H

#include <stdint.h>

/* Bytes: the least of what the system has without swapping, what the control groups of the process
 * leave (version 1 and 2), and what its limits on address space (less 192 MiB, which threads' heaps
 * reserve) and on data leave. UINT64_MAX when none of these is known. */
uint64_t memory_available(void);

#endif
