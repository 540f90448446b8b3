/* fit.h - whether the planned memory is there, asked before anything is made or computed.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_FIT_H
#define PRESIZE_LEARN_FIT_H

#include "learn/session.h"

/* Prepares every phase in turn and ends with the first one prepared. ERR_NOMEM when one does not fit:
 * planned and available bytes, the largest batch that fits and the keys to set. *BYTES (may be NULL)
 * is what the largest phase needs. */
int fit_check(struct session *s, size_t *bytes, struct err *err) MUST_USE;
uint64_t fit_available(const struct session *s); /* bytes: the device's own, or the machine's */

#endif
