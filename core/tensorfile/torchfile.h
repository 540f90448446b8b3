/* torchfile.h - the tensors of a .pth file, without running what it says.
 *
 * Both forms that torch.save has written: the zip (since PyTorch 1.6) and the plain sequence of
 * pickles before it. The file holds a dictionary of tensors by name, or one under "state_dict" or
 * "model". What asks for anything else than tensors is refused, naming it (pickle.h).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_TORCHFILE_H
#define PRESIZE_TENSORFILE_TORCHFILE_H

#include "tensorfile/safetensors.h"

struct torchfile; /* a file, read whole into memory */
/* ERR_IO, ERR_FORMAT, ERR_NOMEM. *out is NULL then. */
int torchfile_open(struct torchfile **out, const char *path, struct err *err) MUST_USE;
void torchfile_close(struct torchfile *f); /* NULL is fine */
size_t torchfile_count(const struct torchfile *f);
/* In the dictionary's order. The offset in it means nothing. */
const struct st_tensor *torchfile_tensor(const struct torchfile *f, size_t i);
/* F32, F16, BF16 converted to float, dense in row-major order; ERR_FORMAT for other types. */
int torchfile_read_f32(const struct torchfile *f, const struct st_tensor *t, float *dst,
                       struct err *err) MUST_USE;
int torchfile_read_i64(const struct torchfile *f, const struct st_tensor *t, int64_t *dst,
                       struct err *err) MUST_USE;

#endif
