/* clock.c - time, from the two clocks of POSIX.
 * SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

double clock_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct clock_wait clock_wait_begin(void)
{
    return (struct clock_wait){.last = clock_seconds()};
}

double clock_waited(struct clock_wait *w)
{
    const double now = clock_seconds(), most = 0.5;

    w->seconds += now - w->last < most ? now - w->last : most;
    w->last = now;
    return w->seconds;
}

void clock_utc(char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;

    if (!gmtime_r(&now, &tm) || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

int64_t clock_read_utc(const char *text)
{
    struct tm tm = {0};

    return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) : -1;
}

void clock_utc_compact(char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;

    if (!gmtime_r(&now, &tm) || strftime(out, size, "%Y%m%d-%H%M%S", &tm) == 0)
        out[0] = '\0';
}

void clock_duration(double seconds, char *out, size_t size)
{
    long s = seconds > 0 && seconds < 1e9 ? (long)seconds : 0;

    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%02ld:%02ld", s / 60, s % 60);
}
