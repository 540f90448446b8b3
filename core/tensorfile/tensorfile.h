/* tensorfile.h - named tensors of a file, safetensors or .pth as its first bytes say.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_TENSORFILE_H
#define PRESIZE_TENSORFILE_TENSORFILE_H

#include <stdio.h>

#include "tensorfile/safetensors.h"

struct tensorfile;
/* ERR_IO, ERR_FORMAT, ERR_NOMEM. *out is NULL then. */
int tensorfile_open(struct tensorfile **out, const char *path, struct err *err) MUST_USE;
void tensorfile_close(struct tensorfile *f); /* NULL is fine */
size_t tensorfile_count(const struct tensorfile *f);
const struct st_tensor *tensorfile_tensor(const struct tensorfile *f, size_t i);
const struct st_tensor *tensorfile_find(const struct tensorfile *f, const char *name); /* NULL */
/* Leaves of F the tensors of one ResNet, under torchvision's names; where there is none, F stays as it is. KEY is the
 * part of the file's names that comes before the network's ("state_dict.module.encoder_q"), its beginning or its end;
 * "": the first that is no average of another. Several without KEY are warned of, naming them, and what KEY is given by
 * (OPTION: "model.weights_key"). ERR_FORMAT where KEY fits none, ERR_NOMEM. */
int tensorfile_take_network(struct tensorfile *f, const char *key, const char *option,
                            struct err *err) MUST_USE;
/* As safetensors_read_f32() and safetensors_read_i64(). */
int tensorfile_read_f32(const struct tensorfile *f, const struct st_tensor *t, float *dst,
                        struct err *err) MUST_USE;
int tensorfile_read_i64(const struct tensorfile *f, const struct st_tensor *t, int64_t *dst,
                        struct err *err) MUST_USE;

void tensorfile_libraries(FILE *file); /* for base/version.h */

#endif
