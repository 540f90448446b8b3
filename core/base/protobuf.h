/* protobuf.h - messages in protobuf's wire format, which TensorBoard and ONNX read.
 *
 * A message grows field by field; a message inside another is built on its own and then put into it. The wire format
 * (protobuf.dev, "Encoding") is a key (field number and wire type) before each value. Field numbers are the caller's.
 * A message that ran out of memory stays so: check `failed` once, at the end. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_PROTOBUF_H
#define PRESIZE_BASE_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct protobuf { /* starts from all zero */
    uint8_t *bytes;
    size_t n, room;
    bool failed; /* out of memory: n and bytes mean nothing */
};
void protobuf_free(struct protobuf *m); /* all zero again */

/* Negative integers are given as their two's complement, (uint64_t)value. */
void protobuf_int(struct protobuf *m, unsigned field, uint64_t value);
void protobuf_float(struct protobuf *m, unsigned field, float value);
void protobuf_double(struct protobuf *m, unsigned field, double value);
void protobuf_bytes(struct protobuf *m, unsigned field, const void *data, size_t size);
void protobuf_text(struct protobuf *m, unsigned field, const char *text);
/* Puts PART into M and frees PART. */
void protobuf_message(struct protobuf *m, unsigned field, struct protobuf *part);
/* Key and length of a field of SIZE bytes, which the caller writes behind M. */
void protobuf_head(struct protobuf *m, unsigned field, uint64_t size);
/* The least significant BYTES of VALUE, the least significant first, without a key. */
void protobuf_raw(struct protobuf *m, uint64_t value, int bytes);

#endif
