/* serve.h - the results folder in a browser: the pages of eval, made when they are asked for.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_SERVE_H
#define PRESIZE_EVAL_SERVE_H

#include "request.h"

/* Listens on 127.0.0.1 and, where the machine has IPv6, on ::1, at R->port (0: a free one), prints the address to
 * open on OUT, and answers until SIGINT or SIGTERM. ERR_IO: the port is in use; ERR_INPUT: no results folder;
 * ERR_UNSUPPORTED: this build has no libmicrohttpd. */
int serve_run(FILE *out, const struct request *r, struct err *err) MUST_USE;
void serve_libraries(FILE *out); /* for base/version.h */

#endif
