/* pretrained.c - torchvision's ResNets, as torchvision/models/resnet.py lists them: file names and
 * numbers of parameters. SPDX-License-Identifier: MIT */
#include "pretrained.h"

#include <stdio.h>
#include <string.h>

#include "base/key.h"

enum { NAMES_MAX = 16 };

const struct pretrained *pretrained_find(const char *name)
{
    for (size_t i = 0; i < n_pretrained; i++)
        if (strcmp(pretrained[i].name, name) == 0)
            return &pretrained[i];
    return NULL;
}

const char *pretrained_near(const char *name)
{
    const char *names[NAMES_MAX];
    size_t n = 0;

    for (; n < n_pretrained && n < NAMES_MAX; n++)
        names[n] = pretrained[n].name;
    return nearest_name(name, names, n);
}

const struct pretrained *pretrained_by_hash(const char *hex)
{
    for (size_t i = 0; i < n_pretrained; i++) {
        char stated[SHA256_HEX];

        sha256_stated(stated, pretrained[i].file);
        if (strncmp(hex, stated, strlen(stated)) == 0)
            return &pretrained[i];
    }
    return NULL;
}

#define V1 "ImageNet, torchvision's first recipe (model.weights=imagenet)"
#define V2 "ImageNet, torchvision's second recipe (model.weights=imagenet-v2)"

const char pretrained_base[] = "https://download.pytorch.org/models/";
// clang-format off
const struct pretrained pretrained[] = {
    {"resnet18",     "resnet18",  "resnet18-f37072fd.pth",  11689512, V1},
    {"resnet34",     "resnet34",  "resnet34-b627a593.pth",  21797672, V1},
    {"resnet50",     "resnet50",  "resnet50-0676ba61.pth",  25557032, V1},
    {"resnet101",    "resnet101", "resnet101-63fe2227.pth", 44549160, V1},
    {"resnet152",    "resnet152", "resnet152-394f9c45.pth", 60192808, V1},
    {"resnet50-v2",  "resnet50",  "resnet50-11ad3fa6.pth",  25557032, V2},
    {"resnet101-v2", "resnet101", "resnet101-cd907fc2.pth", 44549160, V2},
    {"resnet152-v2", "resnet152", "resnet152-f82ba261.pth", 60192808, V2},
};
// clang-format on
const size_t n_pretrained = sizeof pretrained / sizeof pretrained[0];
