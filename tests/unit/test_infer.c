/* test_infer.c - predictions of shards: sums, losses, labels by another set's numbers, and test-time
 * augmentation against the same arithmetic done picture by picture.
 * SPDX-License-Identifier: MIT */
#include "shards.h"

#include <math.h>

#include "experiment/infer.h"
#include "nn/weights.h"

enum { N = 33, CLASSES = SHARDS_CLASSES, SIZE = 32, CELLS = N * CLASSES };

struct opened {
    struct shards t;
    struct shard_set *s;
    uint32_t ranks[N];
    struct augment_options augment;
    struct tta tta;
    struct network *network;
    struct device device;
    struct infer *i;
};

/* A network of seeded weights on THREADS threads, BATCH pictures at a time. */
static void open_network(struct opened *o, int threads, int batch)
{
    const struct exec_options exec = {.backend = BACKEND_CPU, .threads = threads};
    const struct model_options model = {.arch = RESNET18, .dropout = 0.5};
    struct err err = {0};

    if (device_open(&o->device, &exec, &err) < 0 ||
        network_new(&o->network, &model, CLASSES, &err) < 0 ||
        infer_new(&o->i, &o->device, o->network, SIZE, batch, 4, DTYPE_F32, &err) < 0 ||
        weights_init(&o->device, o->network, 5, false, &err) < 0)
        fail_msg("%s", err.msg);
}

static void close_network(struct opened *o)
{
    infer_free(o->i);
    device_close(&o->device);
    network_free(o->network);
}

static int set_up(void **state)
{
    struct opened *o = calloc(1, sizeof *o);
    struct err err;

    assert_non_null(o);
    shards_describe(&o->t, N);
    assert_int_equal(shards_write(&o->t, &err), 0);
    assert_int_equal(shard_set_open(&o->s, o->t.folder, &err), 0);
    for (uint32_t i = 0; i < N; i++)
        o->ranks[i] = (i * 7) % N; /* not sorted */
    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o->augment);
    o->tta = (struct tta){.rounds = 3, .beta = 0.25, .augment = &o->augment, .seed = 11};
    open_network(o, 2, 8);
    *state = o;
    return 0;
}

static int tear_down(void **state)
{
    struct opened *o = *state;

    close_network(o);
    shard_set_close(o->s);
    shards_end(&o->t);
    free(o);
    return 0;
}

static struct infer_pictures pictures(const struct opened *o)
{
    return (struct infer_pictures){.set = o->s, .ranks = o->ranks, .n = N, .verify = true};
}

static void plain(struct opened *o, float *prob, float *loss)
{
    const struct infer_pictures p = pictures(o);
    struct err err = {0};

    if (infer_pictures(o->i, &p, prob, loss, &err) < 0)
        fail_msg("%s", err.msg);
}

/* P, then the result of test-time augmentation in its place. */
static void augmented(struct opened *o, float *prob, float *loss)
{
    const struct infer_pictures p = pictures(o);
    struct err err = {0};

    plain(o, prob, NULL);
    if (infer_tta(o->i, &p, &o->tta, prob, loss, &err) < 0)
        fail_msg("%s", err.msg);
}

static void check_sums(const float *prob)
{
    for (int i = 0; i < N; i++) {
        double sum = 0;

        for (int c = 0; c < CLASSES; c++)
            sum += (double)prob[i * CLASSES + c];
        assert_true(fabs(sum - 1) < 1e-5);
    }
}

static void rows_add_up_and_losses_are_theirs(void **state)
{
    struct opened *o = *state;
    float prob[CELLS], loss[N];
    int distinct = 0;

    plain(o, prob, loss);
    check_sums(prob);
    for (int i = 0; i < N; i++) {
        int32_t label = shard_set_picture(o->s, o->ranks[i])->label;

        assert_true(fabs((double)loss[i] + log((double)prob[i * CLASSES + label])) < 1e-4);
        distinct += i > 0 && prob[i * CLASSES] != prob[0];
    }
    assert_true(distinct > N / 2); /* the pictures do tell apart: what follows can fail */
}

static void labels_are_the_networks(void **state)
{
    static const int32_t turned[CLASSES] = {2, 0, 1};
    struct opened *o = *state;
    struct infer_pictures p = pictures(o);
    float prob[CELLS], same[CELLS], loss[N];
    struct err err;

    plain(o, same, NULL);
    p.labels = turned;
    assert_int_equal(infer_pictures(o->i, &p, prob, loss, &err), 0);
    assert_memory_equal(prob, same, sizeof prob);
    for (int i = 0; i < N; i++) {
        int32_t label = turned[shard_set_picture(o->s, o->ranks[i])->label];

        assert_true(fabs((double)loss[i] + log((double)prob[i * CLASSES + label])) < 1e-4);
    }
}

/* The same by hand: one picture alone at a time, its map drawn from its pixels. */
static void by_hand(struct opened *o, int place, float out[CLASSES])
{
    const struct shard_picture *s = shard_set_picture(o->s, o->ranks[place]);
    uint8_t *pixels = malloc((size_t)s->height * s->width * 3 + 64);
    struct picture p = {
        .pixels = pixels, .height = (int32_t)s->height, .width = (int32_t)s->width, .label = -1};
    float one[CLASSES], sum[CLASSES] = {0}, was[CLASSES];
    struct err err;

    assert_int_equal(shard_set_read(o->s, o->ranks[place], pixels, true, &err), 0);
    augment_validation(&p.map, &o->augment, p.height, p.width, SIZE);
    assert_int_equal(infer_run(o->i, &p, 1, was, NULL, &err), 0);
    for (int round = 0; round < o->tta.rounds; round++) {
        augment_tta(&p.map, &o->augment, p.height, p.width, SIZE, o->tta.seed, (uint32_t)round,
                    crc32c(0, pixels, (size_t)s->height * s->width * 3));
        assert_int_equal(infer_run(o->i, &p, 1, one, NULL, &err), 0);
        for (int c = 0; c < CLASSES; c++)
            sum[c] += one[c];
    }
    for (int c = 0; c < CLASSES; c++) {
        float mean = sum[c] / (float)o->tta.rounds;

        out[c] = mean + (float)o->tta.beta * (was[c] - mean);
    }
    free(pixels);
}

static void tta_is_fastais(void **state)
{
    struct opened *o = *state;
    float prob[CELLS], loss[N], p[CELLS], expected[CLASSES];

    for (int kind = 0; kind < 3; kind++) { /* presize, fastai, padded with zeros */
        o->augment.mode = kind == 1 ? AUGMENT_FASTAI : AUGMENT_PRESIZE;
        o->augment.resize = kind == 2 ? RESIZE_PAD : RESIZE_CROP;
        o->augment.pad = kind == 2 ? PAD_ZEROS : PAD_REFLECTION;
        infer_augment(o->i, &o->augment);
        plain(o, p, NULL);
        augmented(o, prob, loss);
        check_sums(prob);
        assert_memory_not_equal(prob, p, sizeof prob);
        for (int i = 0; i < N; i++) {
            int32_t label = shard_set_picture(o->s, o->ranks[i])->label;

            by_hand(o, i, expected);
            assert_memory_equal(prob + i * CLASSES, expected, sizeof expected);
            assert_true(fabs((double)loss[i] + log((double)expected[label])) < 1e-5);
        }
    }
    o->augment.resize = RESIZE_CROP;
    o->augment.pad = PAD_REFLECTION;
    infer_augment(o->i, &o->augment);
}

static void tta_does_not_depend_on_threads_batch_or_place(void **state)
{
    struct opened *o = *state;
    float first[CELLS], other[CELLS];
    uint32_t ranks[N];

    augmented(o, first, NULL);
    close_network(o);
    open_network(o, 3, 12);
    augmented(o, other, NULL);
    assert_memory_equal(first, other, sizeof first);
    memcpy(ranks, o->ranks, sizeof ranks);
    for (int i = 0; i < N; i++)
        o->ranks[i] = ranks[N - 1 - i];
    augmented(o, other, NULL);
    for (int i = 0; i < N; i++)
        assert_memory_equal(first + i * CLASSES, other + (N - 1 - i) * CLASSES,
                            CLASSES * sizeof *first);
    memcpy(o->ranks, ranks, sizeof ranks);
    /* controls: another seed, another number of rounds */
    o->tta.seed++;
    augmented(o, other, NULL);
    assert_memory_not_equal(first, other, sizeof first);
    o->tta.seed--;
    o->tta.rounds++;
    augmented(o, other, NULL);
    assert_memory_not_equal(first, other, sizeof first);
    o->tta.rounds--;
}

static void blending_is_lerp(void **state)
{
    const struct tta t = {.rounds = 4, .beta = 0.25};
    const float sum[] = {4, 0, 2, 1};
    float prob[] = {0, 1, 0.5F, 1};

    (void)state;
    tta_blend(prob, sum, 4, &t);
    assert_true(prob[0] == 0.75F && prob[1] == 0.25F && prob[2] == 0.5F && prob[3] == 0.4375F);
    assert_true(tta_loss(1) == 0 && fabsf(tta_loss(0.5F) - 0.6931472F) < 1e-6F);
    assert_true(isfinite(tta_loss(0)) && tta_loss(0) > 87);
}

static void scores_count_the_first_largest(void **state)
{
    static const float prob[] = {.5f, .5f, 0, .1f, .2f, .7f, .6f, .2f, .2f, .3f, .3f, .4f};
    static const float loss[] = {1, 2, 3, 6};
    static const int32_t labels[] = {0, 2, 1, 2};
    int32_t predicted[4];
    struct score s;

    (void)state;
    infer_score(&s, 4, 3, prob, loss, labels, predicted);
    assert_int_equal(predicted[0], 0); /* a tie goes to the first */
    assert_int_equal(predicted[2], 0);
    assert_int_equal(s.errors, 1);
    assert_true(s.loss == 3 && s.error_rate == 0.25 && s.accuracy == 0.75);
    infer_score(&s, 0, 3, prob, loss, labels, NULL);
    assert_true(s.loss == 0 && s.errors == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_count_the_first_largest),
        cmocka_unit_test(rows_add_up_and_losses_are_theirs),
        cmocka_unit_test(labels_are_the_networks),
        cmocka_unit_test(tta_is_fastais),
        cmocka_unit_test(tta_does_not_depend_on_threads_batch_or_place),
        cmocka_unit_test(blending_is_lerp),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
