/* clock.h - time: for logs, estimates and timing files, never for results.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_CLOCK_H
#define PRESIZE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

double clock_seconds(void); /* monotonic */
/* How long a wait takes, without the time in which the process was stopped (Slurm suspends jobs). clock_waited() is
 * called several times a second; of the time between two calls it counts half a second at most. */
struct clock_wait {
    double seconds, last;
};
struct clock_wait clock_wait_begin(void);
double clock_waited(struct clock_wait *w); /* seconds so far */

void clock_utc(char *out, size_t size); /* "2026-01-31T23:59:59Z" */
/* Seconds since 1970 of such a text, a fraction of a second and what follows left out; -1: not such a text, or NULL. */
int64_t clock_read_utc(const char *text);
void clock_utc_compact(char *out, size_t size);              /* "20260131-235959", for names */
void clock_duration(double seconds, char *out, size_t size); /* "mm:ss" or "h:mm:ss", truncated */

#endif
