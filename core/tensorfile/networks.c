/* networks.c - prefixes, and three namings of one network.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/networks.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *stem; /* the name of its first convolution */
    enum naming naming;
} stems[] = {
    {"embedder.embedder.convolution.weight", NAMING_HUGGING_FACE},
    {"conv1.weight", NAMING_TORCHVISION},
    {"0.0.weight", NAMING_FASTAI},
    {"0.weight", NAMING_FASTAI_BODY},
};

const char *naming_text(enum naming naming)
{
    return naming == NAMING_TORCHVISION    ? "torchvision's names"
           : naming == NAMING_HUGGING_FACE ? "Hugging Face's names"
                                           : "fastai's names";
}

bool network_stem(struct found_network *found, const struct st_tensor *t)
{
    const size_t n = strlen(t->name);

    if (t->n_dims != 4 || t->dims[1] != 3 || t->dims[2] != 7 || t->dims[3] != 7)
        return false;
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        const size_t m = strlen(stems[i].stem);

        if (n < m || strcmp(t->name + n - m, stems[i].stem) != 0 || n - m >= NETWORK_PREFIX ||
            (n > m && t->name[n - m - 1] != '.'))
            continue;
        snprintf(found->prefix, sizeof found->prefix, "%.*s", (int)(n - m), t->name);
        found->naming = stems[i].naming;
        return true;
    }
    return false;
}

/* The number that *AT begins with and the dot behind it; -1: none. */
static int number(const char **at)
{
    char *end;
    long value;

    if (!isdigit((unsigned char)**at))
        return -1;
    value = strtol(*at, &end, 10);
    if (*end != '.' || value > 999)
        return -1;
    *at = end + 1;
    return (int)value;
}

/* Children of torchvision's ResNet by number: conv1, bn1, relu, maxpool, layer1 to layer4. */
static bool from_body(char out[NETWORK_NAME], const char *rest)
{
    const int child = number(&rest);

    if (child == 0 || child == 1)
        return snprintf(out, NETWORK_NAME, "%s.%s", child ? "bn1" : "conv1", rest) > 0;
    if (child >= 4 && child <= 7)
        return snprintf(out, NETWORK_NAME, "layer%d.%s", child - 3, rest) > 0;
    return false;
}

/* Body and head of fastai's vision_learner; what has numbers in its head, presize calls head.0 to head.3. */
static bool from_fastai(char out[NETWORK_NAME], const char *rest)
{
    const int part = number(&rest);
    int child;

    if (part == 0)
        return from_body(out, rest);
    child = part == 1 ? number(&rest) : -1;
    if (child < 2 || child > 8 || child % 2)
        return false;
    return snprintf(out, NETWORK_NAME, "head.%d.%s", child / 2 - 1, rest) > 0;
}

static const char *after(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0 ? text + strlen(start) : NULL;
}

static bool from_hugging_face(char out[NETWORK_NAME], const char *name)
{
    const char *rest;
    int stage, block, layer;

    if ((rest = after(name, "embedder.embedder.convolution.")))
        return snprintf(out, NETWORK_NAME, "conv1.%s", rest) > 0;
    if ((rest = after(name, "embedder.embedder.normalization.")))
        return snprintf(out, NETWORK_NAME, "bn1.%s", rest) > 0;
    if (!(rest = after(name, "encoder.stages.")) || (stage = number(&rest)) < 0 ||
        !(rest = after(rest, "layers.")) || (block = number(&rest)) < 0)
        return false;
    if ((name = after(rest, "shortcut.convolution.")))
        return snprintf(out, NETWORK_NAME, "layer%d.%d.downsample.0.%s", stage + 1, block, name) >
               0;
    if ((name = after(rest, "shortcut.normalization.")))
        return snprintf(out, NETWORK_NAME, "layer%d.%d.downsample.1.%s", stage + 1, block, name) >
               0;
    if (!(rest = after(rest, "layer.")) || (layer = number(&rest)) < 0)
        return false;
    if ((name = after(rest, "convolution.")))
        return snprintf(out, NETWORK_NAME, "layer%d.%d.conv%d.%s", stage + 1, block, layer + 1,
                        name) > 0;
    if ((name = after(rest, "normalization.")))
        return snprintf(out, NETWORK_NAME, "layer%d.%d.bn%d.%s", stage + 1, block, layer + 1,
                        name) > 0;
    return false;
}

bool network_translate(char out[NETWORK_NAME], const struct found_network *n, const char *name)
{
    const char *rest = after(name, n->prefix);

    if (!rest)
        return false;
    switch (n->naming) {
    case NAMING_TORCHVISION:
        return snprintf(out, NETWORK_NAME, "%s", rest) > 0;
    case NAMING_FASTAI:
        return from_fastai(out, rest);
    case NAMING_FASTAI_BODY:
        return from_body(out, rest);
    case NAMING_HUGGING_FACE:
        return from_hugging_face(out, rest);
    }
    return false;
}
