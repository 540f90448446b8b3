/* network_backward.c - the backward list, derived by hand.
 *
 * Each weight gradient follows the data gradient of the same convolution, whose dy is still in cache;
 * a block's last data gradients stand before the sums that read them.
 * SPDX-License-Identifier: MIT */
#include "nn/network_private.h"

/* The two batch-wide sums behind norm NAME; *g is what flows into it: the sum of dz and dz2 where MASK lets it
 * through. DZ2 and MASK are 0 where there is none. */
static int norm_bwd_stats(struct build *b, const char *name, int dz, int dz2, int mask, int y,
                          int stats, int *g)
{
    int d[4], bstat, sum = dz2 || mask ? build_like(b, name, ".g", y) : 0;

    build_dims(b, y, d);
    *g = sum ? sum : dz;
    bstat = build_stat(b, name, ".bstat", d[1]);
    op_list_add(b->l, (struct op){.kind = OP_BN_BWD_STATS,
                                  .in = {dz, dz2, mask, y, stats},
                                  .out = {sum, bstat, build_gradient(b, name, "weight"),
                                          build_gradient(b, name, "bias")}});
    return bstat;
}

static int norm_bwd_apply(struct build *b, const char *name, int g, int y, int stats, int bstat,
                          int gamma)
{
    int dy = build_like(b, name, ".dy", y);

    op_list_add(
        b->l, (struct op){.kind = OP_BN_BWD_APPLY, .in = {g, y, stats, bstat, gamma}, .out = {dy}});
    return dy;
}

/* Through a convolution whose output's gradient is DY: the gradient of its input, 0 when WANT_DX is
 * false. */
static int conv_bwd(struct build *b, const struct unit *u, int dy, bool want_dx)
{
    int dx = 0;

    if (want_dx) {
        dx = build_like(b, u->conv.name, ".dx", u->x);
        op_list_add(b->l, (struct op){.kind = OP_CONV_BWD_DATA,
                                      .in = {dy, u->weight},
                                      .out = {dx},
                                      .stride = u->conv.stride,
                                      .pad = u->conv.pad});
    }
    if (build_trains_weight(b, u->conv.name))
        op_list_add(b->l, (struct op){.kind = OP_CONV_BWD_WEIGHT,
                                      .in = {u->x, dy},
                                      .out = {build_gradient(b, u->conv.name, "weight")},
                                      .stride = u->conv.stride,
                                      .pad = u->conv.pad});
    return dx;
}

/* The same through the norm behind it, whose sums are BSTAT. */
static int unit_bwd(struct build *b, const struct unit *u, int g, int bstat)
{
    return conv_bwd(b, u, norm_bwd_apply(b, u->conv.norm, g, u->y, u->stat, bstat, u->gamma), true);
}

/* The same from the gradient of its norm's output behind a ReLU, nothing being added in between: the ReLU's mask is
 * made from y again, so that its output need not be kept. */
static int relu_unit_bwd(struct build *b, const struct unit *u, int dz, bool want_dx)
{
    int d[4], bstat, dy, beta = build_param(b, u->conv.norm, "bias");

    build_dims(b, u->y, d);
    bstat = build_stat(b, u->conv.norm, ".bstat", d[1]);
    op_list_add(b->l, (struct op){.kind = OP_BN_RELU_BWD_STATS,
                                  .in = {dz, u->y, u->stat, u->gamma, beta},
                                  .out = {bstat, build_gradient(b, u->conv.norm, "weight"),
                                          build_gradient(b, u->conv.norm, "bias")}});
    if (!want_dx && !build_trains_weight(b, u->conv.name))
        return 0;
    dy = build_like(b, u->conv.norm, ".dy", u->y);
    op_list_add(b->l, (struct op){.kind = OP_BN_RELU_BWD_APPLY,
                                  .in = {dz, u->y, u->stat, bstat, u->gamma, beta},
                                  .out = {dy}});
    return conv_bwd(b, u, dy, want_dx);
}

/* The gradient of a block's output is *dz + *dz2 (*dz2 may be 0); then that of its input. */
static void block_bwd(struct build *b, const struct block *k, int *dz, int *dz2)
{
    const struct unit *last = &k->units[k->n_units - 1];
    int g, shortcut, bstat, down_bstat = 0, dx;

    bstat = norm_bwd_stats(b, last->conv.norm, *dz, *dz2, k->mask, last->y, last->stat, &g);
    shortcut = g;
    if (k->has_down)
        down_bstat =
            norm_bwd_stats(b, k->down.conv.norm, g, 0, 0, k->down.y, k->down.stat, &shortcut);
    dx = unit_bwd(b, last, g, bstat);
    for (int i = k->n_units - 2; i >= 0; i--)
        dx = relu_unit_bwd(b, &k->units[i], dx, true);
    if (k->has_down)
        shortcut = unit_bwd(b, &k->down, shortcut, down_bstat);
    *dz = dx;
    *dz2 = shortcut;
}

static int linear_bwd(struct build *b, const char *name, int x, int dy)
{
    int w = build_param(b, name, "weight"), dx = build_like(b, name, ".dx", x);

    op_list_add(b->l, (struct op){.kind = OP_LINEAR_BWD_DATA, .in = {dy, w}, .out = {dx}});
    if (build_trains_weight(b, name))
        op_list_add(b->l, (struct op){.kind = OP_LINEAR_BWD_WEIGHT,
                                      .in = {x, dy},
                                      .out = {build_gradient(b, name, "weight")}});
    return dx;
}

static int head_norm_bwd(struct build *b, int layer, int d)
{
    const struct norm *m = &b->head.norms[layer];
    float rate = build_dropout(b, layer);
    int g, bstat, t;

    if (rate > 0) {
        t = build_like(b, m->name, ".dz", d);
        op_list_add(
            b->l, (struct op){
                      .kind = OP_DROPOUT_BWD, .in = {d}, .out = {t}, .rate = rate, .layer = layer});
        d = t;
    }
    bstat = norm_bwd_stats(b, m->name, d, 0, 0, m->x, m->stat, &g);
    return norm_bwd_apply(b, m->name, g, m->x, m->stat, bstat, m->gamma);
}

static int head_bwd(struct build *b, int features)
{
    const struct head *h = &b->head;
    int d = head_norm_bwd(b, 1, linear_bwd(b, "head.3", h->dropped[1], h->dlogits)), t;

    t = build_like(b, "head.1", ".dy", d);
    op_list_add(b->l, (struct op){.kind = OP_RELU_BWD, .in = {d, h->relu}, .out = {t}});
    d = head_norm_bwd(b, 0, linear_bwd(b, "head.1", h->dropped[0], t));
    t = build_like(b, "pooled", ".dx", features);
    op_list_add(b->l, (struct op){.kind = OP_CONCAT_POOL_BWD, .in = {d, h->argmax}, .out = {t}});
    return t;
}

/* The gradient of what the stem gives is DZ + DZ2. */
static void stem_bwd(struct build *b, int dz, int dz2)
{
    const struct unit *u = &b->stem;
    int pool, g, bstat;

    if (!b->argmax) { /* no max pool */
        bstat = norm_bwd_stats(b, u->conv.norm, dz, dz2, b->stem_mask, u->y, u->stat, &g);
        if (build_trains_weight(b, u->conv.name))
            conv_bwd(b, u, norm_bwd_apply(b, u->conv.norm, g, u->y, u->stat, bstat, u->gamma),
                     false);
        return;
    }
    pool = build_like(b, "maxpool", ".dx", u->z);
    op_list_add(b->l,
                (struct op){.kind = OP_MAX_POOL_BWD, .in = {dz, dz2, b->argmax}, .out = {pool}});
    relu_unit_bwd(b, u, pool, false);
}

void build_backward(struct build *b)
{
    int dz = head_bwd(b, b->blocks[b->n_blocks - 1].z), dz2 = 0;

    for (int i = b->n_blocks - 1; i >= 0; i--)
        block_bwd(b, &b->blocks[i], &dz, &dz2);
    stem_bwd(b, dz, dz2);
}

/* Tensor PREFIX then SUFFIX; 0 where memory ran out before it: op_list_check() will say so. */
static int find(const struct build *b, const char *prefix, const char *suffix)
{
    char name[80];

    snprintf(name, sizeof name, "%s%s", prefix, suffix);
    return op_list_find(b->l, name);
}

/* The gradient of P over all the runs of a step. */
static void add_up(struct build *b, const struct param *p)
{
    int grad = find(b, p->name, ".grad"), d[4], stack[4] = {1, (int)p->n, 1, 1};

    if (!grad)
        return;
    for (int before = b->s->parts - 1; before >>= 1;) /* as many wait as PARTS - 1 has bits */
        stack[0]++;
    build_dims(b, grad, d);
    op_list_add(
        b->l, (struct op){
                  .kind = OP_GRAD_SUM,
                  .in = {grad, build_tensor(b, p->name, ".levels", TENSOR_STATE, DTYPE_F32, stack)},
                  .out = {build_tensor(b, p->name, ".sum", TENSOR_GRAD, DTYPE_F32, d)}});
}

static int clip(struct build *b)
{
    const int one[4] = {1, 1, 1, 1};
    int t;

    if (!(b->s->max_norm > 0))
        return 0;
    t = build_tensor(b, "clip", "", TENSOR_STAT, DTYPE_F64, one);
    op_list_add(b->l,
                (struct op){.kind = OP_GRAD_NORM, .out = {t}, .max_norm = (float)b->s->max_norm});
    return t;
}

static void update(struct build *b, const struct param *p, int factor)
{
    int grad = find(b, p->name, b->s->parts > 1 ? ".sum" : ".grad"), w = find(b, p->name, "");
    int m, v, d[4];

    if (!grad || !w)
        return;
    build_dims(b, w, d);
    m = build_tensor(b, p->name, ".m", TENSOR_STATE, DTYPE_F32, d);
    if (b->s->sgd) {
        op_list_add(b->l, (struct op){.kind = OP_SGD,
                                      .in = {grad, w, m, factor},
                                      .group = p->group,
                                      .decay = !p->norm,
                                      .nesterov = b->s->nesterov});
        return;
    }
    v = build_tensor(b, p->name, ".v", TENSOR_STATE, DTYPE_F32, d);
    op_list_add(b->l, (struct op){.kind = OP_ADAM,
                                  .in = {grad, w, m, v, factor},
                                  .group = p->group,
                                  .decay = !p->norm});
}

/* Of frozen parameters, too: what does not change has itself for an average, bit for bit. */
static void average(struct build *b, const struct param *p)
{
    int x = find(b, p->name, ""), d[4];

    if (!x)
        return;
    build_dims(b, x, d);
    op_list_add(
        b->l, (struct op){.kind = OP_EMA,
                          .in = {x, build_tensor(b, p->name, ".ema", TENSOR_STATE, DTYPE_F32, d)}});
}

/* One kind of op after the other: each kind is one pass over all parameters. */
void build_optimiser(struct build *b)
{
    const struct network *n = b->n;
    int factor;

    for (int i = 0; b->s->parts > 1 && i < n->n_params; i++)
        if (build_trains(b, &n->params[i]))
            add_up(b, &n->params[i]);
    factor = clip(b);
    for (int i = 0; i < n->n_params; i++)
        if (build_trains(b, &n->params[i]))
            update(b, &n->params[i], factor);
    for (int i = 0; b->s->averages && i < n->n_params; i++)
        average(b, &n->params[i]);
}
