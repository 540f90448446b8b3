/* networks.h - the ResNets in a file of tensors, whoever named their parts. Private to tensorfile.
 *
 * A network is known by its stem, a convolution of 7 x 7 over 3 channels, behind some prefix and in one of three
 * namings: torchvision's (timm's and MMPretrain's, too), fastai's numbers ("0.4.1.conv2.weight", or "4.1..." of a body
 * alone), Hugging Face's ("encoder.stages.0.layers.1...").
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_NETWORKS_H
#define PRESIZE_TENSORFILE_NETWORKS_H

#include <stdbool.h>

#include "tensorfile/safetensors.h"

enum naming { NAMING_TORCHVISION, NAMING_FASTAI, NAMING_FASTAI_BODY, NAMING_HUGGING_FACE };
enum { NETWORKS_MAX = 16, NETWORK_PREFIX = 256, NETWORK_NAME = 1024 };

struct found_network {
    char prefix[NETWORK_PREFIX]; /* with its last dot */
    enum naming naming;
};

/* Whether T is a network's stem: FOUND then says of which. */
bool network_stem(struct found_network *found, const struct st_tensor *t);
/* torchvision's name of what N calls NAME; false where that is beside the network. */
bool network_translate(char out[NETWORK_NAME], const struct found_network *n, const char *name);
/* In words: "fastai's names". */
const char *naming_text(enum naming naming);

#endif
