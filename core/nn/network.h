/* network.h - a ResNet with fastai's head, as op lists.
 *
 * The body is a row of arch/resnet.h; the head is
 * head.0 batch norm, head.1 linear 2f -> 512, head.2 batch norm, head.3 linear 512 -> classes
 * (concat pool max first, dropout 0.25 and 0.5, ReLU after the first linear layer, no biases).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_NETWORK_H
#define PRESIZE_NN_NETWORK_H

#include "arch/resnet.h"
#include "backend/op.h"
#include "base/key.h"

/* Keys model.*. */
struct model_options {
    int arch;              /* enum arch */
    char weights[1024];    /* none, imagenet, imagenet-v2, a FILE, run:NAME */
    char weights_key[256]; /* which network of such a file; "": the only one */
    double dropout;        /* model.head.dropout: of the last layer; half of it before the first */
};
extern const struct key model_keys[];

enum param_init {
    INIT_KAIMING_OUT, /* body convolutions: normal, fan_out, gain sqrt 2 (torchvision) */
    INIT_KAIMING_IN,  /* head linear: normal, fan_in, gain sqrt 2 (fastai) */
    INIT_ONE,
    INIT_ZERO,
    INIT_BN_BIAS /* 1e-3, head norms */
};

/* One persistent tensor of the network. */
struct param {
    char name[64];
    int dims[4], n_dims;
    size_t n;     /* elements */
    int group;    /* 0: conv1 bn1 layer1 layer2, 1: layer3 layer4, 2: head */
    bool trained; /* false: running_mean, running_var */
    bool norm;    /* weight or bias of a batch norm: trained even when frozen, no weight decay */
    enum param_init init;
};

/* Whether P is trained with the groups below FREEZE_TO frozen. */
static inline bool param_is_trained(const struct param *p, int freeze_to)
{
    return p->trained && (p->norm || p->group >= freeze_to);
}

struct network { /* what an architecture has, independent of batch and size */
    int arch, classes, features;
    struct param *params; /* in torchvision's state-dict order, head last */
    int n_params;
};
int network_new(struct network **out, const struct model_options *o, int classes,
                struct err *err) MUST_USE;
void network_free(struct network *n);                                         /* NULL is fine */
const struct param *network_param(const struct network *n, const char *name); /* NULL: none */

/* What 0 becomes in network_shape.microbatch. */
int network_microbatch(int batch);

struct network_shape {
    int batch, microbatch, size; /* microbatch 0: the largest divisor of batch up to 8 */
    bool shared;                 /* BATCH is one process's part of a batch (struct be_ranks) */
    enum dtype dtype;            /* activations and gradients of the body; the head is f32 */
    bool features; /* inference: the list ends with what the head would read, network_features() */
    bool augment;  /* first op is AUGMENT; false: tensor "x" is written from outside */
    int freeze_to; /* parameters of groups below are frozen (norms excepted): 0 none, 2 body */
    double dropout;
    /* The rest is training's alone. */
    double smoothing, focal; /* of the loss; inference's is the plain cross-entropy */
    double max_norm;         /* that gradients are clipped to; 0: they are not */
    bool sgd, nesterov;      /* the optimiser: SGD, with Nesterov's momentum; else Adam */
    int parts;               /* runs that make one step; 0 and 1: one */
    bool averages;           /* keeps an average of every parameter and running statistic */
};
/* Forward in training mode, loss, backward, the optimiser. Tensors by name: "x", "logits", "prob",
 * "loss"; gradients are "PARAM.grad", Adam's moments STATE "PARAM.m" and "PARAM.v" (SGD has the first), averages STATE
 * "PARAM.ema". Owned by the caller. ERR_NOMEM, ERR_INPUT. */
int network_train_list(struct op_list **out, const struct network *n, const struct network_shape *s,
                       struct err *err) MUST_USE;
/* Forward with running statistics, "prob" and "loss". */
int network_infer_list(struct op_list **out, const struct network *n, const struct network_shape *s,
                       struct err *err) MUST_USE;
enum { NETWORK_HIDDEN = 512 }; /* width of the head's inner layer, as fastai's */
/* The tensor of LIST behind the body's last block, (batch, features, h, w). */
int network_features(const struct network *n, const struct op_list *list);

#endif
