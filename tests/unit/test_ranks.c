/* test_ranks.c - a batch that several processes share on the cpu gives the bits of one process, however its
 * microbatches are divided; machines exchange gradients beside the backward pass. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../exchange.h"
#include "base/hash.h"
#include "data/augment.h"
#include "nn/network.h"
#include "nn/weights.h"

enum { BATCH_MAX = 10, SIDE = 40, SIZE = 32, CLASSES = 5, STEPS = 2 };

struct job {
    int ranks, together, batch,
        parts; /* TOGETHER: on a machine, 0: 1; microbatches of one picture */
    enum dtype dtype;
    int freeze_to;
    enum hold {
        HOLD_NONE,
        HOLD_LAST,
        HOLD_FIRST
    } hold; /* a batch norm of the second step, until gradients went */
};

static struct results { /* shared by all processes */
    char sha256[EXCHANGE_RANKS][SHA256_HEX];
    float loss[BATCH_MAX];
    char said[512];
} * results;

static uint8_t pixels[BATCH_MAX][SIDE * SIDE * 3];

/* Every picture, with its pixels where this process reads them: its own and what is mixed into these. */
static void fill_step(struct step *s, struct picture *pictures, struct mix *mixes,
                      const struct job *j, int rank)
{
    const int share = j->batch / j->ranks, first = rank * share;

    for (int i = 0; i < j->batch; i++) {
        pictures[i] = (struct picture){
            .height = SIDE, .width = SIDE, .label = i % CLASSES, .position = (uint32_t)i};
        augment_centre(&pictures[i].map, SIDE, SIDE, SIZE);
        mixes[i] = (struct mix){.partner = (i * 5 + 3) % j->batch, .share = 0.2f};
    }
    for (int i = first; i < first + share; i++) {
        pictures[i].pixels = pixels[i];
        pictures[mixes[i].partner].pixels = pixels[mixes[i].partner];
    }
    *s = (struct step){.pictures = pictures,
                       .n_pictures = share,
                       .mixes = mixes,
                       .first = first,
                       .n_batch = j->ranks > 1 ? j->batch : 0,
                       .seed = 3,
                       .parts = j->parts,
                       .lr = {1e-3, 1e-3, 1e-3},
                       .mom = 0.9,
                       .sqr_mom = 0.99,
                       .eps = 1e-5};
}

/* The first step is over: which of the second's exchanges of batch norms waits for gradients. */
static void hold_back(enum hold hold)
{
    if (hold == HOLD_NONE || exchange_hold > 0)
        return;
    atomic_store(&exchange_crossed, 0);
    exchange_hold = hold == HOLD_FIRST ? exchange_shares + 1 : 2 * exchange_shares;
    exchange_hold_ms = hold == HOLD_FIRST ? 300 : 60000;
}

/* What the plan counts for one machine each is what this process sent in all steps. */
static int check_traffic(const struct device *d, const struct network *network,
                         const struct network_shape *shape, const struct job *j, struct err *err)
{
    const int runs = STEPS * j->parts;
    const struct exchange_sent *sums = &exchange_shared, *beside = &exchange_sent_across;
    struct network_shape whole = *shape;
    struct be_traffic t;
    struct op_list *list;
    int rounds;

    whole.batch = j->batch;
    if (network_train_list(&list, network, &whole, err) < 0)
        return -1;
    d->kind->traffic(list, j->ranks, &t);
    op_list_free(list);
    rounds = (beside->pieces / runs + GROUP_WINDOW - 1) / GROUP_WINDOW + 1;
    if (sums->exchanges != runs * (t.exchanges - t.exchanges_beside) ||
        sums->bytes != (size_t)runs * (t.bytes - t.bytes_beside) ||
        beside->exchanges != runs * t.exchanges_beside ||
        beside->bytes != (size_t)runs * t.bytes_beside || beside->pieces % runs ||
        rounds != t.rounds_beside)
        return err_set(err, ERR_INPUT,
                       "sent %d exchanges and %d of %d pieces in %d runs, planned %d, %d of them "
                       "beside in %d rounds",
                       sums->exchanges, beside->exchanges, beside->pieces, runs, t.exchanges,
                       t.exchanges_beside, t.rounds_beside);
    return 0;
}

static int run_steps(const struct job *j, int rank, const struct be_ranks *ranks, struct err *err)
{
    const struct exec_options options = {
        .backend = BACKEND_CPU, .threads = 1 + rank % 2, .ranks = j->ranks > 1 ? ranks : NULL};
    const struct model_options model = {.arch = RESNET20, .dropout = 0.5};
    const struct network_shape shape = {.batch = j->batch / j->ranks,
                                        .shared = j->ranks > 1,
                                        .microbatch = 1,
                                        .size = SIZE,
                                        .dtype = j->dtype,
                                        .augment = true,
                                        .freeze_to = j->freeze_to,
                                        .dropout = 0.5,
                                        .max_norm = 1,
                                        .parts = j->parts};
    struct device d;
    struct picture pictures[BATCH_MAX];
    struct mix mixes[BATCH_MAX];
    struct network *network;
    struct op_list *list;
    struct be_program *program;
    struct step step;

    if (device_open(&d, &options, err) < 0 || network_new(&network, &model, CLASSES, err) < 0 ||
        network_train_list(&list, network, &shape, err) < 0 ||
        d.kind->prepare(&program, d.be, list, err) < 0 ||
        weights_init(&d, network, 1, false, err) < 0)
        return -1;
    exchange_shared = (struct exchange_sent){0}; /* opening agreed on the device: the steps count */
    fill_step(&step, pictures, mixes, j, rank);
    for (step.adam_step = 1; step.adam_step <= STEPS; step.adam_step++, hold_back(j->hold))
        for (step.part = 0; step.part < j->parts; step.part++)
            if (d.kind->run(program, &step, err) < 0)
                return -1;
    if (j->ranks > 1 && !j->together && check_traffic(&d, network, &shape, j, err) < 0)
        return -1;
    if (d.kind->read(program, op_list_find(list, "loss"), results->loss + step.first, err) < 0)
        return -1;
    return weights_sha256(results->sha256[rank], &d, network, err);
}

static int process(void *ctx, int rank)
{
    const struct job *j = ctx;
    const struct be_ranks ranks = {.rank = rank,
                                   .ranks = j->ranks,
                                   .share = exchange_share,
                                   .machine_ranks = j->together,
                                   .machine_rank = j->together ? rank % j->together : 0,
                                   .memory = exchange_memory,
                                   .populate = exchange_give_back,
                                   .give_back = exchange_give_back,
                                   .meet = exchange_meet,
                                   .across = exchange_across,
                                   .across_end = exchange_across_end};
    struct err err = {0};

    if (run_steps(j, rank, &ranks, &err) == 0)
        return 0;
    memcpy(results->said, err.msg, sizeof results->said - 1);
    return 1;
}

/* The hash of rank 0's weights, which all others have. TURNED: a mistake in the order of the sums. */
static void play(char sha256[SHA256_HEX], struct job j, bool turned)
{
    int status[EXCHANGE_RANKS];

    assert_true(exchange_begin(j.ranks, j.together ? j.together : 1));
    exchange->turned = turned;
    results->said[0] = 0;
    assert_true(exchange_run(status, process, &j));
    for (int r = 0; r < j.ranks; r++) {
        if (status[r] != 0)
            fail_msg("rank %d of %d: status %d, %s", r, j.ranks, status[r], results->said);
        if (strcmp(results->sha256[r], results->sha256[0]) != 0)
            fail_msg("rank %d of %d has other weights than rank 0", r, j.ranks);
    }
    memcpy(sha256, results->sha256[0], SHA256_HEX);
}

static void ranks_have_the_bits_of_one(void **state)
{
    static const struct job rows[] = {
        /* a power of two, whole subtrees; several subtrees each; an odd last one; one picture each */
        {.ranks = 4, .batch = 8, .parts = 1},
        {.ranks = 3, .batch = 9, .parts = 1, .dtype = DTYPE_BF16},
        {.ranks = 5, .batch = 5, .parts = 1, .freeze_to = 2},
        /* on one machine; on three */
        {.ranks = 2, .together = 2, .batch = 10, .parts = 1},
        {.ranks = 3, .together = 3, .batch = 6, .parts = 2, .freeze_to = 2},
        {.ranks = 6, .together = 2, .batch = 6, .parts = 2, .dtype = DTYPE_BF16},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char one[SHA256_HEX], several[SHA256_HEX];
        float loss[BATCH_MAX];
        struct job alone = rows[i];

        alone.ranks = 1;
        alone.together = 0;
        play(one, alone, false);
        memcpy(loss, results->loss, sizeof loss);
        play(several, rows[i], false);
        if (strcmp(one, several) != 0 ||
            memcmp(loss, results->loss, (size_t)alone.batch * sizeof *loss) != 0)
            fail_msg("%d pictures in %d processes, row %zu: other bits than of one", rows[i].batch,
                     rows[i].ranks, i);
    }
}

/* The same numbers are added, in another order. */
static void another_order_has_other_bits(void **state)
{
    struct job j = {.ranks = 3, .batch = 6, .parts = 1, .freeze_to = 2};
    char right[SHA256_HEX], wrong[SHA256_HEX];

    (void)state;
    play(wrong, j, true);
    j.ranks = 1;
    play(right, j, false);
    assert_string_not_equal(right, wrong);
}

/* In the last exchange of a batch norm's sums most of the backward pass is over. Were gradients exchanged after the
 * pass, they would wait for that batch norm, and it for them. In the first exchange there are none: the control. */
static void gradients_go_beside_the_backward_pass(void **state)
{
    struct job j = {.ranks = 4, .together = 2, .batch = 4, .parts = 1, .hold = HOLD_LAST};
    char sha256[SHA256_HEX];
    int status[EXCHANGE_RANKS];

    (void)state;
    play(sha256, j, false);
    j.hold = HOLD_FIRST;
    assert_true(exchange_begin(j.ranks, j.together));
    assert_true(exchange_run(status, process, &j));
    for (int r = 0; r < j.ranks; r++)
        assert_true(status[r] == EXCHANGE_HELD || status[r] == EXCHANGE_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_have_the_bits_of_one),
        cmocka_unit_test(another_order_has_other_bits),
        cmocka_unit_test(gradients_go_beside_the_backward_pass),
    };

    for (size_t i = 0; i < sizeof pixels; i++)
        ((uint8_t *)pixels)[i] = (uint8_t)((i * 2654435761u) >> 13);
    results =
        mmap(NULL, sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
