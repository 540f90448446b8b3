/* torchfile.h - the tensors of a .pth file, without running what it says.
 *
 * Both forms that torch.save has written: the zip (since PyTorch 1.6) and the plain sequence of
 * pickles before it. Every tensor that lies under string keys of dictionaries, or in a module that was saved whole, is
 * named by those keys, joined by dots: "state_dict.module.conv1.weight". What else is in the file is passed over; what
 * only a harmful file has is refused, naming it (pickle.h).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_TORCHFILE_H
#define PRESIZE_TENSORFILE_TORCHFILE_H

#include "tensorfile/safetensors.h"

struct torchfile; /* a file, read whole into memory */
/* ERR_IO, ERR_FORMAT, ERR_NOMEM. *out is NULL then. */
int torchfile_open(struct torchfile **out, const char *path, struct err *err) MUST_USE;
void torchfile_close(struct torchfile *f); /* NULL is fine */
size_t torchfile_count(const struct torchfile *f);
/* In the dictionaries' order. The offset in it means nothing. A thing of another kind under a parameter's name is one
 * of type ST_OTHER without dimensions. */
const struct st_tensor *torchfile_tensor(const struct torchfile *f, size_t i);
/* F64, F32, F16, BF16 converted to float, dense in row-major order; ERR_FORMAT for other types. */
int torchfile_read_f32(const struct torchfile *f, const struct st_tensor *t, float *dst,
                       struct err *err) MUST_USE;
int torchfile_read_i64(const struct torchfile *f, const struct st_tensor *t, int64_t *dst,
                       struct err *err) MUST_USE;

#endif
