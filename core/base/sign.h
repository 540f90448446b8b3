/* sign.h - signatures with a key of an elliptic curve (ECDSA), by OpenSSL.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_SIGN_H
#define PRESIZE_BASE_SIGN_H

#include <stddef.h>

#include "base/err.h"
#include "base/hash.h"

struct sign_key; /* opaque */

/* The private key of a PEM file that is not encrypted, of the curve P-256, P-384 or P-521. ERR_IO, ERR_FORMAT,
 * ERR_NOMEM. */
int sign_key_read(struct sign_key **out, const char *path, struct err *err) MUST_USE;
void sign_key_free(struct sign_key *k); /* NULL is fine */
/* SHA-256 of its public key's PEM: by this a verifier knows the key. ERR_NOMEM. */
int sign_key_hint(const struct sign_key *k, char hex[SHA256_HEX], struct err *err) MUST_USE;
/* *out: SIZE bytes, the signature of DATA as ASN.1, owned by the caller; another one each time. The hash is as long as
 * the curve's numbers (SHA-256, 384, 512). ERR_NOMEM. */
int sign_data(unsigned char **out, size_t *size, const struct sign_key *k, const void *data,
              size_t data_size, struct err *err) MUST_USE;

#endif
