/* test_cuda_shares.c - a batch shared by several processes, each with a simulated device: gradients, batch norms
 * and losses are those of one device with the whole batch, and the same bits everywhere. No statement about a
 * GPU. SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../exchange.h"
#include "nn/network.h"
#include "ops.h"
#include "sim.h"

enum { BATCH = 8, SIDE = 32, CLASSES = 5, PARTS = 2, PIXELS = 48 * 48 * 3, RANKS_MAX = 4 };
enum { VALUES = 4 << 20 }; /* floats that are compared, at most */
enum { MISSED = EXCHANGE_GONE, FOUND = 4 };

enum mistake { NONE, NO_WAIT, OWN_MEAN, OTHER_LIST };

struct job {
    int rank, ranks;
    enum dtype dtype;
    enum mistake mistake;
};

static struct results {  /* shared by all processes */
    float whole[VALUES]; /* of one device */
    size_t n;
    uint64_t sums[RANKS_MAX];                /* over the bits that all must have */
    double worst[RANKS_MAX];                 /* tensor's distance from one device's */
    double diff[RANKS_MAX], norm[RANKS_MAX]; /* of all of them, squared and added; how many */
    char worst_name[RANKS_MAX][64], said[RANKS_MAX][512];
} * results;

static uint8_t pixels[BATCH][PIXELS];

static void must(int rc, const struct err *err, int rank)
{
    if (rc >= 0)
        return;
    snprintf(results->said[rank], sizeof results->said[rank], "%.500s", err->msg);
    _exit(FOUND);
}

/* ---- one process ----------------------------------------------------------------------------- */

struct run {
    const struct job *job;
    struct sim *sim;
    const struct backend *k;
    struct be *b;
    struct be_program *p;
    struct op_list *list;
    struct network *net;
};

static struct op_list *list_of(const struct network *net, const struct job *j)
{
    const struct network_shape shape = {.batch = BATCH / j->ranks,
                                        .microbatch = BATCH / j->ranks,
                                        .size = SIDE,
                                        .dtype = j->dtype,
                                        .augment = true,
                                        .freeze_to = j->mistake == OTHER_LIST && j->rank ? 2 : 0,
                                        .dropout = 0.3,
                                        .smoothing = 0.1,
                                        .parts = PARTS};
    struct op_list *l;
    struct err err = {0};

    must(network_train_list(&l, net, &shape, &err), &err, j->rank);
    return l;
}

static void give_weights(const struct run *r)
{
    struct err err = {0};

    for (int i = 0; i < r->net->n_params; i++) {
        const struct param *p = &r->net->params[i];
        struct rng rng = rng_begin(3, RNG_TEST, 0, (uint32_t)i);
        const bool weight = p->n_dims > 1,
                   one = strstr(p->name, ".weight") || strstr(p->name, "_var");
        const double spread = weight ? sqrt(2.0 * p->dims[0] / (double)p->n) : 0.1;
        float *v = malloc(p->n * sizeof *v);

        for (size_t e = 0; v && e < p->n; e++)
            v[e] = (float)((weight || !one ? 0 : 1) + spread * rng_normal(&rng));
        must(r->k->put(r->b, p->name, v, &err), &err, r->job->rank);
        free(v);
    }
}

/* The whole batch; of a share, pixels for it and for what is mixed into it alone. */
static struct step step_of(const struct run *r, struct picture pictures[BATCH],
                           struct mix mixes[BATCH], const float weights[BATCH], int part)
{
    const int n = BATCH / r->job->ranks, first = r->job->rank * n;
    struct step s = {.pictures = pictures,
                     .n_pictures = n,
                     .mixes = mixes,
                     .weights = weights,
                     .seed = 9,
                     .epoch = 1,
                     .part = part,
                     .parts = PARTS,
                     .mom = 0.9,
                     .sqr_mom = 0.99,
                     .eps = 1e-5,
                     .adam_step = 2}; /* the first would reset the loss scale */

    for (int i = 0; i < BATCH; i++) {
        mixes[i] = (struct mix){.partner = (i * 3 + 5) % BATCH, .share = 0.1f + 0.04f * (float)i};
        pictures[i] =
            (struct picture){.height = 40 + i,
                             .width = 48 - i,
                             .map = {.m = {1.2f, 0.1f, 1, 0.05f, 1.1f, (float)i, 0, 0, 1}, .k = 1},
                             .label = (i + part) % CLASSES,
                             .position = (uint32_t)(BATCH * part + i)};
    }
    for (int i = first; i < first + n; i++) {
        pictures[i].pixels = pixels[i];
        pictures[mixes[i].partner].pixels = pixels[mixes[i].partner];
    }
    if (r->job->ranks > 1) {
        s.first = first;
        s.n_batch = BATCH;
    }
    return s;
}

/* Own pictures alone, as if they were all: what forgetting the others comes to. */
static struct step own_mean(struct step s, struct mix mixes[BATCH])
{
    for (int i = 0; i < s.n_pictures; i++)
        mixes[i] = (struct mix){.partner = i};
    s.pictures += s.first;
    s.weights += s.first;
    s.first = 0;
    s.n_batch = s.n_pictures;
    return s;
}

/* N numbers called NAME, which begin at number *AT of the results. One device writes, others compare. */
static void hold(const struct job *j, size_t *at, const char *name, const float *v, size_t n,
                 bool all)
{
    double diff = 0, norm = 0;

    if (*at + n > VALUES)
        _exit(MISSED);
    if (j->ranks == 1)
        memcpy(results->whole + *at, v, n * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        const double a = (double)v[i], b = (double)results->whole[*at + i];
        uint32_t bits;

        diff += (a - b) * (a - b);
        norm += b * b;
        memcpy(&bits, &v[i], sizeof bits);
        if (all)
            results->sums[j->rank] = (results->sums[j->rank] ^ bits) * 1099511628211u;
    }
    *at += n;
    results->diff[j->rank] += diff / (norm + 1e-20);
    results->norm[j->rank] += 1;
    diff = sqrt(diff / (norm + 1e-20));
    if (!(diff <= results->worst[j->rank])) {
        results->worst[j->rank] = diff;
        snprintf(results->worst_name[j->rank], 64, "%.63s", name);
    }
}

/* After run number PART. */
static void compare(const struct run *r, size_t *at, int part, float *v)
{
    struct err err = {0};

    for (int t = 1; t < r->list->n_tensors; t++) {
        const struct tensor *tensor = &r->list->tensors[t];
        const bool sum = strstr(tensor->name, ".sum") != NULL;

        if ((tensor->role != TENSOR_GRAD && tensor->role != TENSOR_STAT) || (sum && part == 0))
            continue;
        must(r->k->read(r->p, t, v, &err), &err, r->job->rank);
        hold(r->job, at, tensor->name, v, tensor_elements(tensor), true);
    }
    for (int i = 0; i < r->net->n_params; i++) {
        if (r->net->params[i].trained)
            continue;
        must(r->k->get(r->b, r->net->params[i].name, v, &err), &err, r->job->rank);
        hold(r->job, at, r->net->params[i].name, v, r->net->params[i].n, true);
    }
    must(r->k->read(r->p, op_list_find(r->list, "loss"), v, &err), &err, r->job->rank);
    if (r->job->ranks == 1) {
        hold(r->job, at, "loss", v, BATCH, true);
        return;
    }
    *at += (size_t)(r->job->rank * BATCH / r->job->ranks);
    hold(r->job, at, "loss", v, (size_t)(BATCH / r->job->ranks), false);
    *at += (size_t)((r->job->ranks - 1 - r->job->rank) * BATCH / r->job->ranks);
}

static int process(void *ctx, int rank)
{
    struct job here = *(const struct job *)ctx;
    const struct job *j = &here;
    const struct be_ranks ranks = {
        .rank = rank, .ranks = j->ranks, .local = rank, .share = exchange_share};
    const struct exec_options o = {
        .threads = 1, .deterministic = true, .ranks = j->ranks > 1 ? &ranks : NULL};
    const struct model_options model = {.arch = RESNET20};
    const float weights[BATCH] = {1, 0.5f, 2, 1, 1.5f, 1, 0.25f, 1};
    struct run r = {
        .job = j, .k = backend_find("cuda"), .sim = dlsym(dlopen(SIM_PLUGIN, RTLD_NOW), "sim")};
    struct picture pictures[BATCH];
    struct mix mixes[BATCH];
    struct err err = {0};
    float *v = malloc((1 << 20) * sizeof *v);
    size_t at = 0;

    here.rank = rank;
    if (!r.k || !r.sim || !v)
        _exit(MISSED);
    r.sim->devices = RANKS_MAX;
    must(network_new(&r.net, &model, CLASSES, &err), &err, j->rank);
    r.list = list_of(r.net, j);
    must(r.k->open(&r.b, &o, &err), &err, j->rank);
    must(r.k->prepare(&r.p, r.b, r.list, &err), &err, j->rank);
    give_weights(&r);
    must(r.k->put(r.b, BACKEND_LOSS_SCALE, (float[BACKEND_SCALE_VALUES]){256}, &err), &err,
         j->rank);
    r.sim->plant = j->mistake == NO_WAIT ? PLANT_NO_WAIT : PLANT_NONE;
    for (int part = 0; part < PARTS; part++) {
        struct step s = step_of(&r, pictures, mixes, weights, part);

        if (j->mistake == OWN_MEAN)
            s = own_mean(s, mixes);
        must(r.k->run(r.p, &s, &err), &err, j->rank);
        if (!r.sim->fault[0])
            compare(&r, &at, part, v);
        if (r.sim->fault[0])
            must(err_set(&err, ERR_IO, "%s", r.sim->fault), &err, j->rank);
    }
    if (j->ranks == 1)
        results->n = at;
    else if (results->n != at)
        _exit(MISSED);
    return 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Runs them; the statuses of all. */
static void play(struct job j, int status[EXCHANGE_RANKS])
{
    for (int r = 0; r < j.ranks; r++) {
        results->worst[r] = results->diff[r] = results->norm[r] = 0;
        results->sums[r] = 14695981039346656037u;
        results->said[r][0] = 0;
    }
    assert_true(exchange_begin(j.ranks, 1) && exchange_run(status, process, &j));
}

static double distance(int rank)
{
    return sqrt(results->diff[rank] / results->norm[rank]);
}

static void whole(enum dtype dtype)
{
    int status[EXCHANGE_RANKS];

    play((struct job){.ranks = 1, .dtype = dtype}, status);
    if (status[0] != 0)
        fail_msg("one device: status %d, %s", status[0], results->said[0]);
}

/* Distances in the root mean square over all tensors. A value that falls to the other side of a rounding boundary, of
 * 16 bits, or of a ReLU goes its own way from there. */
static void shares_make_the_whole(void **state)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static const double bands[] = {1e-5, 0.05, 0.05};
    int status[EXCHANGE_RANKS];

    (void)state;
    for (int t = 0; t < 3; t++) {
        whole(types[t]);
        for (int n = 2; n <= RANKS_MAX; n += 2) {
            play((struct job){.ranks = n, .dtype = types[t]}, status);
            for (int r = 0; r < n; r++) {
                if (status[r] != 0)
                    fail_msg("rank %d of %d: status %d, %s", r, n, status[r], results->said[r]);
                if (results->sums[r] != results->sums[0])
                    fail_msg("rank %d of %d has other bits than rank 0", r, n);
                if (!(distance(r) <= bands[t]))
                    fail_msg("rank %d of %d is off by %g; %s by %g", r, n, distance(r),
                             results->worst_name[r], results->worst[r]);
            }
            print_message("%s on %d devices: off by %.2g, at most by %.2g (%s)\n",
                          dtype_name(types[t]), n, distance(0), results->worst[0],
                          results->worst_name[0]);
        }
    }
}

/* Any of them: the first to find it ends, and the others may hear of that before they have looked. */
static bool found(const char *what, int ranks, const int status[])
{
    for (int r = 0; r < ranks; r++)
        if (status[r] == FOUND && strstr(results->said[r], what))
            return true;
    return false;
}

static void mistakes_are_found(void **state)
{
    int status[EXCHANGE_RANKS];

    (void)state;
    whole(DTYPE_F32);
    play((struct job){.ranks = 2, .mistake = OWN_MEAN}, status);
    assert_true(status[0] == 0 && distance(0) > 0.3) /* fp32 */;
    play((struct job){.ranks = 2, .mistake = NO_WAIT}, status);
    if (!found("nothing says in which order", 2, status))
        fail_msg("no wait: statuses %d and %d, %s, %s", status[0], status[1], results->said[0],
                 results->said[1]);
    play((struct job){.ranks = 2, .mistake = OTHER_LIST}, status);
    if (!found("elements where rank", 2, status))
        fail_msg("other lists: %s, %s", results->said[0], results->said[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_make_the_whole),
        cmocka_unit_test(mistakes_are_found),
    };
    struct rng r = rng_begin(5, RNG_TEST, 0, 0);

    setenv("PRESIZE_PLUGIN", SIM_PLUGIN, 1);
    setenv("PRESIZE_NCCL", SIM_PLUGIN, 1);
    for (size_t i = 0; i < sizeof pixels; i++)
        ((uint8_t *)pixels)[i] = (uint8_t)rng_below(&r, 256);
    results =
        mmap(NULL, sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
