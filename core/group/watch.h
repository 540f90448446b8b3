/* watch.h - a thread that notices when this process gets no further: its GPU, a file system or the network hangs.
 *
 * A process gets further with each call of group.h that ends, and with each step of a progress bar (base/log.h). While
 * it waits in such a call, the call's own limit counts. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_GROUP_WATCH_H
#define PRESIZE_GROUP_WATCH_H

#include "base/err.h"

struct watch;
/* After LIMIT_S seconds LATE(ctx) is called once, in a thread of its own. ERR_NOMEM. */
int watch_new(struct watch **out, double limit_s, void (*late)(void *ctx), void *ctx,
              struct err *err) MUST_USE;
void watch_free(struct watch *w); /* NULL is fine; LATE is not called any more */
/* Around a call of group.h, in any thread. NULL is fine. */
void watch_call(struct watch *w);
void watch_called(struct watch *w);

#endif
