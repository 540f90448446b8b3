/* op_traits.c - the table of all kinds of ops. SPDX-License-Identifier: MIT */
#include "backend/op_traits.h"

#include <string.h>

enum { MAX_GROUPS = 8, MAX_FILTER = 255 };

#define SIZE(letter) (sizes[(letter) - 'a'])

/* ---- rules ----------------------------------------------------------------------------------- */

static const char *conv_rule(const struct op *o, const int sizes[OP_LETTERS])
{
    const int r = SIZE('r'), s = SIZE('s');

    if (o->stride < 1 || o->pad < 0 || o->stride > MAX_FILTER || o->pad > MAX_FILTER)
        return "stride must be at least 1 and pad at least 0";
    if (r > MAX_FILTER || s > MAX_FILTER)
        return "filter larger than 255";
    if (SIZE('h') + 2 * o->pad < r || SIZE('w') + 2 * o->pad < s || o->pad >= r || o->pad >= s)
        return "the filter does not fit into the padded input";
    return NULL;
}

static const char *bn_stats_rule(const struct op *o, const int sizes[OP_LETTERS])
{
    (void)sizes;
    return !o->in[1] != !o->in[2] ? "running mean and variance come together" : NULL;
}

static const char *bn_apply_rule(const struct op *o, const int sizes[OP_LETTERS])
{
    (void)sizes;
    return o->out[1] && !o->relu ? "a mask is of a relu" : NULL;
}

static const char *bn_bwd_stats_rule(const struct op *o, const int sizes[OP_LETTERS])
{
    (void)sizes;
    return !o->out[0] != !(o->in[1] || o->in[2])
               ? "g is written where dz2 or a mask is given, and only there"
               : NULL;
}

static const char *dropout_rule(const struct op *o, const int sizes[OP_LETTERS])
{
    if (!(o->rate >= 0.0f && o->rate < 1.0f))
        return "rate must lie in [0, 1)";
    if (o->layer < 0 || o->layer > 255 ||
        (size_t)SIZE('c') * (size_t)SIZE('h') * (size_t)SIZE('w') > 4 << 24)
        return "layer must lie in [0, 255], elements per picture below 2^26";
    return NULL;
}

static const char *loss_rule(const struct op *o, const int sizes[OP_LETTERS])
{
    (void)sizes;
    return o->smoothing >= 0.0f && o->smoothing < 1.0f && o->focal >= 0.0f
               ? NULL
               : "smoothing must lie in [0, 1), focal be at least 0";
}

static const char *norm_rule(const struct op *o, const int sizes[OP_LETTERS])
{
    (void)sizes;
    return o->max_norm > 0.0f ? NULL : "max_norm must be above 0";
}

static const char *group_rule(const struct op *o, const int sizes[OP_LETTERS])
{
    (void)sizes;
    return o->group < 0 || o->group >= MAX_GROUPS ? "group must lie in [0, 7]" : NULL;
}

/* ---- the table ------------------------------------------------------------------------------- */

// clang-format off
#define IMAGE    "n c h w"
#define POOLED   "n c p q"
#define OUTPUT   "n k p q"
#define FILTER   "k c/g r s"
#define MASK     "n c/8 h w"
#define ANY      "k c r s" /* a parameter's */
#define STAT     't', "2 c"
#define CHANGED  .changed = true
#define IN_PLACE .in_place = true

const struct op_traits op_traits[OP_KINDS] = {
    [OP_AUGMENT] = {PASS_FORWARD,
        {{0}}, {{"x", 'a', "n 3 h h"}}, "the step's pictures, each sampled through its map", .sums = ""},
    [OP_CONV] = {PASS_FORWARD,
        {{"x", 'a', IMAGE}, {"weight", 'p', FILTER}}, {{"y", 'a', OUTPUT}},
        "convolution; `stride`, `pad`", .window = WINDOW_OWN, .sums = "crs", .rule = conv_rule},
    [OP_BN_STATS] = {PASS_FORWARD,
        {{"y", 'a', IMAGE, VALUES_SPREAD}, {"running_mean", 'S', "c", VALUES_SPREAD, CHANGED},
         {"running_var", 'S', "c", VALUES_VARIANCE, CHANGED}}, {{"stat", STAT}},
        "mean, 1/sqrt(var + eps); running = 0.9 running + 0.1 of the batch, its variance unbiased",
        .sums = "nhw", .rule = bn_stats_rule},
    [OP_BN_APPLY] = {PASS_FORWARD,
        {{"y", 'a', IMAGE}, {"stat", STAT, VALUES_STAT}, {"gamma", 'p', "c"}, {"beta", 'p', "c", VALUES_SHIFT},
         {"residual", 'A', IMAGE, IN_PLACE}}, {{"z", 'a', IMAGE}, {"mask", 'B', MASK}},
        "ŷ gamma + beta + residual, through a ReLU where `relu`; mask: z > 0", .sums = "", .rule = bn_apply_rule},
    [OP_BN_INFER] = {PASS_FORWARD,
        {{"y", 'a', IMAGE}, {"mean", 's', "c"}, {"var", 's', "c", VALUES_VARIANCE}, {"gamma", 'p', "c"},
         {"beta", 'p', "c", VALUES_SHIFT}, {"residual", 'A', IMAGE}}, {{"z", 'a', IMAGE}},
        "the same from running statistics", .sums = ""},
    [OP_RELU] = {PASS_FORWARD, {{"x", 'a', IMAGE}}, {{"y", 'a', IMAGE}}, "max(x, 0)"},
    [OP_MAX_POOL] = {PASS_FORWARD,
        {{"x", 'a', IMAGE, VALUES_TIES}}, {{"y", 'a', POOLED}, {"argmax", 'u', POOLED}},
        "3×3, stride 2, pad 1; argmax = 3 r + s, the first maximum in row-major order", .window = WINDOW_POOL},
    [OP_CONCAT_POOL] = {PASS_FORWARD,
        {{"x", 'a', IMAGE, VALUES_TIES}}, {{"y", 'f', "n 2c"}, {"argmax", 'i', "n c"}},
        "maxima, then means; argmax: number of the pixel", .sums = "hw"},
    [OP_LINEAR] = {PASS_FORWARD,
        {{"x", 'a', "n c"}, {"weight", 'p', "k c"}}, {{"y", 'a', "n k"}}, "x weightᵀ", .sums = "c"},
    [OP_DROPOUT] = {PASS_FORWARD,
        {{"x", 'a', IMAGE}}, {{"y", 'a', IMAGE}},
        "x / (1 - `rate`) or 0, drawn by `layer`, position and epoch", .rule = dropout_rule},
    [OP_SOFTMAX_LOSS] = {PASS_FORWARD,
        {{"logits", 'a', "n k", VALUES_LOGITS}}, {{"prob", 'a', "n k"}, {"loss", 'f', "n"}, {"dlogits", 'A', "n k"}},
        "loss in nat (`elem_softmax_loss()`): `smoothing`, `focal`; dlogits of the mean over the step's pictures",
        .sums = "", .rule = loss_rule},

    [OP_LINEAR_BWD_DATA] = {PASS_BACKWARD,
        {{"dy", 'a', "n k"}, {"weight", 'p', "k c"}}, {{"dx", 'a', "n c"}}, "dy weight", .sums = "k"},
    [OP_LINEAR_BWD_WEIGHT] = {PASS_BACKWARD,
        {{"x", 'a', "n c"}, {"dy", 'a', "n k"}}, {{"dweight", 'g', "k c"}}, "dyᵀ x", .runs_last = true, .sums = "n"},
    [OP_DROPOUT_BWD] = {PASS_BACKWARD,
        {{"dy", 'a', IMAGE}}, {{"dx", 'a', IMAGE}}, "the draws of `dropout`: `rate`, `layer`", .rule = dropout_rule},
    [OP_RELU_BWD] = {PASS_BACKWARD,
        {{"dy", 'a', IMAGE}, {"y", 'a', IMAGE}}, {{"dx", 'a', IMAGE}}, "dy where y > 0, else 0"},
    [OP_CONCAT_POOL_BWD] = {PASS_BACKWARD,
        {{"dy", 'f', "n 2c"}, {"argmax", 'i', "n c", VALUES_PIXEL}}, {{"dx", 'a', IMAGE}},
        "dy of the maximum to its pixel, of the mean to all", .sums = ""},
    [OP_MAX_POOL_BWD] = {PASS_BACKWARD,
        {{"dy", 'a', POOLED}, {"dy2", 'A', POOLED}, {"argmax", 'u', POOLED, VALUES_TAP}}, {{"dx", 'a', IMAGE}},
        "dy + dy2, scattered by argmax", .window = WINDOW_POOL, .sums = ""},
    [OP_BN_BWD_STATS] = {PASS_BACKWARD,
        {{"dz", 'a', IMAGE}, {"dz2", 'A', IMAGE, IN_PLACE}, {"mask", 'B', MASK}, {"y", 'a', IMAGE},
         {"stat", STAT, VALUES_STAT}},
        {{"g", 'A', IMAGE}, {"bstat", STAT}, {"dgamma", 'g', "c"}, {"dbeta", 'g', "c"}},
        "g = dz + dz2 where the mask is set, else 0: written where dz2 or mask is given; bstat = sum g, sum g ŷ; "
        "dbeta, dgamma the same", .sums = "nhw", .rule = bn_bwd_stats_rule},
    [OP_BN_BWD_APPLY] = {PASS_BACKWARD,
        {{"g", 'a', IMAGE}, {"y", 'a', IMAGE}, {"stat", STAT, VALUES_STAT}, {"bstat", STAT}, {"gamma", 'p', "c"}},
        {{"dy", 'a', IMAGE}}, "gamma rstd (g - bstat₀/m - ŷ bstat₁/m), m = n h w", .sums = ""},
    [OP_BN_RELU_BWD_STATS] = {PASS_BACKWARD,
        {{"dz", 'a', IMAGE}, {"y", 'a', IMAGE}, {"stat", STAT, VALUES_STAT}, {"gamma", 'p', "c"},
         {"beta", 'p', "c", VALUES_SHIFT}}, {{"bstat", STAT}, {"dgamma", 'g', "c"}, {"dbeta", 'g', "c"}},
        "as bn_bwd_stats, of g = dz where ŷ gamma + beta > 0, else 0", .decides = true, .sums = "nhw"},
    [OP_BN_RELU_BWD_APPLY] = {PASS_BACKWARD,
        {{"dz", 'a', IMAGE}, {"y", 'a', IMAGE}, {"stat", STAT, VALUES_STAT}, {"bstat", STAT}, {"gamma", 'p', "c"},
         {"beta", 'p', "c", VALUES_SHIFT}}, {{"dy", 'a', IMAGE}},
        "as bn_bwd_apply, of the same g: neither z nor g is stored", .decides = true, .sums = ""},
    [OP_CONV_BWD_DATA] = {PASS_BACKWARD,
        {{"dy", 'a', OUTPUT}, {"weight", 'p', FILTER}}, {{"dx", 'a', IMAGE}},
        "the input's gradient; `stride`, `pad`", .window = WINDOW_OWN, .sums = "krs", .rule = conv_rule},
    [OP_CONV_BWD_WEIGHT] = {PASS_BACKWARD,
        {{"x", 'a', IMAGE}, {"dy", 'a', OUTPUT}}, {{"dweight", 'g', FILTER}},
        "the weight's gradient; `stride`, `pad`", .runs_last = true, .window = WINDOW_OWN, .sums = "npq",
        .rule = conv_rule},

    [OP_GRAD_SUM] = {PASS_OPTIMISER,
        {{"grad", 'g', ANY}, {"levels", 's', "l e", CHANGED}}, {{"sum", 'g', ANY}},
        "over the parts of a step, in the tree of the microbatches, valid in the last; 2^l ≥ parts",
        .every_part = true, .sums = ""},
    [OP_GRAD_NORM] = {PASS_OPTIMISER,
        {{0}}, {{"clip", 't', "1"}}, "min(1, `max_norm` / (\\|g\\| + 1e-6)), g every gradient of adam and sgd",
        .whole_list = true, .sums = "", .rule = norm_rule},
    [OP_ADAM] = {PASS_OPTIMISER,
        {{"grad", 'g', ANY}, {"param", 'p', ANY, CHANGED}, {"m", 's', ANY, CHANGED},
         {"v", 's', ANY, VALUES_SQUARES, CHANGED}, {"clip", 'T', "1"}}, {{0}},
        "Adam's step by clip grad; `group` of the learning rates, `decay`", .update = true, .sums = "",
        .rule = group_rule},
    [OP_SGD] = {PASS_OPTIMISER,
        {{"grad", 'g', ANY}, {"param", 'p', ANY, CHANGED}, {"m", 's', ANY, CHANGED}, {"clip", 'T', "1"}}, {{0}},
        "SGD's step by clip grad; `group`, `decay`, `nesterov`", .update = true, .sums = "", .rule = group_rule},
    [OP_EMA] = {PASS_OPTIMISER,
        {{"x", 'e', ANY}, {"average", 's', ANY, CHANGED}}, {{0}}, "average += (1 - ema_decay) (x - average)"},
};
// clang-format on

const char *op_kind_name(enum op_kind k)
{
#define NAME(KIND, name) [OP_##KIND] = #name,
    static const char *const names[OP_KINDS] = {OP_EACH(NAME)};

    return (unsigned)k < OP_KINDS ? names[k] : "unknown";
}

bool op_is_update(enum op_kind k)
{
    return op_traits[k].update;
}

bool op_is_optimiser(enum op_kind k)
{
    return op_traits[k].pass == PASS_OPTIMISER;
}

bool op_sums_batch(enum op_kind k)
{
    for (int i = 0; i < OP_MAX_OUT; i++)
        if (op_traits[k].out[i].role == 't')
            return !op_is_optimiser(k);
    return false;
}

int op_in_place(const struct op *o)
{
    for (int i = 0; i < OP_MAX_IN; i++)
        if (op_traits[o->kind].in[i].in_place)
            return o->in[i];
    return 0;
}

bool op_runs(const struct op *o, const struct step *s)
{
    if (s->only && !(s->only >> o->kind & 1))
        return false;
    return !op_is_optimiser(o->kind) || op_traits[o->kind].every_part || step_is_last(s);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

/* A number or letter at *AT, which moves behind it; 1 where there is neither. */
static int factor(const char **at, const int sizes[OP_LETTERS])
{
    if (**at >= '0' && **at <= '9')
        return *(*at)++ - '0';
    return is_letter(**at) ? sizes[*(*at)++ - 'a'] : 1;
}

void op_shape(int d[4], const char *shape, const int sizes[OP_LETTERS])
{
    for (int i = 0; i < 4; i++) {
        d[i] = factor(&shape, sizes);
        d[i] *= factor(&shape, sizes);
        if (*shape == '/') {
            shape++;
            d[i] /= factor(&shape, sizes);
        }
        shape += *shape == ' ';
    }
}

void op_sizes_bind(int sizes[OP_LETTERS], const char *shape, const int d[4])
{
    const char *derived = "pqe";

    for (int i = 0; *shape; i++) {
        const size_t length = strcspn(shape, " ");

        if (length == 1 && is_letter(*shape) && !strchr(derived, *shape) && SIZE(*shape) == 0)
            SIZE(*shape) = d[i];
        shape += length;
        shape += *shape == ' ';
    }
}

void op_sizes_derive(int sizes[OP_LETTERS], const struct op *o)
{
    const bool pool = op_traits[o->kind].window == WINDOW_POOL;
    const int r = pool ? 3 : SIZE('r'), s = pool ? 3 : SIZE('s');
    const int pad = pool ? 1 : o->pad, stride = pool ? 2 : o->stride;

    if (op_traits[o->kind].window != WINDOW_NONE) {
        SIZE('p') = (SIZE('h') + 2 * pad - r) / stride + 1;
        SIZE('q') = (SIZE('w') + 2 * pad - s) / stride + 1;
    }
    SIZE('e') =
        (int)((size_t)SIZE('k') * (size_t)SIZE('c') * (size_t)SIZE('r') * (size_t)SIZE('s'));
}
