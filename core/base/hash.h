/* hash.h - SHA-256 and MD5 (OpenSSL), CRC32C (own, table or SSE 4.2).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_HASH_H
#define PRESIZE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SHA256_HEX = 65, MD5_HEX = 33 }; /* lower-case hexadecimal digits and a 0 */

struct sha256; /* opaque, one running hash */
int sha256_new(struct sha256 **out, struct err *err) MUST_USE;
void sha256_update(struct sha256 *s, const void *data, size_t size);
void sha256_hex(struct sha256 *s, char hex[SHA256_HEX]); /* finishes; then only free */
/* The hash of what was given up to now; more may be added later. ERR_NOMEM. */
int sha256_so_far(const struct sha256 *s, char hex[SHA256_HEX], struct err *err) MUST_USE;
void sha256_free(struct sha256 *s); /* NULL is fine */

void sha256_of(const void *data, size_t size, char hex[SHA256_HEX]);
/* Hashes a file; *size (may be NULL) is the bytes read. ERR_IO. */
int sha256_file(const char *path, char hex[SHA256_HEX], uint64_t *size, struct err *err) MUST_USE;
/* The start of the SHA-256 that a file's name states, 8 to 64 lower-case digits between the last
 * "-" and the ending: "0676ba61" of "resnet50-0676ba61.pth", "" where it states none. */
void sha256_stated(char out[SHA256_HEX], const char *file);
/* MD5 of the first MAX bytes of a file (0: all of it). ERR_IO. */
int md5_file(const char *path, uint64_t max, char hex[MD5_HEX], struct err *err) MUST_USE;
void md5_of(const void *data, size_t size, char hex[MD5_HEX]);

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): crc32c(0, "123456789", 9) == 0xe3069283.
 * Feed pieces by passing the previous result. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
