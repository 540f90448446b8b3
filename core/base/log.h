/* log.h - lines for people, on stderr: "train: info: ...". Never on stdout.
 *
 * Thread-safe. Control characters in a line are written as \xNN, the password of an address as ***, and a command in
 * backquotes as it can be called (log_commands()). A progress bar that is
 * on the screen is cleared before a line and redrawn after.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_LOG_H
#define PRESIZE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* TOOL (borrowed forever) is the prefix of every line; lines above LEVEL are dropped. */
void log_begin(const char *tool, enum log_level level);

/* PREFIX ("bin/", "presize ", borrowed forever) goes before the tool's name of every command in backquotes:
 * "run `prep pets`" becomes "run `bin/prep pets`". */
void log_commands(const char *prefix);

/* Every line is also appended, with the level and without colour, to FILE (borrowed until
 * log_tee(NULL)). */
void log_tee(FILE *file);

void log_error(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
/* A line of level INFO, "TOOL: next: ...", that is no part of a run's log. */
void log_next(const char *format, ...) PRINTF_LIKE(1, 2);
/* Lines without prefix that belong to no log: how a tool is used. At every level. */
void log_usage(const char *format, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);

/* One progress bar at a time, drawn at most ten times a second where stderr is a terminal:
 *   LABEL : |####----| 40.22% [37/92 00:08<00:12 NOTE]
 * Elsewhere a line a minute tells the same. Below the level INFO all calls are cheap no-ops. */
void progress_begin(const char *label, uint64_t total);
void progress_set(uint64_t done, const char *note); /* NOTE may be NULL; bytes and counts alike */
uint64_t progress_steps(void); /* calls of progress_set() so far, whether drawn or not */
void progress_end(void);       /* clears the line */

#endif
