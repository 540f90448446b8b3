/* resnet.h - torchvision's ResNets, and those for small pictures: names, blocks, and every tensor of a body. The only
 * table of them.
 *
 * v1.5: a bottleneck's stride is on its 3x3. He, Zhang, Ren, Sun 2016 (CVPR), table 1; wide: Zagoruyko and
 * Komodakis 2016 (BMVC); groups: Xie, Girshick, Dollar, Tu, He 2017 (CVPR). resnet20 to resnet56: section 4.2 of He et
 * al., for pictures of 32 px (CIFAR); three layers of 16, 32 and 64 channels, shortcuts of kind B.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_ARCH_RESNET_H
#define PRESIZE_ARCH_RESNET_H

#include <stdbool.h>
#include <stddef.h>

/* Key model.arch; each is a row of the table in resnet.c. */
enum arch {
    RESNET18,
    RESNET34,
    RESNET50,
    RESNET101,
    RESNET152,
    WIDE_RESNET50_2,
    RESNEXT50_32X4D,
    RESNET20,
    RESNET32,
    RESNET44,
    RESNET56,
    ARCHS
};
extern const char *const arch_names[ARCHS + 1]; /* NULL at the end */
const char *arch_name(int arch);
int arch_find(const char *name); /* -1: none */

enum { RESNET_LAYERS = 4, RESNET_CONVS = 3 /* of a block, at most */, RESNET_NAME = 64 };

struct resnet {
    int blocks[RESNET_LAYERS]; /* of layer1 to layer4; 0: no such layer */
    bool bottleneck;           /* 1x1, 3x3, 1x1 (four times as wide) instead of 3x3, 3x3 */
    int groups, width; /* of a bottleneck's 3x3: its groups, and channels of each in layer1 */
    int stem_side; /* of conv1's filter. 7: stride 2, and a max pool behind; 3: stride 1, no pool */
    int planes; /* channels of the stem, and of a plain block of layer1; each layer doubles them */
};
const struct resnet *resnet_of(int arch);
int resnet_last_layer(int arch); /* 3 or 4 */
int resnet_features(int arch);   /* channels behind the last layer */

struct resnet_conv { /* a convolution without bias, and its batch norm */
    char name[48], norm[48];
    int c, k, side;          /* channels in and out, the filter's height and width; its weight is */
    int stride, pad, groups; /* (k, c / groups, side, side) */
};
/* conv1 and bn1; behind them a ReLU. Returns whether a max pool of 3x3, stride 2, pad 1 comes behind the ReLU. */
bool resnet_stem(struct resnet_conv *out, int arch);

/* relu(convs of x, with a ReLU between two, + x or down of x) */
struct resnet_block {
    struct resnet_conv convs[RESNET_CONVS], down;
    int n_convs;
    bool has_down;
};
/* LAYER 1 to 4, BLOCK from 0. */
void resnet_block(struct resnet_block *out, int arch, int layer, int block);

enum resnet_role { RESNET_FILTER, RESNET_GAMMA, RESNET_BETA, RESNET_MEAN, RESNET_VARIANCE };
struct resnet_tensor {
    char name[RESNET_NAME];
    enum resnet_role role;
    int layer; /* 0: the stem */
    int n_dims, dims[4];
};
/* A body's tensors in the order of torchvision's state dict, without the counters num_batches_tracked: *N of them,
 * released with free(). resnet20 to resnet56 name theirs in the same way. NULL: out of memory. */
struct resnet_tensor *resnet_tensors(int arch, size_t *n);
/* Numbers of the network with a linear classifier, as torchvision has, trained ones alone, for so many classes. */
size_t resnet_parameters(int arch, int classes);

/* What the name of a norm's number of batches ends in. PyTorch stores int64; numbers that were converted together with
 * the weights are left out. */
extern const char resnet_counter[];
bool resnet_is_counter(const char *name);

/* Where torchvision has a tensor of such a NAME, whatever the architecture. */
enum resnet_part { RESNET_BODY, RESNET_CLASSIFIER, RESNET_BESIDE };
enum resnet_part resnet_part(const char *name);

#endif
