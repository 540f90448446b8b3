/* network_list.c - a network as op lists: the forward half.
 *
 * Order serves the cache: ops up to the next sum over microbatches run for one microbatch before the
 * next is taken. So a block's downsample convolution and its statistics follow its first convolution,
 * which reads the same input; in inference, where nothing is summed, it comes right before its use.
 * SPDX-License-Identifier: MIT */
#include "nn/network_private.h"

#include <stdlib.h>
#include <string.h>

enum { MICROBATCH_AUTO = 8, SIZE_MIN = 16, SIZE_MAX_PX = 4096, BATCH_MAX = 65536 };

static void conv(struct build *b, struct unit *u, const struct resnet_conv *c, int x)
{
    int d[4];

    u->conv = *c;
    u->x = x;
    u->weight = build_param(b, c->name, "weight");
    build_dims(b, x, d);
    d[1] = c->k;
    d[2] = (d[2] + 2 * c->pad - c->side) / c->stride + 1;
    d[3] = (d[3] + 2 * c->pad - c->side) / c->stride + 1;
    u->y = build_tensor(b, c->name, ".y", TENSOR_ACT, b->s->dtype, d);
    op_list_add(b->l, (struct op){.kind = OP_CONV,
                                  .in = {x, u->weight},
                                  .out = {u->y},
                                  .stride = c->stride,
                                  .pad = c->pad});
}

/* Sums of a batch norm, in training mode; the tensor that holds them. */
static int norm_stats(struct build *b, const char *norm, int y)
{
    int d[4], t;

    if (b->infer)
        return 0;
    build_dims(b, y, d);
    t = build_stat(b, norm, ".stat", d[1]);
    op_list_add(b->l, (struct op){.kind = OP_BN_STATS,
                                  .in = {y, build_param(b, norm, "running_mean"),
                                         build_param(b, norm, "running_var")},
                                  .out = {t}});
    return t;
}

/* MASK: a tensor for where the ReLU lets through, or 0. */
static int norm_apply(struct build *b, const char *norm, int y, int stats, bool relu, int residual,
                      int mask)
{
    int gamma = build_param(b, norm, "weight"), beta = build_param(b, norm, "bias");
    int z = build_like(b, norm, ".z", y);

    if (b->infer)
        op_list_add(b->l,
                    (struct op){.kind = OP_BN_INFER,
                                .in = {y, build_param(b, norm, "running_mean"),
                                       build_param(b, norm, "running_var"), gamma, beta, residual},
                                .out = {z},
                                .relu = relu});
    else
        op_list_add(b->l, (struct op){.kind = OP_BN_APPLY,
                                      .in = {y, stats, gamma, beta, residual},
                                      .out = {z, mask},
                                      .relu = relu});
    return z;
}

static void unit_stats(struct build *b, struct unit *u)
{
    u->stat = norm_stats(b, u->conv.norm, u->y);
    u->gamma = build_param(b, u->conv.norm, "weight");
}

static void unit_apply(struct build *b, struct unit *u, bool relu)
{
    u->z = norm_apply(b, u->conv.norm, u->y, u->stat, relu, 0, 0);
}

/* What says where the ReLU behind U's norm let its input through; the backward pass alone needs that. */
static int relu_mask(struct build *b, const struct unit *u)
{
    int d[4];

    if (b->infer)
        return 0;
    build_dims(b, u->y, d);
    d[1] /= 8;
    return build_tensor(b, u->conv.norm, ".mask", TENSOR_ACT, DTYPE_BITS, d);
}

/* A block's last norm, its shortcut added. */
static void block_apply(struct build *b, struct block *k, int shortcut)
{
    const struct unit *last = &k->units[k->n_units - 1];

    k->mask = relu_mask(b, last);
    k->z = norm_apply(b, last->conv.norm, last->y, last->stat, true, shortcut, k->mask);
}

static int input(struct build *b)
{
    const int d[4] = {b->s->batch, 3, b->s->size, b->s->size};
    int x = build_tensor(b, "x", "", TENSOR_ACT, b->s->dtype, d);

    if (b->s->augment)
        op_list_add(b->l, (struct op){.kind = OP_AUGMENT, .out = {x}});
    return x;
}

static int stem(struct build *b)
{
    struct unit *u = &b->stem;
    struct resnet_conv c;
    const bool pooled = resnet_stem(&c, b->n->arch);
    int d[4], p;

    conv(b, u, &c, input(b));
    unit_stats(b, u);
    if (!pooled) { /* the next two gradients meet here, as behind a block */
        b->stem_mask = relu_mask(b, u);
        return u->z = norm_apply(b, u->conv.norm, u->y, u->stat, true, 0, b->stem_mask);
    }
    unit_apply(b, u, true);
    build_dims(b, u->z, d);
    d[2] = (d[2] - 1) / 2 + 1;
    d[3] = (d[3] - 1) / 2 + 1;
    p = build_tensor(b, "maxpool", ".y", TENSOR_ACT, b->s->dtype, d);
    b->argmax = build_tensor(b, "maxpool", ".argmax", TENSOR_ACT, DTYPE_U8, d);
    op_list_add(b->l, (struct op){.kind = OP_MAX_POOL, .in = {u->z}, .out = {p, b->argmax}});
    return p;
}

static void downsample(struct build *b, struct block *k, const struct resnet_block *r, int x)
{
    conv(b, &k->down, &r->down, x);
    unit_stats(b, &k->down);
}

static int residual_block(struct build *b, int x, int layer, int block)
{
    struct block *k = &b->blocks[b->n_blocks++];
    struct resnet_block r;
    int from = x, shortcut = x;

    BUG_IF(b->n_blocks > MAX_BLOCKS);
    resnet_block(&r, b->n->arch, layer, block);
    k->n_units = r.n_convs;
    k->has_down = r.has_down;
    if (k->has_down && b->infer) { /* first, so that each norm follows its convolution: they fold */
        downsample(b, k, &r, x);
        unit_apply(b, &k->down, false);
    }
    for (int i = 0; i < k->n_units; i++) {
        struct unit *u = &k->units[i];

        conv(b, u, &r.convs[i], from);
        unit_stats(b, u);
        if (i == 0 && k->has_down && !b->infer)
            downsample(b, k, &r, x);
        if (i < k->n_units - 1) {
            unit_apply(b, u, true);
            from = u->z;
        }
    }
    if (k->has_down && !b->infer)
        unit_apply(b, &k->down, false);
    if (k->has_down)
        shortcut = k->down.z;
    block_apply(b, k, shortcut);
    return k->z;
}

/* Batch norm LAYER of the head and the dropout behind it. */
static int head_norm(struct build *b, int layer, int x)
{
    struct norm *m = &b->head.norms[layer];
    float rate = build_dropout(b, layer);
    int t;

    m->name = layer == 0 ? "head.0" : "head.2";
    m->x = x;
    m->stat = norm_stats(b, m->name, x);
    m->gamma = build_param(b, m->name, "weight");
    m->z = norm_apply(b, m->name, x, m->stat, false, 0, 0);
    b->head.dropped[layer] = m->z;
    if (!(rate > 0))
        return m->z;
    t = build_like(b, m->name, ".dropped", m->z);
    op_list_add(
        b->l,
        (struct op){.kind = OP_DROPOUT, .in = {m->z}, .out = {t}, .rate = rate, .layer = layer});
    b->head.dropped[layer] = t;
    return t;
}

static void head(struct build *b, int x)
{
    struct head *h = &b->head;
    const int one[4] = {b->s->batch, 1, 1, 1};
    int hidden, t, w, logits, prob, loss, d[4];

    h->pooled = build_vectors(b, "pooled", 2 * b->n->features, DTYPE_F32);
    h->argmax = build_vectors(b, "pooled.argmax", b->n->features, DTYPE_I32);
    op_list_add(b->l,
                (struct op){.kind = OP_CONCAT_POOL, .in = {x}, .out = {h->pooled, h->argmax}});
    t = head_norm(b, 0, h->pooled);
    w = build_param(b, "head.1", "weight");
    build_dims(b, w, d);
    hidden = build_vectors(b, "head.1.y", d[0], DTYPE_F32);
    op_list_add(b->l, (struct op){.kind = OP_LINEAR, .in = {t, w}, .out = {hidden}});
    h->relu = build_like(b, "head.1", ".z", hidden);
    op_list_add(b->l, (struct op){.kind = OP_RELU, .in = {hidden}, .out = {h->relu}});
    t = head_norm(b, 1, h->relu);
    w = build_param(b, "head.3", "weight");
    logits = build_vectors(b, "logits", b->n->classes, DTYPE_F32);
    op_list_add(b->l, (struct op){.kind = OP_LINEAR, .in = {t, w}, .out = {logits}});
    prob = build_like(b, "prob", "", logits);
    loss = build_tensor(b, "loss", "", TENSOR_ACT, DTYPE_F32, one);
    h->dlogits = b->infer ? 0 : build_like(b, "dlogits", "", logits);
    op_list_add(b->l, (struct op){.kind = OP_SOFTMAX_LOSS,
                                  .in = {logits},
                                  .out = {prob, loss, h->dlogits},
                                  .smoothing = b->infer ? 0 : (float)b->s->smoothing,
                                  .focal = b->infer ? 0 : (float)b->s->focal});
}

static void forward(struct build *b)
{
    int x = stem(b);

    for (int layer = 1; layer <= RESNET_LAYERS; layer++)
        for (int i = 0; i < resnet_of(b->n->arch)->blocks[layer - 1]; i++)
            x = residual_block(b, x, layer, i);
    if (!(b->infer && b->s->features))
        head(b, x);
}

int network_microbatch(int batch)
{
    int m = MICROBATCH_AUTO;

    while (batch % m)
        m--;
    return m;
}

static int check_shape(const struct network_shape *s, bool infer, struct err *err)
{
    const int least = infer || s->shared ? 1 : 2;

    if (s->batch < least || s->batch > BATCH_MAX)
        return err_set(err, ERR_INPUT, "a batch of %d pictures: it takes %d to %d%s", s->batch,
                       least, BATCH_MAX, infer ? "" : " to norm a batch");
    if (s->size < SIZE_MIN || s->size > SIZE_MAX_PX)
        return err_set(err, ERR_INPUT, "pictures of %d px: a network takes %d to %d", s->size,
                       SIZE_MIN, SIZE_MAX_PX);
    if (s->microbatch < 0 || (s->microbatch && s->batch % s->microbatch))
        return err_set(err, ERR_INPUT,
                       "exec.microbatch %d does not divide the batch of %d pictures: take a "
                       "divisor, or 0 for the largest up to %d",
                       s->microbatch, s->batch, MICROBATCH_AUTO);
    if (s->dtype != DTYPE_F32 && !dtype_is_16(s->dtype))
        return err_set(err, ERR_INPUT, "activations are fp32, bf16 or fp16, not %s",
                       dtype_name(s->dtype));
    BUG_IF(s->freeze_to < 0 || s->freeze_to > 2 || !(s->dropout >= 0 && s->dropout < 1));
    BUG_IF(s->parts < 0 || !(s->max_norm >= 0));
    return 0;
}

static int make(struct op_list **out, const struct network *n, const struct network_shape *s,
                bool infer, struct err *err)
{
    struct build *b;

    *out = NULL;
    if (check_shape(s, infer, err) < 0)
        return -1;
    b = calloc(1, sizeof *b);
    if (!b)
        return err_set(err, ERR_NOMEM, "network: %zu bytes", sizeof *b);
    b->n = n;
    b->s = s;
    b->infer = infer;
    b->l = op_list_new(s->batch, s->microbatch ? s->microbatch : network_microbatch(s->batch));
    if (!b->l) {
        err_set(err, ERR_NOMEM, "network: list of ops");
        goto fail;
    }
    forward(b);
    if (!infer) {
        build_backward(b);
        build_optimiser(b);
    }
    if (op_list_check(b->l, err) < 0)
        goto fail;
    *out = b->l;
    free(b);
    return 0;
fail:
    op_list_free(b->l);
    free(b);
    return err_wrap(err, "%s", arch_name(n->arch));
}

int network_train_list(struct op_list **out, const struct network *n, const struct network_shape *s,
                       struct err *err)
{
    return make(out, n, s, false, err);
}

int network_infer_list(struct op_list **out, const struct network *n, const struct network_shape *s,
                       struct err *err)
{
    return make(out, n, s, true, err);
}

int network_features(const struct network *n, const struct op_list *list)
{
    const int layer = resnet_last_layer(n->arch);
    struct resnet_block last;
    char name[64];

    resnet_block(&last, n->arch, layer, resnet_of(n->arch)->blocks[layer - 1] - 1);
    snprintf(name, sizeof name, "%s.z", last.convs[last.n_convs - 1].norm);
    return op_list_find(list, name);
}
