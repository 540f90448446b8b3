/* export.h - a run's model as a folder for other programs: weights, ONNX, how pictures are made, a model card.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_EXPORT_H
#define PRESIZE_EVAL_EXPORT_H

#include "request.h"

/* Makes R->folder with model.safetensors, model.onnx, README.md and config.json, which is written last, and lists them
 * on OUT. A folder that is there may hold hidden files and an earlier export as it was written; that is replaced. Equal
 * runs give equal bytes. ERR_INPUT: the run has no predictions or no checkpoint, or the folder holds other files; what
 * reading and writing give. On an error the folder is as it was. */
int export_run(FILE *out, const struct request *r, struct err *err) MUST_USE;
/* Makes the file R->model: the network as ONNX with the weights in it. A file that is there is replaced. Errors as
 * export_run()'s. */
int export_onnx(FILE *out, const struct request *r, struct err *err) MUST_USE;

#endif
