/* pretrained.c - torchvision's ResNets, as torchvision/models/resnet.py lists them.
 * SPDX-License-Identifier: MIT */
#include "arch/pretrained.h"

#include <stdio.h>
#include <string.h>

#include "base/key.h"

enum { NAMES_MAX = 32 };

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
    {"resnet18",           RESNET18,        "resnet18-f37072fd.pth",        V1},
    {"resnet34",           RESNET34,        "resnet34-b627a593.pth",        V1},
    {"resnet50",           RESNET50,        "resnet50-0676ba61.pth",        V1},
    {"resnet101",          RESNET101,       "resnet101-63fe2227.pth",       V1},
    {"resnet152",          RESNET152,       "resnet152-394f9c45.pth",       V1},
    {"wide_resnet50_2",    WIDE_RESNET50_2, "wide_resnet50_2-95faca4d.pth", V1},
    {"resnext50_32x4d",    RESNEXT50_32X4D, "resnext50_32x4d-7cdf4587.pth", V1},
    {"resnet50-v2",        RESNET50,        "resnet50-11ad3fa6.pth",        V2},
    {"resnet101-v2",       RESNET101,       "resnet101-cd907fc2.pth",       V2},
    {"resnet152-v2",       RESNET152,       "resnet152-f82ba261.pth",       V2},
    {"wide_resnet50_2-v2", WIDE_RESNET50_2, "wide_resnet50_2-9ba9bcbe.pth", V2},
    {"resnext50_32x4d-v2", RESNEXT50_32X4D, "resnext50_32x4d-1a0047aa.pth", V2},
};
// clang-format on
const size_t n_pretrained = sizeof pretrained / sizeof pretrained[0];
