/* repair.h - fetch NAME --repair: what is not as the manifest says is unpacked again.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_REPAIR_H
#define PRESIZE_FETCH_REPAIR_H

#include <stddef.h>
#include <stdio.h>

#include "obtain.h"

struct repair_left { /* what cannot be repaired */
    size_t extra;    /* files that fetch did not make */
    size_t archives; /* damaged ones in DATA/archives, with no address and no --from */
};

/* Hashes every file, and unpacks those that are changed or missing again: from the archives that O names (--from), else
 * from those kept in DATA/archives, else downloaded or made again; all must be those the set was made from. A damaged
 * archive in DATA/archives is downloaded again, too, where its address is known. Prints "repaired PATH" to OUT for
 * each. *LEFT counts what it cannot repair: "extra PATH", and "archive FILE". What was repaired is hashed once more.
 * ERR_INPUT: no manifest, or no archive to be had; ERR_CHECKSUM: other archives, or a file that still differs; else as
 * obtain(). Files that are as they should be are not touched. */
int repair(const struct obtain *o, FILE *out, struct repair_left *left, struct err *err) MUST_USE;

#endif
