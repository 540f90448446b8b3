/* onnx.h - a trained network as an ONNX model (opset 17), which onnxruntime, OpenCV and others run.
 *
 * Input "image": float32 (batch, 3, SIZE, SIZE), RGB, normalised; output "probabilities": float32 (batch, classes),
 * rows add up to 1. The batch is any number of pictures. The body's batch norms are folded into its convolutions; the
 * head's are nodes. Dropout is left out. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_ONNX_H
#define PRESIZE_NN_ONNX_H

#include <jansson.h>
#include <stdio.h>

#include "nn/network.h"
#include "tensorfile/safetensors.h"

/* Writes the model to FILE, front to back; equal input gives equal bytes. WEIGHTS: a file that weights_save() wrote for
 * N. METADATA: an object; each member becomes one of the model's metadata, texts as they are, others as JSON.
 * ERR_FORMAT: a tensor of N is missing or has another shape; ERR_IO, ERR_FULL, ERR_NOMEM. */
int onnx_write(FILE *file, const struct network *n, const struct safetensors *weights, int size,
               const json_t *metadata, struct err *err) MUST_USE;

#endif
