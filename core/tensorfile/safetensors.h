/* safetensors.h - named tensors in a file: 8-byte little-endian header size, JSON header, data.
 * Format: https://huggingface.co/docs/safetensors. Bounded reading, atomic writing.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_SAFETENSORS_H
#define PRESIZE_TENSORFILE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum st_dtype { ST_F32, ST_F16, ST_BF16, ST_I64, ST_F64, ST_U8, ST_I32, ST_OTHER };

#define ST_REAL_TEXT "fp64, fp32, fp16 or bf16" /* in messages */
static inline int st_is_real(enum st_dtype t)   /* what can be read as float */
{
    return t == ST_F64 || t == ST_F32 || t == ST_F16 || t == ST_BF16;
}

struct st_tensor {
    char *name;
    enum st_dtype dtype;
    int n_dims; /* 0 to 8 */
    uint64_t dims[8];
    uint64_t offset, bytes; /* in the file, absolute */
};

struct safetensors; /* an open file, read only */
int safetensors_open(struct safetensors **out, const char *path, struct err *err) MUST_USE;
void safetensors_close(struct safetensors *s);
size_t safetensors_count(const struct safetensors *s);
const struct st_tensor *safetensors_tensor(const struct safetensors *s, size_t i);
/* NULL: none */
const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name);
const char *safetensors_metadata(const struct safetensors *s, const char *key); /* NULL: none */
/* F64, F32, F16, BF16 converted to float; ERR_FORMAT for other types. DST has room for the elements. */
int safetensors_read_f32(const struct safetensors *s, const struct st_tensor *t, float *dst,
                         struct err *err) MUST_USE;
int safetensors_read_i64(const struct safetensors *s, const struct st_tensor *t, int64_t *dst,
                         struct err *err) MUST_USE;

/* Writing: declare all tensors, then give their data in the same order. Tensors are laid out in the order
 * declared; the header is padded with spaces to 8 bytes. finish commits (fsync, rename). */
struct safetensors_writer;
int safetensors_create(struct safetensors_writer **out, const char *path, struct err *err) MUST_USE;
int safetensors_declare(struct safetensors_writer *w, const char *name, enum st_dtype dtype,
                        int n_dims, const uint64_t *dims, struct err *err) MUST_USE;
/* metadata, before the first write */
int safetensors_note(struct safetensors_writer *w, const char *key, const char *value,
                     struct err *err) MUST_USE;
int safetensors_write(struct safetensors_writer *w, const void *data, size_t bytes,
                      struct err *err) MUST_USE;
/* frees W on success */
int safetensors_finish(struct safetensors_writer *w, struct err *err) MUST_USE;
/* frees W and the temporary file; NULL is fine */
void safetensors_abort(struct safetensors_writer *w);

#endif
