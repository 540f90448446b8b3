/* test_split.c - torch's permutation, the kinds of split, folds.
 * SPDX-License-Identifier: MIT */
#include "opened.h"

#include "data/split.h"

static void randperm_is_torchs(void **state)
{
    /* torch 1.13: torch.manual_seed(42); torch.randperm(n) */
    static const uint32_t ten[] = {2, 6, 1, 8, 4, 5, 0, 9, 3, 7};
    static const uint32_t begin[] = {4512, 4290, 5770, 706,  2200, 4320,
                                     6450, 501,  1290, 6435, 5468, 5015};
    enum { PETS = 7390 };
    uint32_t *r = malloc(PETS * sizeof *r), small[10];
    char *text = malloc(PETS * 6), hex[MD5_HEX];
    size_t length = 0;
    uint64_t sum = 0;

    (void)state;
    torch_randperm(small, 10, 42);
    assert_memory_equal(small, ten, sizeof ten);
    assert_non_null(r);
    assert_non_null(text);
    torch_randperm(r, PETS, 42);
    assert_memory_equal(r, begin, sizeof begin);
    assert_int_equal(r[1475], 4040);
    assert_int_equal(r[1477], 41);
    assert_int_equal(r[PETS - 1], 7194);
    for (int i = 0; i < PETS; i++) {
        length += (size_t)snprintf(text + length, 6, i ? ",%u" : "%u", r[i]);
        sum += i < 1478 ? r[i] : 0;
    }
    assert_int_equal(sum, 5470884);
    md5_of(text, length, hex);
    assert_string_equal(hex, "9f7233ba204910a58733dce3ac8c808f");
    free(r);
    free(text);
}

/* Every picture is in exactly one part. */
static void check_partition(const struct split *p, uint32_t n)
{
    uint8_t seen[SHARDS_MAX] = {0};

    for (uint32_t i = 0; i < p->n_train; i++)
        seen[p->train[i]]++;
    for (uint32_t i = 0; i < p->n_valid; i++)
        seen[p->valid[i]]++;
    for (uint32_t i = 0; i < p->n_test; i++)
        seen[p->test[i]]++;
    for (uint32_t i = 0; i < n; i++)
        assert_true(seen[i] <= 1);
    assert_int_equal(p->n_train + p->n_valid + p->n_test + p->n_left_out, n);
}

static void random_is_the_first_of_the_permutation(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    struct split *p;
    struct err err;
    uint32_t r[33];

    assert_int_equal(o.split_seed, 42);
    assert_int_equal(split_make(&p, &o, t->s, &err), 0);
    torch_randperm(r, 33, 42);
    assert_int_equal(p->n_valid, 6); /* int(0.2 * 33) */
    assert_int_equal(p->n_train, 27);
    assert_memory_equal(p->valid, r, 6 * sizeof *r);
    assert_memory_equal(p->train, r + 6, 27 * sizeof *r);
    check_partition(p, 33);
    split_free(p);
}

static void official_keeps_the_test_part(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_OFFICIAL);
    struct split *p;
    struct err err;
    uint32_t n[3] = {0, 0, 0};

    assert_int_equal(split_make(&p, &o, t->s, &err), 0);
    for (uint32_t i = 0; i < 33; i++)
        n[shard_set_picture(t->s, i)->official + 1]++;
    assert_int_equal(p->n_left_out, n[0]);
    assert_int_equal(p->n_test, n[2]);
    assert_int_equal(p->n_valid, n[1] / 5);
    check_partition(p, 33);
    for (uint32_t i = 0; i < p->n_test; i++) {
        assert_int_equal(shard_set_picture(t->s, p->test[i])->official, 1);
        assert_true(i == 0 || p->test[i] > p->test[i - 1]);
    }
    for (uint32_t i = 0; i < p->n_train; i++)
        assert_int_equal(shard_set_picture(t->s, p->train[i])->official, 0);
    split_free(p);
}

static void stratified_shares_are_equal(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    struct split *p;
    struct err err;
    int n[SHARDS_CLASSES] = {0};

    o.stratify = true;
    o.valid = 0.3;
    assert_int_equal(split_make(&p, &o, t->s, &err), 0);
    for (uint32_t i = 0; i < p->n_valid; i++)
        n[shard_set_picture(t->s, p->valid[i])->label]++;
    for (int c = 0; c < SHARDS_CLASSES; c++)
        assert_true(n[c] == 3 || n[c] == 4); /* of 11 */
    assert_int_equal(p->n_valid, 9);
    check_partition(p, 33);
    split_free(p);
    o.split = SPLIT_HASH;
    assert_int_equal(split_make(&p, &o, t->s, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
}

static void hash_depends_on_path_and_seed_alone(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_HASH);
    struct split *p, *q;
    struct shards smaller;
    struct shard_set *s;
    struct err err;
    int same = 0;

    o.valid = 0.4;
    assert_int_equal(split_make(&p, &o, t->s, &err), 0);
    check_partition(p, 33);
    /* a set that lacks a picture: all others stay where they were */
    shards_describe(&smaller, 33);
    smaller.skip = 0;
    assert_int_equal(shards_write(&smaller, &err), 0);
    assert_int_equal(shard_set_open(&s, smaller.folder, &err), 0);
    assert_int_equal(split_make(&q, &o, s, &err), 0);
    for (uint32_t i = 0; i < q->n_valid; i++)
        for (uint32_t j = 0; j < p->n_valid; j++)
            same += strcmp(shard_set_picture(s, q->valid[i])->path,
                           shard_set_picture(t->s, p->valid[j])->path) == 0;
    assert_int_equal(same, q->n_valid);
    split_free(q);
    shard_set_close(s);
    shards_end(&smaller);
    /* the control: another seed */
    o.split_seed = 43;
    assert_int_equal(split_make(&q, &o, t->s, &err), 0);
    assert_true(q->n_valid != p->n_valid ||
                memcmp(q->valid, p->valid, q->n_valid * sizeof *q->valid) != 0);
    split_free(q);
    split_free(p);
}

static int split_csv(struct split **p, struct opened *t, const char *text, struct err *err)
{
    struct data_options o = options(SPLIT_CSV);

    snprintf(o.csv, sizeof o.csv, "%s/split.csv", t->t.scratch);
    assert_int_equal(path_write(o.csv, text, strlen(text), err), 0);
    return split_make(p, &o, t->s, err);
}

static void csv_is_followed(void **state)
{
    struct opened *t = *state;
    struct split *p;
    struct err err;

    /* n001 and n004 have label 1, n002 and n005 label 2 */
    assert_int_equal(split_csv(&p, t,
                               "split,note,path\r\ntrain,x,n001.jpg\r\n"
                               "valid,\"a, \"\"b\"\"\",n004.jpg\r\ntest,,\"n002.jpg\"\r\n",
                               &err),
                     0);
    assert_int_equal(p->n_train, 1);
    assert_int_equal(p->n_valid, 1);
    assert_int_equal(p->n_test, 1);
    assert_int_equal(p->n_left_out, 30);
    assert_string_equal(shard_set_picture(t->s, p->valid[0])->path, "n004.jpg");
    check_partition(p, 33);
    split_free(p);
}

static void bad_csvs_are_explained(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"path,split\nn001.jpg,train\nnone.jpg,valid\nn004.jpg,valid\nzz.jpg,test\n",
         "2 pictures that are not in the set: none.jpg, zz.jpg"},
        {"path,split\nn001.jpg,learn\n", "line 2: split is learn"},
        {"file,side\nn001.jpg,train\n", "columns path (or file, filename"},
        {"file,side\nn001.jpg,train\n", "it is: file,side"},
        {"path,split,split\nn001.jpg,train,valid\n", "two columns are called split"},
        {"path,split\nn001.jpg\n", "line 2: 1 columns"},
        {"path,split\nn001.jpg,train\n\nn001.jpg,valid\n", "lines 2 and 4 both name n001.jpg"},
        {"path,split\n\"n001.jpg,train\n", "line 2: a quote"},
        {"path,split\nn001.jpg,train\n", "no pictures for the validation part"},
        {"path,split\nn001.jpg,train\nn002.jpg,valid\na/0/n003.jpg,valid\n",
         "2 classes are only in the validation part"},
        {"path,split\nn001.jpg,train\nn002.jpg,valid\n", ": dog\xc3\xa9"},
    };
    struct opened *t = *state;
    struct split *p;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};

        assert_int_equal(split_csv(&p, t, bad[i].text, &err), -1);
        assert_null(p);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("no %s in: %s", bad[i].says, err.msg);
    }
}

static void empty_parts_are_refused(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    struct split *p;
    struct err err;

    o.valid = 0;
    assert_int_equal(split_make(&p, &o, t->s, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    o.valid = 1;
    assert_int_equal(split_make(&p, &o, t->s, &err), -1);
    assert_non_null(strstr(err.msg, "training part"));
    o.valid = 0.97;
    o.split_seed = 1;
    assert_int_equal(split_make(&p, &o, t->s, &err), -1);
    assert_non_null(strstr(err.msg, "only in the validation part"));
}

static void splits_have_names_and_hashes(void **state)
{
    static const struct {
        int split;
        bool stratify;
        const char *text;
    } cases[] = {{SPLIT_RANDOM, false, "random split (42)"},
                 {SPLIT_RANDOM, true, "random split (42, stratified)"},
                 {SPLIT_OFFICIAL, false, "official split (42)"},
                 {SPLIT_HASH, false, "hash split (42)"}};
    struct opened *t = *state;
    char hex[4][SHA256_HEX], again[SHA256_HEX], text[200];
    struct split *p;
    struct err err;

    for (int i = 0; i < 4; i++) {
        struct data_options o = options(cases[i].split);

        o.stratify = cases[i].stratify;
        split_text(text, sizeof text, &o);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(split_make(&p, &o, t->s, &err), 0);
        assert_int_equal(split_sha256(hex[i], p, t->s, &err), 0);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(hex[i], hex[k]);
        /* two pictures change sides, two change places: other splits */
        for (int k = 0; k < 2; k++) {
            uint32_t *other = k ? &p->train[1] : &p->valid[0], swap = p->train[0];

            p->train[0] = *other;
            *other = swap;
            assert_int_equal(split_sha256(again, p, t->s, &err), 0);
            assert_string_not_equal(hex[i], again);
            *other = p->train[0];
            p->train[0] = swap;
        }
        assert_int_equal(split_sha256(again, p, t->s, &err), 0);
        assert_string_equal(hex[i], again);
        split_free(p);
    }
    {
        struct data_options o = options(SPLIT_OFFICIAL);

        o.folds = 5;
        o.fold = 2;
        split_text(text, sizeof text, &o);
        assert_string_equal(text, "official split (42, fold 2 of 5)");
    }
    {
        struct data_options o = options(SPLIT_CSV);

        snprintf(o.csv, sizeof o.csv, "some/where/table.csv");
        split_text(text, sizeof text, &o);
        assert_string_equal(text, "csv split table.csv");
    }
}

/* Stratified, the official lists are cut class by class and the test part stays what it is. */
static void official_can_be_stratified(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_OFFICIAL);
    struct split *p, *q;
    struct err err;
    int n[SHARDS_CLASSES][2] = {{0}};

    assert_int_equal(split_make(&p, &o, t->s, &err), 0);
    o.stratify = true;
    o.valid = 0.4;
    assert_int_equal(split_make(&q, &o, t->s, &err), 0);
    assert_int_equal(p->n_test, q->n_test);
    assert_memory_equal(p->test, q->test, q->n_test * sizeof *q->test);
    check_partition(q, 33);
    for (uint32_t i = 0; i < q->n_valid; i++)
        n[shard_set_picture(t->s, q->valid[i])->label][0]++;
    for (uint32_t i = 0; i < q->n_train; i++)
        n[shard_set_picture(t->s, q->train[i])->label][1]++;
    for (int c = 0; c < SHARDS_CLASSES; c++)
        assert_true(abs(5 * n[c][0] - 2 * (n[c][0] + n[c][1])) <= 5); /* two fifths, but one */
    split_free(p);
    split_free(q);
}

/* Cuts all folds of O; checks that each is a partition, and writes the fold of each picture (0: none). */
static void cut_folds(int *fold, struct data_options *o, struct shard_set *s, uint32_t n)
{
    struct split *p;
    struct err err;

    memset(fold, 0, n * sizeof *fold);
    for (o->fold = 1; o->fold <= o->folds; o->fold++) {
        if (split_make(&p, o, s, &err) < 0)
            fail_msg("%s", err.msg);
        check_partition(p, n);
        for (uint32_t i = 0; i < p->n_valid; i++) {
            assert_int_equal(fold[p->valid[i]], 0);
            fold[p->valid[i]] = (int)o->fold;
        }
        split_free(p);
    }
    o->fold = 1;
}

static void each_picture_validates_in_one_fold(void **state)
{
    static const int kinds[] = {SPLIT_RANDOM, SPLIT_HASH, SPLIT_OFFICIAL};
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    struct split *p, *q;
    struct err err;
    int fold[33], per_class[SHARDS_CLASSES][6], per_fold[6];

    for (size_t k = 0; k < 3; k++) {
        o.split = kinds[k];
        o.folds = 4;
        cut_folds(fold, &o, t->s, 33);
        for (uint32_t i = 0; i < 33; i++)
            assert_int_equal(fold[i] > 0, kinds[k] != SPLIT_OFFICIAL ||
                                              shard_set_picture(t->s, i)->official == 0);
    }
    /* fold 1 of 5 is the plain split, in the same order */
    o.split = SPLIT_RANDOM;
    o.folds = 0;
    assert_int_equal(split_make(&p, &o, t->s, &err), 0);
    o.folds = 5;
    assert_int_equal(split_make(&q, &o, t->s, &err), 0);
    assert_int_equal(p->n_valid, q->n_valid);
    assert_memory_equal(p->valid, q->valid, p->n_valid * sizeof *p->valid);
    assert_memory_equal(p->train, q->train, p->n_train * sizeof *p->train);
    split_free(p);
    split_free(q);
    /* stratified: 11 of each class in 5 folds; the control: without, they are not all even */
    for (int even = 1; even >= 0; even--) {
        int uneven = 0;

        o.stratify = even;
        cut_folds(fold, &o, t->s, 33);
        memset(per_class, 0, sizeof per_class);
        memset(per_fold, 0, sizeof per_fold);
        for (uint32_t i = 0; i < 33; i++) {
            per_class[shard_set_picture(t->s, i)->label][fold[i]]++;
            per_fold[fold[i]]++;
        }
        for (int f = 1; f <= 5; f++) {
            assert_true(per_fold[f] == 6 || per_fold[f] == 7);
            for (int c = 0; c < SHARDS_CLASSES; c++)
                uneven += per_class[c][f] < 2 || per_class[c][f] > 3;
        }
        assert_int_equal(uneven == 0, even);
    }
}

static void bad_folds_are_explained(void **state)
{
    static const struct {
        int split, folds, fold;
        const char *says;
    } bad[] = {
        {SPLIT_RANDOM, 0, 2, "data.fold is 2, but there are no folds"},
        {SPLIT_RANDOM, 1, 1, "leaves no pictures to train with"},
        {SPLIT_RANDOM, 5, 6, "data.fold is 6, but data.folds is 5"},
        {SPLIT_CSV, 5, 1, "a csv names the validation pictures itself"},
        {SPLIT_RANDOM, 100, 1, "validation part (33 of 33 train, 0 validate, data.folds is 100"},
    };
    struct opened *t = *state;
    struct split *p;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct data_options o = options(bad[i].split);
        struct err err = {0};

        o.folds = bad[i].folds;
        o.fold = bad[i].fold;
        assert_int_equal(split_make(&p, &o, t->s, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("no %s in: %s", bad[i].says, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(randperm_is_torchs),
        cmocka_unit_test(random_is_the_first_of_the_permutation),
        cmocka_unit_test(official_keeps_the_test_part),
        cmocka_unit_test(stratified_shares_are_equal),
        cmocka_unit_test(hash_depends_on_path_and_seed_alone),
        cmocka_unit_test(csv_is_followed),
        cmocka_unit_test(bad_csvs_are_explained),
        cmocka_unit_test(empty_parts_are_refused),
        cmocka_unit_test(splits_have_names_and_hashes),
        cmocka_unit_test(official_can_be_stratified),
        cmocka_unit_test(each_picture_validates_in_one_fold),
        cmocka_unit_test(bad_folds_are_explained),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
