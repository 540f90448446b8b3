/* pretrained.h - the weights that torchvision publishes: one const table.
 *
 * The eight hexadecimal digits in a file's name are the start of its SHA-256; nobody published more.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_ARCH_PRETRAINED_H
#define PRESIZE_ARCH_PRETRAINED_H

#include <stddef.h>
#include <stdint.h>

#include "arch/resnet.h"
#include "base/hash.h"

struct pretrained {
    const char *name; /* of fetch weights/NAME and of DATA/weights/NAME.safetensors */
    enum arch arch;   /* RESNET50 for resnet50 and resnet50-v2 */
    const char *file; /* where they are published: below pretrained_base */
    const char *title;
};

extern const struct pretrained pretrained[];
extern const size_t n_pretrained;
extern const char pretrained_base[]; /* https address with a slash at its end */

const struct pretrained *pretrained_find(const char *name); /* NULL: not in the table */
const char *pretrained_near(const char *name);              /* the name that was meant, or NULL */
/* The row whose file's SHA-256 begins as HEX does, NULL: none. */
const struct pretrained *pretrained_by_hash(const char *hex);

#endif
