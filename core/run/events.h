/* events.h - TensorBoard's events file, by hand: TFRecord frames around a few protobuf messages.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_EVENTS_H
#define PRESIZE_RUN_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct events; /* opaque; one writer per process */

/* A new file FOLDER/events.out.tfevents.TIME.presize; when AGAIN, the first scalar is preceded by a
 * session start at its step, at which TensorBoard drops what earlier files say of later steps. */
int events_open(struct events **out, const char *folder, bool again, struct err *err) MUST_USE;
/* TAG at most 200 bytes. */
int events_scalar(struct events *e, const char *tag, uint64_t step, double value,
                  struct err *err) MUST_USE;
/* A picture under TAG: PNG of SIZE bytes, WIDTH x HEIGHT pixels, RGB. ERR_IO, ERR_NOMEM. */
int events_image(struct events *e, const char *tag, uint64_t step, const void *png, size_t size,
                 int width, int height, struct err *err) MUST_USE;
/* What TensorBoard's page of hyper-parameters lists for the run NAME: KEYS, an object of texts; lists are left
 * out. ERR_IO, ERR_NOMEM. */
int events_hparams(struct events *e, const char *name, const json_t *keys,
                   struct err *err) MUST_USE;
int events_close(struct events *e, struct err *err) MUST_USE; /* NULL is fine; frees E anyway */

#endif
