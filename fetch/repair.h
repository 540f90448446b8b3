/* repair.h - fetch NAME --repair: what is not as the manifest says is unpacked again.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_REPAIR_H
#define PRESIZE_FETCH_REPAIR_H

#include <stddef.h>
#include <stdio.h>

#include "obtain.h"

/* Hashes every file, and unpacks those that are changed or missing again, from the archives kept in DATA/archives, else
 * from those that O names, else downloaded or made again; all must be those the set was made from. A damaged archive in
 * DATA/archives is downloaded again, too, where its address is known. Prints "repaired PATH" to OUT for each. *LEFT
 * counts what it cannot repair: "extra PATH", and "archive FILE". What was repaired is hashed once more.
 * ERR_INPUT: no manifest, or no archive to be had; ERR_CHECKSUM: other archives, or a file that still differs; else as
 * obtain(). Files that are as they should be are not touched. */
int repair(const struct obtain *o, FILE *out, size_t *left, struct err *err) MUST_USE;

#endif
