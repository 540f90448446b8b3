/* err.h - how the libraries report what went wrong; tools print it once and exit.
 *
 * Three kinds of wrong, never mixed: input (files, keys, devices) goes into struct err; a
 * caller's mistake is BUG_IF, always compiled in; costly per-element checks are assert.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_ERR_H
#define PRESIZE_BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

enum err_kind {
    ERR_NONE,
    ERR_IO,     /* the operating system refused: missing, unreadable, failed write */
    ERR_FULL,   /* no space left on the device */
    ERR_FORMAT, /* bytes that are not what they should be: damaged, truncated, wrong version */
    ERR_INPUT,  /* a value, key, label or data set that cannot be used */
    ERR_USAGE,  /* the same, of the command line: exit status 2 */
    ERR_NOMEM,
    ERR_NETWORK,
    ERR_CHECKSUM,
    ERR_UNSAFE,      /* an archive that would write outside its folder */
    ERR_LOCKED,      /* in use by another process */
    ERR_UNSUPPORTED, /* this device, build or processor cannot do it */
    ERR_NUMERIC,     /* the loss is no longer a number */
    ERR_STOPPED,     /* asked to stop by a signal */
};

struct err {
    enum err_kind kind;
    char msg[4096]; /* complete sentence parts, outermost context first: "file: row: cause" */
};

/* Sets kind and message (replacing what was there) and returns -1. ERR may be NULL. */
int err_set(struct err *err, enum err_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);

/* As err_set() with ": strerror(errno)" appended; the kind is ERR_FULL for ENOSPC, EDQUOT
 * and EFBIG (a limit on file sizes), ERR_NOMEM for ENOMEM, ERR_IO otherwise. */
int err_errno(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "context: " before the message and returns -1. */
int err_wrap(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* ERR_INPUT with "FILE: " before the message; FILE NULL: ERR_USAGE with "command line: ". Returns -1. */
int err_in(struct err *err, const char *file, const char *format, ...) PRINTF_LIKE(3, 4);

/* For an error of words that were typed: ERR_INPUT becomes ERR_USAGE, with "command line: " before the message; other
 * kinds stay as they are. Returns -1. */
int err_usage(struct err *err);

/* An ERR_USAGE is of FILE, from which the words came: ERR_INPUT, "FILE: " instead of "command line: ". Other kinds
 * get "FILE: " before their message. Returns -1. */
int err_usage_of(struct err *err, const char *file);

/* Appends to the message (for lists of offenders and for what to do next); truncates silently. */
int err_append(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* With which status a tool ends where ERR is all: 2 misused, 1 failed. */
int err_status(const struct err *err);

/* Aborts with file, line and the condition: the caller broke a documented precondition. */
#define BUG_IF(cond)                                                                               \
    do {                                                                                           \
        if (cond)                                                                                  \
            bug(__FILE__, __LINE__, #cond);                                                        \
    } while (0)
__attribute__((__noreturn__)) void bug(const char *file, int line, const char *cond);

#endif
