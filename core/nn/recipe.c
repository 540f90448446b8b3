/* recipe.c - phases, schedules, the smoothed loss; the keys train.* and optim.*.
 *
 * Formulas are fastai's callback/schedule.py and optimizer.py, in double.
 * SPDX-License-Identifier: MIT */
#include "nn/recipe.h"

#include <math.h>
#include <string.h>

#include "base/real.h"

enum { GROUPS = 3, BODY_FROZEN = 2, EPOCHS_MAX = 100000 };

static const char *const kind_names[] = {"one_cycle", "fine_tune", "flat_cos",
                                         "constant",  "sgdr",      NULL};
static const char *const finish_names[] = {"last", "best", NULL};
static const char *const precision_names[] = {"fp32", "bf16", "fp16", NULL};
/* fastai's Adam decouples its decay, as torch.optim.AdamW does, with the same formula: two names for one optimiser. */
static const char *const optim_names[] = {"adam", "adamw", "sgd", NULL};

// clang-format off
/* -1 and an empty list mean "not given". */
static const struct key phase_rows[] = {
    KEY_CHOICE(struct phase_options, kind, "kind", "one_cycle", kind_names,
               "schedule; fine_tune is a frozen cycle of the head, then a cycle of everything"),
    KEY_INT(struct phase_options, epochs, "epochs", "0", 0, 100000, "epochs",
            "length; required, except that the cycles of sgdr give it (fine_tune: of the part with "
            "everything trained)"),
    KEY_INT(struct phase_options, freeze_epochs, "freeze_epochs", "-1", -1, 100000, "epochs",
            "fine_tune: length of the frozen part; -1: 1"),
    KEY_F64(struct phase_options, base_lr, "base_lr", "-1", -1, 100, "1",
            "fine_tune: the head's peak rate while frozen, half of it afterwards; -1: 2e-3"),
    KEY_F64(struct phase_options, lr_mult, "lr_mult", "-1", -1, 1e9, "1",
            "fine_tune: the head's rate over the first group's after unfreezing; -1: 100"),
    KEY_F64S(struct phase_options, lr, "lr", "", 0, 100, "1",
             "peak rate: one for all groups; [a, b], fastai's slice(a, b), from the first group to the "
             "last, geometric between; [a, b, c], one for each group; none: optim.lr"),
    KEY_BOOL(struct phase_options, freeze, "freeze", "false",
             "train the head and the batch norms only"),
    KEY_F64(struct phase_options, div, "div", "-1", -1, 1e12, "1",
            "the cycle starts at the peak rate divided by this; -1: 25, fine_tune 5"),
    KEY_F64(struct phase_options, div_final, "div_final", "-1", -1, 1e12, "1",
            "the cycle ends at the peak rate divided by this; -1: 1e5"),
    KEY_F64(struct phase_options, pct_start, "pct_start", "-1", -1, 1, "1",
            "share of the phase before the rate falls; -1: 0.25, fine_tune 0.3, flat_cos 0.75"),
    KEY_INT(struct phase_options, cycles, "cycles", "-1", -1, 64, "1",
            "sgdr: number of cycles, in each of which the rate falls from lr; -1: 1"),
    KEY_INT(struct phase_options, cycle_len, "cycle_len", "-1", -1, 100000, "epochs",
            "sgdr: length of the first cycle; -1: 1"),
    KEY_INT(struct phase_options, cycle_mult, "cycle_mult", "-1", -1, 100, "1",
            "sgdr: each cycle is this many times as long as the one before; -1: 2"),
    KEY_INT(struct phase_options, size, "size", "0", 0, 4096, "px",
            "side of the pictures in this phase; 0: train.size"),
    KEY_INT(struct phase_options, batch, "batch", "0", 0, 65536, "pictures",
            "pictures per step in this phase; 0: train.batch"),
    KEY_END,
};

const struct key train_keys[] = {
    KEY_INT(struct train_options, batch, "train.batch", "64", 2, 65536, "pictures",
            "pictures per batch; the last batch of an epoch is dropped where it is smaller"),
    KEY_INT(struct train_options, accumulate, "train.accumulate", "1", 1, 4096, "batches",
            "gradient accumulation: batches per optimiser step; the effective batch is train.batch times this"),
    KEY_INT(struct train_options, size, "train.size", "224", 16, 4096, "px",
            "side of the square pictures the network sees"),
    KEY_INT(struct train_options, valid_size, "train.valid_size", "0", 0, 4096, "px",
            "side of the pictures in validation and prediction, larger than in training is common (FixRes); 0: as "
            "in training",
            .since = 2, .implied = "0"),
    KEY_CHOICE(struct train_options, precision, "train.precision", "fp32", precision_names,
               "type of the body's activations; sums, weights and the head are fp32 or wider"),
    KEY_F64(struct train_options, max_norm, "train.clip", "0", 0, 1e9, "1",
            "gradient clipping: largest norm of the gradient; 0: no clipping"),
    KEY_F64(struct train_options, ema, "train.ema", "0", 0, 0.999999, "1",
            "decay per step of EMA weights, which validation and prediction use; 0: no EMA"),
    KEY_F64(struct train_options, checkpoint_minutes, "train.checkpoint_minutes", "10", 0, 100000, "min",
            "time between checkpoints inside an epoch, besides those at its end; 0: none",
            .flags = KEY_NO_RESULT),
    KEY_F64(struct train_options, loss.smoothing, "train.loss.smoothing", "0", 0, 0.99, "1",
            "label smoothing: share of the label that is spread evenly over all classes"),
    KEY_F64(struct train_options, loss.focal, "train.loss.focal", "0", 0, 20, "1",
            "focal loss: gamma, 2 is common; 0: cross-entropy"),
    KEY_STR(struct train_options, loss.class_weights, "train.loss.class_weights", "none",
            "none, balanced (rare classes weigh more), or a FILE with the columns class and weight"),
    KEY_CHOICE(struct train_options, watch.monitor, "train.monitor", "valid_loss", monitor_keys,
               "metric that chooses the best epoch and that early_stop and plateau watch; higher "
               "is better for " MONITORS_HIGHER "lower for the rest"),
    KEY_F64(struct train_options, watch.min_delta, "train.min_delta", "0", 0, 1e9, "1",
            "smallest improvement that early_stop and plateau count"),
    KEY_INT(struct train_options, watch.early_stop, "train.early_stop", "0", 0, 100000, "epochs",
            "a phase ends after this many epochs in a row without improvement; 0: never"),
    KEY_INT(struct train_options, watch.plateau, "train.plateau", "0", 0, 100000, "epochs",
            "the rate of a constant phase falls after this many epochs without improvement; 0: never"),
    KEY_F64(struct train_options, watch.plateau_factor, "train.plateau_factor", "10", 1, 1e9, "1",
            "the factor by which plateau divides the rate"),
    KEY_CHOICE(struct train_options, watch.finish, "train.finish", "last", finish_names,
               "weights that make the run's final predictions"),
    KEY_LIST(struct train_options, phases_list, phases, "train.phases", phase_rows,
             "the phases of the training, in order"),
    KEY_END,
};

const struct key optim_keys[] = {
    KEY_CHOICE(struct optim_options, name, "optim.name", "adam", optim_names,
               "optimiser. adam: fastai's, with decoupled weight decay; adamw: the same, by "
               "PyTorch's name; sgd: PyTorch's, with momentum"),
    KEY_F64(struct optim_options, lr, "optim.lr", "1e-3", 0, 100, "1",
            "peak learning rate of phases without a rate of their own"),
    KEY_F64(struct optim_options, wd, "optim.wd", "0.01", 0, 1, "1",
            "weight decay, never of batch norms; decoupled; with sgd added to the gradient (1e-4 is common)"),
    KEY_F64(struct optim_options, mom, "optim.mom", "0.9", 0, 0.9999, "1",
            "Adam's beta1 (decay of the gradient's mean) or sgd's momentum, where the schedule has none "
            "(flat_cos, constant)"),
    KEY_F64S(struct optim_options, moms, "optim.moms", "[0.95, 0.85, 0.95]", 0, 0.9999, "1",
             "optim.mom at the start, the peak and the end of a cycle"),
    KEY_F64(struct optim_options, sqr_mom, "optim.sqr_mom", "0.99", 0, 0.999999, "1",
            "Adam's beta2 (decay of the squared gradient's mean)"),
    KEY_F64(struct optim_options, eps, "optim.eps", "1e-5", 1e-12, 1, "1",
            "added to the root of the squared gradient's mean"),
    KEY_BOOL(struct optim_options, nesterov, "optim.nesterov", "false",
             "sgd: Nesterov's momentum", .since = 2, .implied = "false"),
    KEY_END,
};
// clang-format on

/* a (b/a)^(i/2) for the three groups. */
static void even_mults(double lr[GROUPS], double a, double b)
{
    for (int i = 0; i < GROUPS; i++)
        lr[i] = i == 0 ? a : i == GROUPS - 1 ? b : a * real_pow(b / a, (double)i / (GROUPS - 1));
}

static double given(double value, double preset)
{
    return value < 0 ? preset : value;
}

static int bad(struct err *err, int i, const char *key, const char *what)
{
    return err_set(err, ERR_INPUT, "train.phases.%d.%s: %s", i, key, what);
}

static int phase_rates(struct run_phase *p, const struct phase_options *o, int i, double lr,
                       struct err *err)
{
    for (int k = 0; k < o->lr.n; k++)
        if (!(o->lr.v[k] > 0))
            return bad(err, i, "lr", "every rate must be above 0");
    switch (o->lr.n) {
    case 0:
        even_mults(p->lr, lr, lr);
        return 0;
    case 1:
        even_mults(p->lr, o->lr.v[0], o->lr.v[0]);
        return 0;
    case 2:
        even_mults(p->lr, o->lr.v[0], o->lr.v[1]);
        return 0;
    case GROUPS:
        memcpy(p->lr, o->lr.v, sizeof p->lr);
        return 0;
    default:
        return err_set(err, ERR_INPUT,
                       "train.phases.%d.lr: %d rates for %d parameter groups (conv1 to layer2, "
                       "layer3 to layer4, head): give 1, 2 or %d",
                       i, o->lr.n, GROUPS, GROUPS);
    }
}

/* What only one kind of phase understands must not be given to another. */
static int check_kind(const struct phase_options *o, int i, struct err *err)
{
    bool cycle = o->kind == PHASE_ONE_CYCLE || o->kind == PHASE_FINE_TUNE;

    if (o->kind == PHASE_FINE_TUNE) {
        if (o->lr.n > 0)
            return bad(err, i, "lr", "fine_tune takes base_lr and lr_mult instead");
        if (o->freeze)
            return bad(err, i, "freeze", "fine_tune freezes its first part by itself");
    } else {
        if (o->freeze_epochs >= 0)
            return bad(err, i, "freeze_epochs", "only fine_tune has a frozen part");
        if (o->base_lr >= 0)
            return bad(err, i, "base_lr", "only fine_tune has it; give lr");
        if (o->lr_mult >= 0)
            return bad(err, i, "lr_mult", "only fine_tune has it; give two rates in lr");
    }
    if (o->kind != PHASE_SGDR && (o->cycles >= 0 || o->cycle_len >= 0 || o->cycle_mult >= 0))
        return bad(err, i,
                   o->cycles >= 0      ? "cycles"
                   : o->cycle_len >= 0 ? "cycle_len"
                                       : "cycle_mult",
                   "only sgdr has it");
    if (!cycle && o->div >= 0)
        return bad(err, i, "div", "only one_cycle and fine_tune have it");
    if ((o->kind == PHASE_CONSTANT || o->kind == PHASE_SGDR) && o->div_final >= 0)
        return bad(err, i, "div_final", "a constant or sgdr phase has none");
    if ((o->kind == PHASE_CONSTANT || o->kind == PHASE_SGDR) && o->pct_start >= 0)
        return bad(err, i, "pct_start", "a constant or sgdr phase has none");
    return 0;
}

/* Epochs of all cycles; 0 when they are more than a phase may have. */
static int64_t sgdr_epochs(const struct phase_options *o)
{
    int64_t length = o->cycle_len < 0 ? 1 : o->cycle_len, total = 0;

    for (int64_t i = 0; i < (o->cycles < 0 ? 1 : o->cycles); i++) {
        total += length;
        length *= o->cycle_mult < 0 ? 2 : o->cycle_mult;
        if (total > EPOCHS_MAX || length > INT32_MAX)
            return 0;
    }
    return total;
}

static int check_sgdr(const struct phase_options *o, int i, struct err *err)
{
    if (o->epochs != 0)
        return bad(err, i, "epochs",
                   "sgdr lasts as long as its cycles: give cycles, cycle_len, cycle_mult");
    if (o->cycles == 0 || o->cycle_len == 0 || o->cycle_mult == 0)
        return bad(err, i,
                   o->cycles == 0      ? "cycles"
                   : o->cycle_len == 0 ? "cycle_len"
                                       : "cycle_mult",
                   "must be at least 1");
    if (sgdr_epochs(o) == 0)
        return bad(err, i, "cycles", "more than 100000 epochs in all");
    return 0;
}

static int check_phase(const struct phase_options *o, int i, struct err *err)
{
    if (o->kind == PHASE_SGDR && check_sgdr(o, i, err) < 0)
        return -1;
    if (o->kind != PHASE_SGDR && o->epochs < 1)
        return bad(err, i, "epochs", "must be given and at least 1");
    if (o->base_lr == 0 || o->lr_mult == 0)
        return bad(err, i, o->base_lr == 0 ? "base_lr" : "lr_mult", "must be above 0");
    if (o->div == 0 || o->div_final == 0)
        return bad(err, i, o->div == 0 ? "div" : "div_final", "must be above 0");
    if (o->size > 0 && o->size < 16)
        return bad(err, i, "size", "a network takes pictures of at least 16 px");
    if (o->batch == 1)
        return bad(err, i, "batch", "a batch norm takes at least 2 pictures");
    return check_kind(o, i, err);
}

static struct run_phase begin_phase(const struct phase_options *o, const struct train_options *t,
                                    const struct optim_options *optim)
{
    bool cycle = o->kind == PHASE_ONE_CYCLE || o->kind == PHASE_FINE_TUNE;
    struct run_phase p = {.kind = cycle ? PHASE_ONE_CYCLE : o->kind,
                          .epochs = (int)(o->kind == PHASE_SGDR ? sgdr_epochs(o) : o->epochs),
                          .cycle_len = (int)(o->cycle_len < 0 ? 1 : o->cycle_len),
                          .cycle_mult = (int)(o->cycle_mult < 0 ? 2 : o->cycle_mult),
                          .size = (int)(o->size ? o->size : t->size),
                          .batch = (int)(o->batch ? o->batch : t->batch),
                          .valid_size = (int)t->valid_size,
                          .div = given(o->div, 25),
                          .div_final = given(o->div_final, 1e5),
                          .freeze_to = o->freeze ? BODY_FROZEN : 0};

    if (p.valid_size == 0)
        p.valid_size = p.size;
    p.pct_start = given(o->pct_start, o->kind == PHASE_FLAT_COS ? 0.75 : 0.25);
    for (int k = 0; k < 3; k++)
        p.moms[k] = cycle ? optim->moms.v[optim->moms.n == 1 ? 0 : k] : optim->mom;
    return p;
}

/* fastai's fine_tune: keys of the schedule go to the second part, div_final to both. */
static void expand_fine_tune(struct run_phase *phases, int *n, const struct phase_options *o,
                             struct run_phase p)
{
    double lr = given(o->base_lr, 2e-3);
    int64_t freeze_epochs = o->freeze_epochs < 0 ? 1 : o->freeze_epochs;

    if (freeze_epochs > 0) {
        struct run_phase *frozen = &phases[(*n)++];

        *frozen = p;
        frozen->epochs = (int)freeze_epochs;
        frozen->freeze_to = BODY_FROZEN;
        frozen->clears = true;
        frozen->lr[0] = frozen->lr[1] = lr / 10;
        frozen->lr[2] = lr;
        frozen->div = 25;
        frozen->pct_start = 0.99;
        snprintf(frozen->name, sizeof frozen->name, "frozen");
    }
    lr /= 2;
    even_mults(p.lr, lr / given(o->lr_mult, 100), lr);
    p.div = given(o->div, 5);
    p.pct_start = given(o->pct_start, 0.3);
    p.clears = true;
    snprintf(p.name, sizeof p.name, "unfrozen");
    phases[(*n)++] = p;
}

int recipe_expand(struct run_phase *phases, int *n, const struct train_options *t,
                  const struct optim_options *o, struct err *err)
{
    bool constant = false;

    *n = 0;
    if (t->phases_list.n < 1)
        return err_set(err, ERR_INPUT,
                       "train.phases: nothing to do; give for instance "
                       "\"phases: [{kind: fine_tune, epochs: 2}]\"");
    BUG_IF(t->phases_list.n > KEY_LIST_MAX);
    if (o->moms.n != 1 && o->moms.n != 3)
        return err_set(err, ERR_INPUT,
                       "optim.moms: %d values; give 1, or 3 for start, peak and end", o->moms.n);
    if (t->valid_size > 0 && t->valid_size < 16)
        return err_set(err, ERR_INPUT,
                       "train.valid_size: a network takes pictures of at least 16 px; 0 is the "
                       "size of the training");
    for (int i = 0; i < t->phases_list.n; i++)
        constant |= t->phases[i].kind == PHASE_CONSTANT;
    if (t->watch.plateau > 0 && !constant)
        return err_set(
            err, ERR_INPUT,
            "train.plateau: no phase is of kind constant; the rates of the others follow their "
            "schedule");
    for (int i = 0; i < t->phases_list.n; i++) {
        const struct phase_options *item = &t->phases[i];
        struct run_phase p;

        if (check_phase(item, i, err) < 0)
            return -1;
        p = begin_phase(item, t, o);
        if (item->kind == PHASE_FINE_TUNE) {
            expand_fine_tune(phases, n, item, p);
            continue;
        }
        if (!(o->lr > 0) && item->lr.n == 0)
            return err_set(err, ERR_INPUT, "optim.lr: must be above 0 where a phase gives no lr");
        if (phase_rates(&p, item, i, o->lr, err) < 0)
            return -1;
        p.clears = *n == 0 || phases[*n - 1].freeze_to != p.freeze_to;
        snprintf(p.name, sizeof p.name, "%s%s", kind_names[item->kind],
                 item->freeze ? "_frozen" : "");
        phases[(*n)++] = p;
    }
    return 0;
}

/* From A to B along half a cosine; pos in [0, 1]. */
static double cosine(double a, double b, double pos)
{
    return a + (1 + real_cos(3.14159265358979323846 * (1 - pos))) * (b - a) / 2;
}

static double two_cosines(double pct, double pos, double a, double b, double c)
{
    if (pos < pct)
        return cosine(a, b, pos / pct);
    return cosine(b, c, (pos - pct) / (1 - pct));
}

/* Falls from LR to 0 along half a cosine, in every cycle; POS in [0, 1) of the phase. */
static double sgdr(const struct run_phase *p, double lr, double pos)
{
    double start = 0, length = (double)p->cycle_len / p->epochs;

    while (pos >= start + length) {
        start += length;
        length *= p->cycle_mult;
    }
    return cosine(lr, 0, (pos - start) / length);
}

void recipe_step(struct step *step, const struct run_phase *p, const struct optim_options *o,
                 uint64_t k, uint64_t n)
{
    double pos = (double)k / (double)n;

    BUG_IF(k >= n);
    memset(step->lr, 0, sizeof step->lr);
    for (int g = 0; g < GROUPS; g++) {
        double lr = p->lr[g];

        if (p->kind == PHASE_ONE_CYCLE)
            lr = two_cosines(p->pct_start, pos, lr / p->div, lr, lr / p->div_final);
        else if (p->kind == PHASE_FLAT_COS)
            lr = two_cosines(p->pct_start, pos, lr, lr, lr / p->div_final);
        else if (p->kind == PHASE_SGDR)
            lr = sgdr(p, lr, pos);
        step->lr[g] = lr;
    }
    step->mom = p->kind == PHASE_ONE_CYCLE
                    ? two_cosines(p->pct_start, pos, p->moms[0], p->moms[1], p->moms[2])
                    : p->moms[0];
    step->sqr_mom = o->sqr_mom;
    step->eps = o->eps;
    step->wd = o->wd;
}

double recipe_ema_decay(double decay, uint64_t t)
{
    double early = (1 + (double)t) / (10 + (double)t);

    return early < decay ? early : decay;
}

void watch_begin(struct watch *w)
{
    *w = (struct watch){.best = NAN, .scale = 1};
}

enum watch_event watch_epoch(struct watch *w, const struct watch_options *o, bool constant,
                             double value)
{
    if (isnan(w->best) || value + o->min_delta < w->best) {
        w->best = value;
        w->since = w->since_drop = 0;
        return WATCH_GO_ON;
    }
    w->since++;
    w->since_drop++;
    if (o->early_stop > 0 && w->since >= o->early_stop)
        return WATCH_STOP;
    if (!constant || o->plateau == 0 || w->since_drop < o->plateau)
        return WATCH_GO_ON;
    w->since_drop = 0;
    w->scale /= o->plateau_factor;
    return WATCH_RATE_FELL;
}

void place_begin(struct place *at)
{
    *at = (struct place){.best_value = INFINITY, .best_epoch = -1};
    watch_begin(&at->watch);
}

enum watch_event place_epoch(struct place *at, bool *best, const struct run_phase *phases,
                             const struct watch_options *o, double value)
{
    const struct run_phase *p = &phases[at->phase];
    const double cost = monitor_rows[o->monitor].higher ? -value : value;
    enum watch_event event = watch_epoch(&at->watch, o, p->kind == PHASE_CONSTANT, cost);

    *best = cost < at->best_value; /* ties: the first */
    if (*best) {
        at->best_value = cost;
        at->best_epoch = at->epoch;
        at->best_phase = at->phase;
    }
    at->epoch++;
    at->phase_epoch++;
    if (at->phase_epoch == p->epochs || event == WATCH_STOP) {
        at->phase++;
        at->phase_epoch = 0;
        watch_begin(&at->watch);
    }
    return event;
}

double smooth_loss_add(struct smooth_loss *s, double loss)
{
    static const double beta = 0.98;

    s->value = beta * s->value + (1 - beta) * loss;
    s->count++;
    return s->value / (1 - real_pow(beta, (double)s->count));
}
