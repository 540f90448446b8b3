/* emulated.h - a backend for the tests: the CUDA kernels on the host (emulate.h), op after op, without
 * streams. Convolutions and matrix products are not its affair: ERR_UNSUPPORTED.
 *
 * With options.threads 2 every tensor starts 4 or 8 bytes past a multiple of 16, so that the
 * kernels for single values run. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_EMULATED_H
#define PRESIZE_TESTS_EMULATED_H

#include "backend/backend.h"

extern const struct backend emulated_backend;

#endif
