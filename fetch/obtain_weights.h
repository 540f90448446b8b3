/* obtain_weights.h - from a file of weights, given or downloaded, to DATA/weights/NAME.safetensors.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_OBTAIN_WEIGHTS_H
#define PRESIZE_FETCH_OBTAIN_WEIGHTS_H

#include <stdio.h>

#include "arch/pretrained.h"
#include "base/err.h"
#include "base/path.h"
#include "obtain.h"

struct obtain_weights {
    const char *data; /* folder of all data sets */
    const struct pretrained *what;
    const struct obtain_from *from; /* NULL: the published file */
    /* of one of several networks in the file, NULL: none is named; with from only */
    const char *key;
    const char *mirror;           /* address that has it instead of the publisher; NULL */
    struct transport_rules rules; /* of a download */
    bool repair;                  /* what is there is hashed, and rebuilt where it differs */
};

int obtain_weights_path(char out[PATH_LEN], const char *data, const struct pretrained *what,
                        struct err *err) MUST_USE;

/* Does what is missing; when the file is there, checks its header only and says so. On an error
 * nothing half-made stays; a whole file that was downloaded and has the right hash does, and a partial
 * download that can be resumed.
 * ERR_NETWORK, ERR_CHECKSUM, ERR_FULL, ERR_LOCKED, ERR_FORMAT (damaged, another architecture, asks
 * for more than tensors), ERR_INPUT, ERR_IO, ERR_NOMEM. */
int obtain_weights(const struct obtain_weights *o, struct err *err) MUST_USE;

/* Hashes the numbers again, and the file they came from where it lies in DATA/archives: prints
 * "changed FILE" and "archive FILE" to OUT. As recheck(). */
int recheck_weights(const char *data, const struct pretrained *what, FILE *out, size_t *differences,
                    struct err *err) MUST_USE;

#endif
