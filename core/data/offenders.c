/* offenders.c - collect names for an error message. SPDX-License-Identifier: MIT */
#include "data/offenders.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void offenders_add(struct offenders *o, const char *format, ...)
{
    size_t room = sizeof o->text - o->used;
    va_list args;
    int n;

    o->n++;
    if (o->shown + 1 < o->n || o->shown == OFFENDERS_SHOWN || room < 3)
        return;
    if (o->used > 0)
        memcpy(o->text + o->used, ", ", 3);
    va_start(args, format);
    n = vsnprintf(o->text + o->used + (o->used ? 2 : 0), room - (o->used ? 2 : 0), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room - (o->used ? 2 : 0)) {
        o->text[o->used] = '\0';
        return;
    }
    o->used += (uint32_t)n + (o->used ? 2 : 0);
    o->shown++;
}

int offenders_append(struct err *err, const struct offenders *o)
{
    if (o->n > o->shown && o->shown > 0)
        return err_append(err, ": %s and %u more", o->text, o->n - o->shown);
    return o->shown > 0 ? err_append(err, ": %s", o->text) : -1;
}
