/* attest.h - who vouches for an export: how the model came about, and a signature of the files.
 *
 * The statement is in-toto's (Statement v1) with SLSA's provenance v1; the signature is a Sigstore bundle with a DSSE
 * envelope, as OpenSSF's model-signing reads it. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_ATTEST_H
#define PRESIZE_EVAL_ATTEST_H

#include "base/sign.h"
#include "look.h"

/* FILES: {name: SHA-256} of what the statement is about. Only what equal runs have
 * in common: no time, name, machine or program.
 * ERR_NOMEM, ERR_IO, ERR_FULL. */
int attest_statement(FILE *out, const struct look *l, const json_t *files,
                     struct err *err) MUST_USE;
/* MODEL: the name that the signature has for them; FILES: all of the folder but the signature.
 * ERR_NOMEM, ERR_IO, ERR_FULL. */
int attest_sign(FILE *out, const struct sign_key *key, const char *model, const json_t *files,
                struct err *err) MUST_USE;
/* Whether the file at PATH is a signature whose list has SHA256 as that of the file NAME. */
bool attest_signs(const char *path, const char *name, const char *sha256);

#endif
