/* test_twins.c - duplicates of a prepared set: found again, kept on one side of a split, or named; and the split by
 * folders, and what a split says about what it leaves out. SPDX-License-Identifier: MIT */
#include "shards.h"

#include "data/shard.h"
#include "data/split.h"
#include "data/twins.h"

enum { N = 40 };

static struct shards t;
static struct shard_set *set;

/* N pictures; GROUPS (taken over, may be NULL) is what prep found. FOLDERS: of each picture, NULL: as they are. */
static void make(json_t *groups, const char *const *folders)
{
    struct shard_writer *w;
    struct err err = {0};

    shards_describe(&t, N);
    for (uint32_t i = 0; folders && i < N; i++) {
        snprintf(t.names[i], sizeof t.names[i], "%s/%02u.jpg", folders[i * 4 / N], i);
        t.items[i].path = t.names[i];
        t.items[i].label = (int32_t)(i % SHARDS_CLASSES);
    }
    if (shard_writer_open(&w, t.folder, &t.plan, &err) < 0 || shards_add_all(&t, w, &err) < 0 ||
        (groups && shard_writer_record(w, "duplicates", groups, &err) < 0) ||
        shard_writer_finish(w, &err) < 0 || shard_set_open(&set, t.folder, &err) < 0)
        fail_msg("%s", err.msg);
}

static void drop(void)
{
    shard_set_close(set);
    shards_end(&t);
}

static struct data_options options(int split)
{
    struct data_options o = {0};

    memset(&o, 0, sizeof o);
    keys_default(&(struct key_table){data_keys, 0}, 1, KEYS_NEWEST, &o);
    o.split = split;
    return o;
}

static struct split *cut(const struct data_options *o)
{
    struct split *p;
    struct err err;

    if (split_make(&p, o, set, &err) < 0)
        fail_msg("%s", err.msg);
    return p;
}

/* Of the first half of the pictures, each with the one a quarter of all further on. */
static json_t *pairs(void)
{
    json_t *list = json_array();

    shards_describe(&t, N);
    for (int i = 0; i < N / 4; i++)
        json_array_append_new(list, json_pack("{s:b, s:[s, s]}", "exact", i % 2, "paths",
                                              t.items[i].path, t.items[i + N / 4].path));
    shards_end(&t);
    return list;
}

static void groups_come_from_the_index(void **state)
{
    uint32_t twin[N];
    struct err err;

    (void)state;
    make(pairs(), NULL);
    assert_int_equal(twins_find(twin, set, &err), 0);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(twin[i], i >= N / 4 && i < N / 2 ? i - N / 4 : i);
    drop();
    make(json_pack("[{s:[s, s]}]", "paths", "n001.jpg", "none.jpg"), NULL);
    assert_int_equal(twins_find(twin, set, &err), -1);
    assert_non_null(strstr(err.msg, "duplicates"));
    drop();
    make(NULL, NULL); /* an older prep: by pixels, which here all differ */
    assert_int_equal(twins_find(twin, set, &err), 0);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(twin[i], i);
    drop();
}

static void a_part_may_not_vanish(void **state)
{
    struct data_options o = options(SPLIT_RANDOM);
    json_t *all = json_array();
    struct split *p;
    struct err err;

    (void)state;
    shards_describe(&t, N);
    for (int i = 0; i < N; i++)
        json_array_append_new(all, json_string(t.items[i].path));
    shards_end(&t);
    make(json_pack("[{s:o}]", "paths", all), NULL); /* all are one picture */
    assert_int_equal(split_make(&p, &o, set, &err), -1);
    assert_non_null(strstr(err.msg, "data.duplicates=as_split"));
    drop();
}

static void duplicates_stay_on_one_side(void **state)
{
    struct data_options o = options(SPLIT_RANDOM);
    uint8_t torch[N] = {0};
    struct split *as, *together;

    (void)state;
    make(pairs(), NULL);
    o.duplicates = DUPLICATES_AS_SPLIT;
    as = cut(&o);
    assert_int_equal(as->n_valid, N / 5);
    assert_true(as->n_leaks > 0 && as->remarks.of[REMARK_LEAKS].n == as->n_leaks);
    for (uint32_t i = 0; i < as->n_valid; i++)
        torch[as->valid[i]] = 1;
    o.duplicates = DUPLICATES_TOGETHER;
    together = cut(&o);
    assert_int_equal(together->n_leaks, 0);
    assert_int_equal(together->remarks.of[REMARK_COPIES_TO_TRAINING].n, as->n_leaks);
    assert_int_equal(together->n_valid, as->n_valid - as->n_leaks);
    assert_int_equal(together->n_valid + together->n_train, N);
    for (uint32_t i = 0; i < together->n_valid; i++)
        assert_true(torch[together->valid[i]]);
    split_free(as);
    split_free(together);
    drop();
}

/* Every picture validates once, each beside its duplicate; a control without together parts some. Stratified, a class
 * of which all pictures are duplicates always trains. */
static void duplicates_share_a_fold(void **state)
{
    struct data_options o = options(SPLIT_RANDOM);
    json_t *groups = pairs(), *class_0 = json_array();

    (void)state;
    make(groups, NULL);
    o.folds = 4;
    for (o.duplicates = DUPLICATES_TOGETHER; o.duplicates <= DUPLICATES_AS_SPLIT; o.duplicates++) {
        uint32_t leaks = 0, valid = 0;

        for (o.fold = 1; o.fold <= 4; o.fold++) {
            struct split *p = cut(&o);

            leaks += p->n_leaks;
            valid += p->n_valid;
            split_free(p);
        }
        assert_int_equal(valid, N);
        assert_int_equal(leaks == 0, o.duplicates == DUPLICATES_TOGETHER);
    }
    for (uint32_t i = 0; i < N; i++)
        if (shard_set_picture(set, i)->label == 0)
            json_array_append_new(class_0, json_string(shard_set_picture(set, i)->path));
    drop();
    make(json_pack("[{s:o}]", "paths", class_0), NULL);
    o.duplicates = DUPLICATES_TOGETHER;
    o.stratify = true;
    for (o.fold = 1; o.fold <= 4; o.fold++) {
        struct split *p = cut(&o);

        for (uint32_t i = 0; i < p->n_valid; i++)
            assert_int_not_equal(shard_set_picture(set, p->valid[i])->label, 0);
        split_free(p);
    }
    drop();
}

static void without_duplicates_nothing_changes(void **state)
{
    struct data_options o = options(SPLIT_RANDOM);
    char hex[2][SHA256_HEX];
    struct err err;

    (void)state;
    make(json_array(), NULL);
    for (int i = 0; i < 2; i++) {
        struct split *p;

        o.duplicates = i ? DUPLICATES_AS_SPLIT : DUPLICATES_TOGETHER;
        p = cut(&o);
        assert_int_equal(split_sha256(hex[i], p, set, &err), 0);
        assert_int_equal(p->n_leaks, 0);
        split_free(p);
    }
    assert_string_equal(hex[0], hex[1]);
    drop();
}

static void other_splits_move_nothing_and_name_leaks(void **state)
{
    struct data_options o = options(SPLIT_HASH);
    struct split *p;

    (void)state;
    make(pairs(), NULL);
    p = cut(&o);
    assert_int_equal(p->remarks.of[REMARK_COPIES_TO_TRAINING].n, 0);
    assert_true(p->n_leaks > 0);
    split_free(p);
    drop();
}

static void folders_are_parts(void **state)
{
    static const char *const all[] = {"a/train", "b/Valid", "c/test", "d/other"};
    static const char *const two[] = {"a/train2017", "b/training", "c/test1", "d/test1"};
    struct data_options o = options(SPLIT_FOLDER);
    struct split *p;
    struct err err;

    (void)state;
    make(NULL, all);
    p = cut(&o);
    assert_int_equal(p->n_train, N / 4);
    assert_int_equal(p->n_valid, N / 4);
    assert_int_equal(p->n_test, N / 4);
    assert_int_equal(p->remarks.of[REMARK_IN_NO_PART].n, N / 4);
    split_free(p);
    o.split = SPLIT_RANDOM; /* control: another split says that it mixes them */
    p = cut(&o);
    assert_int_equal(p->remarks.of[REMARK_FOLDERS_NOT_USED].n, 3 * N / 4);
    split_free(p);
    drop();
    make(NULL, two); /* none is for validation: a share of those to train with */
    o.split = SPLIT_FOLDER;
    p = cut(&o);
    assert_int_equal(p->n_valid, N / 10);
    assert_int_equal(p->n_train, N / 2 - N / 10);
    assert_int_equal(p->n_test, N / 2);
    split_free(p);
    drop();
    make(NULL, NULL);
    assert_int_equal(split_make(&p, &o, set, &err), -1);
    assert_non_null(strstr(err.msg, "folder called train"));
    drop();
}

static void write_table(const char *path, const char *text)
{
    struct err err;

    assert_int_equal(path_write(path, text, strlen(text), &err), 0);
}

static void what_is_left_out_is_named(void **state)
{
    struct data_options o = options(SPLIT_CSV);
    struct split *p;

    (void)state;
    make(NULL, NULL);
    /* n001 and n004 have label 1, n002 label 2; nobody has label 0 */
    snprintf(o.csv, sizeof o.csv, "%s/parts.csv", t.scratch);
    write_table(o.csv, "file;set\nn001;Training\nn004;val\nn002.jpg;train\n");
    p = cut(&o);
    assert_int_equal(p->n_left_out, N - 3);
    assert_int_equal(p->remarks.of[REMARK_IN_NO_PART].n, N - 3);
    assert_int_equal(p->remarks.of[REMARK_CLASSES_IN_NO_PART].n, 1);
    assert_non_null(strstr(p->remarks.of[REMARK_CLASSES_IN_NO_PART].example[0], "Cat_A"));
    assert_int_equal(p->remarks.of[REMARK_CLASSES_NOT_VALIDATED].n, 1);
    split_free(p);
    write_table(o.csv, "path,is_valid\nn001,False\nn004,True\nn002,0\n");
    p = cut(&o);
    assert_int_equal(p->n_valid, 1);
    assert_int_equal(p->n_train, 2);
    split_free(p);
    drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_come_from_the_index),
        cmocka_unit_test(duplicates_stay_on_one_side),
        cmocka_unit_test(duplicates_share_a_fold),
        cmocka_unit_test(a_part_may_not_vanish),
        cmocka_unit_test(without_duplicates_nothing_changes),
        cmocka_unit_test(other_splits_move_nothing_and_name_leaks),
        cmocka_unit_test(folders_are_parts),
        cmocka_unit_test(what_is_left_out_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
