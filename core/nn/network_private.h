/* network_private.h - shared by network.c (parameters), network_list.c (forward), network_backward.c and
 * network_build.c (tensors) alone.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_NETWORK_PRIVATE_H
#define PRESIZE_NN_NETWORK_PRIVATE_H

#include "nn/network.h"

enum { MAX_BLOCKS = 64 };

struct unit { /* a convolution and its batch norm */
    struct resnet_conv conv;
    int x, weight, y, stat, gamma, z; /* tensors; z is 0 before it is applied */
};

struct block {
    struct unit units[RESNET_CONVS], down;
    int n_units;
    bool has_down;
    int z, mask; /* output; where it is above 0; 0 in inference */
};

struct norm { /* a batch norm of the head */
    const char *name;
    int x, stat, gamma, z;
};

struct head {
    int pooled, argmax, relu, dropped[2], dlogits;
    struct norm norms[2];
};

struct build {
    const struct network *n;
    const struct network_shape *s;
    struct op_list *l;
    bool infer;
    int argmax;    /* of the max pool; 0: the network has none */
    int stem_mask; /* of the stem's ReLU, where there is no max pool */
    struct unit stem;
    struct block blocks[MAX_BLOCKS];
    int n_blocks;
    struct head head;
};

/* A new tensor named PREFIX then SUFFIX; its number. */
int build_tensor(struct build *b, const char *prefix, const char *suffix, enum tensor_role role,
                 enum dtype dtype, const int d[4]);
void build_dims(const struct build *b, int t, int d[4]);
/* An activation with the dims and dtype of tensor T. */
int build_like(struct build *b, const char *prefix, const char *suffix, int t);
int build_vectors(struct build *b, const char *name, int c, enum dtype dtype); /* (batch, c) */
int build_stat(struct build *b, const char *prefix, const char *suffix, int channels);
/* The network's tensor PREFIX.PART, put into the list at its first use. */
int build_param(struct build *b, const char *prefix, const char *part);
int build_gradient(struct build *b, const char *prefix, const char *part);
bool build_trains(const struct build *b, const struct param *p);
bool build_trains_weight(const struct build *b, const char *prefix);
/* Rate of dropout LAYER, 0 or 1; 0 in inference. */
float build_dropout(const struct build *b, int layer);

/* After the forward ops: the gradients of everything that is trained, then the optimiser's ops. */
void build_backward(struct build *b);
void build_optimiser(struct build *b);

#endif
