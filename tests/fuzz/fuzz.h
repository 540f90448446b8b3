/* fuzz.h - what a fuzz target consists of.
 *
 * fuzz_NAME.c is linked with driver.c (seeded mutations of good inputs; make test) or with clang's
 * libFuzzer (-DPRESIZE_FUZZ=ON, docs/architecture.md). What must hold of any input is a CHECK.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_FUZZ_H
#define PRESIZE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* returns 0 */
/* Good input number I, to be freed; NULL: there are no more. */
uint8_t *fuzz_seed(int i, size_t *size);

#define CHECK(holds)                                                                               \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A refusal has a kind and a sentence. */
#define CHECK_REFUSED(err) CHECK((err).kind != ERR_NONE && (err).msg[0])

/* Path of a file with these bytes in a scratch folder that goes with the process; the file's name is
 * "input" and SUFFIX. Valid until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size, const char *suffix);
/* The bytes of a file, to be freed; ends the process when there are none. */
uint8_t *fuzz_read(const char *path, size_t *size);

#endif
