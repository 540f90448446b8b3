/* err.c - messages of struct err, and the way out for a broken precondition.
 * SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
    char text[sizeof err->msg]; /* arguments may point into err->msg */
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = '\0';
    va_end(args);
    err->kind = kind;
    memcpy(err->msg, text, strlen(text) + 1);
    return -1;
}

static enum err_kind kind_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

int err_errno(struct err *err, const char *format, ...)
{
    int number = errno;
    char text[sizeof err->msg];
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = '\0';
    va_end(args);
    return err_set(err, kind_of_errno(number), "%s: %s", text, strerror(number));
}

int err_wrap(struct err *err, const char *format, ...)
{
    char text[sizeof err->msg];
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = '\0';
    va_end(args);
    return err_set(err, err->kind, "%s: %s", text, err->msg);
}

static const char command_line[] = "command line: ";

int err_usage(struct err *err)
{
    if (!err || err->kind != ERR_INPUT)
        return -1;
    return err_set(err, ERR_USAGE, "%s%s", command_line, err->msg);
}

int err_in(struct err *err, const char *file, const char *format, ...)
{
    char text[sizeof err->msg];
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = '\0';
    va_end(args);
    err_set(err, ERR_INPUT, "%s", text);
    return file ? err_wrap(err, "%s", file) : err_usage(err);
}

int err_usage_of(struct err *err, const char *file)
{
    const char *text;

    if (!err)
        return -1;
    text = err->msg;
    if (err->kind == ERR_USAGE && strncmp(text, command_line, strlen(command_line)) == 0)
        text += strlen(command_line);
    return err_set(err, err->kind == ERR_USAGE ? ERR_INPUT : err->kind, "%s: %s", file, text);
}

int err_append(struct err *err, const char *format, ...)
{
    size_t used;
    va_list args;

    if (!err)
        return -1;
    used = strlen(err->msg);
    va_start(args, format);
    if (vsnprintf(err->msg + used, sizeof err->msg - used, format, args) < 0)
        err->msg[used] = '\0';
    va_end(args);
    return -1;
}

int err_status(const struct err *err)
{
    return err->kind == ERR_USAGE ? 2 : 1;
}

_Noreturn void bug(const char *file, int line, const char *cond)
{
    fprintf(stderr, "%s:%d: bug: %s\n", file, line, cond);
    abort();
}
