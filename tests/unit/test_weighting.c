/* test_weighting.c - class weights and weighted drawing: balanced, from tables, in a batch, in a stream.
 * SPDX-License-Identifier: MIT */
#include "shards.h"

#include <math.h>

#include "data/stream.h"
#include "data/weighting.h"

enum { PICTURES = 30, TRAIN = 18 };

struct opened {
    struct shards t;
    struct shard_set *s;
    uint32_t ranks[TRAIN]; /* half of them of class 0, a third of class 1, a sixth of class 2 */
    char csv[128];
};

static int begin(void **state)
{
    static const int wanted[SHARDS_CLASSES] = {9, 6, 3};
    struct opened *o = calloc(1, sizeof *o);
    int got[SHARDS_CLASSES] = {0};
    struct err err = {0};
    uint32_t n = 0;

    assert_non_null(o);
    shards_describe(&o->t, PICTURES);
    assert_int_equal(shards_write(&o->t, &err), 0);
    if (shard_set_open(&o->s, o->t.folder, &err) < 0)
        fail_msg("%s", err.msg);
    for (uint32_t i = 0; i < PICTURES; i++) {
        int32_t label = shard_set_picture(o->s, i)->label;

        if (got[label] < wanted[label]) {
            o->ranks[n++] = i;
            got[label]++;
        }
    }
    assert_int_equal(n, TRAIN);
    snprintf(o->csv, sizeof o->csv, "%s/weights.csv", o->t.scratch);
    *state = o;
    return 0;
}

static int end(void **state)
{
    struct opened *o = *state;

    shard_set_close(o->s);
    shards_end(&o->t);
    free(o);
    return 0;
}

static void table(const struct opened *o, const char *text)
{
    struct err err = {0};

    if (path_write(o->csv, text, strlen(text), &err) < 0)
        fail_msg("%s", err.msg);
}

static void balanced_is_the_inverse_of_the_count(void **state)
{
    const struct opened *o = *state;
    double w[SHARDS_CLASSES], sums[TRAIN];
    struct err err = {0};
    int counts[SHARDS_CLASSES] = {0};

    assert_int_equal(weighting_classes(w, "none", o->ranks, TRAIN, o->s, &err), 0);
    assert_true(w[0] == 1 && w[1] == 1 && w[2] == 1);
    assert_int_equal(weighting_classes(w, "balanced", o->ranks, TRAIN, o->s, &err), 0);
    assert_true(fabs(w[0] - 18.0 / 27) < 1e-12 && fabs(w[1] - 1) < 1e-12 && fabs(w[2] - 2) < 1e-12);

    assert_int_equal(weighting_pictures(sums, "balanced", o->ranks, TRAIN, o->s, &err), 0);
    for (int i = 0; i < 3000; i++) {
        uint32_t at = weighting_pick(sums, TRAIN, i / 3000.0);

        counts[shard_set_picture(o->s, o->ranks[at])->label]++;
    }
    for (int c = 0; c < SHARDS_CLASSES; c++)
        assert_in_range(counts[c], 995, 1005);
    assert_int_equal(weighting_pick(sums, TRAIN, 0), 0);
    assert_int_equal(weighting_pick(sums, TRAIN, 1 - 0x1p-32), TRAIN - 1);
}

static void tables_are_read(void **state)
{
    const struct opened *o = *state;
    char text[512];
    double w[SHARDS_CLASSES], sums[TRAIN];
    struct err err = {0};

    table(o, "class,weight\nCat_A,0.5\ndog b,2\ndog\xc3\xa9,0\n");
    if (weighting_classes(w, o->csv, o->ranks, TRAIN, o->s, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(w[0] == 0.5 && w[1] == 2 && w[2] == 0);
    snprintf(text, sizeof text, "path,weight\n%s,3\n%s,0\n",
             shard_set_picture(o->s, o->ranks[0])->path,
             shard_set_picture(o->s, o->ranks[1])->path);
    table(o, text);
    if (weighting_pictures(sums, o->csv, o->ranks, TRAIN, o->s, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(sums[0] == 3 && sums[1] == 3 && sums[2] == 4 && sums[TRAIN - 1] == 3 + TRAIN - 2);
    assert_int_equal(weighting_pick(sums, TRAIN, 3.0 / (TRAIN + 1)),
                     2); /* never a picture of weight 0 */
}

static void bad_tables_are_refused(void **state)
{
    static const struct {
        bool classes;
        const char *text, *says;
    } bad[] = {
        {true, "class,weight\nCat_A,1\ndog b,1\n", "no weight for 1 class of the set: dog\xc3\xa9"},
        {true, "class,weight\nCat_A,1\ncow,1\n", "line 3: cow: the set has no such class"},
        {true, "class,weight\nCat_A,-1\n", "line 2: Cat_A: the weight must be"},
        {true, "class,weight\nCat_A,heavy\n", "must be 0, or a number from 1e-6 to 1e6"},
        {true, "class,weight\nCat_A,1e308\ndog b,1e308\ndog\xc3\xa9,1\n",
         "line 2: Cat_A: the weight"},
        {true, "class,weight\nCat_A,1e-30\n", "the weight must be"},
        {true, "class,weight\nCat_A,0\ndog b,0\ndog\xc3\xa9,0\n", "above 0"},
        {true, "class,share\nCat_A,1\n", "weight"},
        {false, "path,weight\nnone.jpg,1\n", "line 2: none.jpg: no such picture"},
    };
    const struct opened *o = *state;
    double w[PICTURES];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        int rc;

        table(o, bad[i].text);
        rc = bad[i].classes ? weighting_classes(w, o->csv, o->ranks, TRAIN, o->s, &err)
                            : weighting_pictures(w, o->csv, o->ranks, TRAIN, o->s, &err);
        assert_int_equal(rc, -1);
        if (!strstr(err.msg, bad[i].says) || !strstr(err.msg, "weights.csv"))
            fail_msg("expected \"%s\" in: %s", bad[i].says, err.msg);
    }
}

/* Whatever the batch, what enters the loss weighs 1 on average; proportions stay. */
static void a_batch_weighs_one_on_average(void **state)
{
    static const double classes[] = {1, 2, 5};
    const struct picture p[4] = {{.label = 0}, {.label = 1}, {.label = 2}, {.label = 0}};
    const struct mix m[4] = {{.partner = 2, .share = 0.25f},
                             {.partner = 1},
                             {.partner = 3, .share = 0.5f},
                             {.partner = 0, .share = 0.1f}};
    float w[4];
    double mean = 0;

    (void)state;
    weighting_batch(w, classes, p, NULL, 4);
    assert_true(fabs((double)(w[0] + w[1] + w[2] + w[3]) - 4) < 1e-6);
    assert_true(fabsf(w[2] / w[0] - 5) < 1e-6f && fabsf(w[1] / w[0] - 2) < 1e-6f && w[3] == w[0]);
    weighting_batch(w, classes, p, m, 4);
    for (int i = 0; i < 4; i++)
        mean +=
            (1 - (double)m[i].share) * (double)w[i] + (double)m[i].share * (double)w[m[i].partner];
    assert_true(fabs(mean - 4) < 1e-6);
    weighting_batch(w, (const double[]){0, 1, 1}, p, NULL, 1);
    assert_true(w[0] == 0);
}

/* Balanced: each class a third of what is drawn, though one has a sixth of the pictures; mixed as asked. */
static void a_stream_draws_by_weight(void **state)
{
    const struct opened *o = *state;
    const struct augment_options augment = {.mode = AUGMENT_NONE, .mixup = 0.4};
    struct stream_options options = {.ranks = o->ranks,
                                     .n = TRAIN,
                                     .batch = 6,
                                     .size = 16,
                                     .train = true,
                                     .augment = &augment,
                                     .prefetch = 2};
    double sums[TRAIN];
    int counts[2][SHARDS_CLASSES] = {{0}};
    struct err err = {0};

    assert_int_equal(weighting_pictures(sums, "balanced", o->ranks, TRAIN, o->s, &err), 0);
    for (options.epoch = 0; options.epoch < 40; options.epoch++)
        for (int drawn = 0; drawn < 2; drawn++) {
            struct stream *s;
            const struct picture *pictures;
            const uint32_t *ranks;
            int n;

            options.sample_sums = drawn ? sums : NULL;
            if (stream_open(&s, o->s, &options, &err) < 0)
                fail_msg("%s", err.msg);
            while (stream_next(s, &pictures, &ranks, &n, &err) == 1) {
                assert_non_null(stream_mixes(s));
                for (int i = 0; i < n; i++)
                    counts[drawn][pictures[i].label]++;
            }
            stream_close(s);
        }
    assert_int_equal(counts[0][0], 40 * 9); /* without weights: each picture once */
    assert_int_equal(counts[0][2], 40 * 3);
    for (int c = 0; c < SHARDS_CLASSES; c++)
        assert_in_range(counts[1][c], 200, 280);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balanced_is_the_inverse_of_the_count),
        cmocka_unit_test(tables_are_read),
        cmocka_unit_test(bad_tables_are_refused),
        cmocka_unit_test(a_batch_weighs_one_on_average),
        cmocka_unit_test(a_stream_draws_by_weight),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
