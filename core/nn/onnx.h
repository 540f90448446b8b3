/* onnx.h - a trained network as an ONNX model (opset 17), which onnxruntime, OpenCV and others run.
 *
 * Input "image": float32 (batch, 3, SIZE, SIZE), RGB, normalised; output "probabilities": float32 (batch, classes),
 * rows add up to 1. The batch is any number of pictures. Dropout is left out. The values of the weights lie in the
 * model, or in a file beside it. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_ONNX_H
#define PRESIZE_NN_ONNX_H

#include <jansson.h>
#include <stdio.h>

#include "nn/network.h"
#include "tensorfile/safetensors.h"

/* Writes the model to FILE, front to back; equal input gives equal bytes. WEIGHTS: a file that weights_save() wrote for
 * N. BESIDE: that file's name in the folder of the model, whose tensors then point into the file (ONNX external data),
 * and batch norms are nodes. NULL: the values are in the model, and the body's batch norms are folded into the
 * convolutions. METADATA: an object; each member becomes one of the model's metadata: a text as it is, else JSON.
 * ERR_FORMAT: a tensor of N is missing, has another shape or, with BESIDE, is not fp32; ERR_IO, ERR_FULL, ERR_NOMEM. */
int onnx_write(FILE *file, const struct network *n, const struct safetensors *weights,
               const char *beside, int size, const json_t *metadata, struct err *err) MUST_USE;

#endif
