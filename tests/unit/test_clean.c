/* test_clean.c - data.clean drops and relabels without moving a picture, and says what is wrong with a table;
 * data.plant makes the same labels wrong in all folds. SPDX-License-Identifier: MIT */
#include "opened.h"

#include "data/split.h"

/* data.clean of O becomes a table of TEXT. */
static void put_table(struct data_options *o, const struct opened *t, const char *text)
{
    struct err err = {0};

    snprintf(o->clean, sizeof o->clean, "%s/clean.csv", t->t.scratch);
    assert_int_equal(path_write(o->clean, text, strlen(text), &err), 0);
}

static struct split *made(const struct data_options *o, struct shard_set *s)
{
    struct err err = {0};
    struct split *p;

    if (split_make(&p, o, s, &err) < 0)
        fail_msg("%s", err.msg);
    return p;
}

static uint32_t rank_of(const struct shard_set *s, const char *path)
{
    for (uint32_t i = 0; i < shard_set_count(s); i++)
        if (strcmp(shard_set_picture(s, i)->path, path) == 0)
            return i;
    fail_msg("no %s", path);
    return 0;
}

/* The N ranks of NOW are those of BEFORE without rank A and rank B. */
static void same_without(const uint32_t *now, uint32_t n, const uint32_t *before, uint32_t m,
                         uint32_t a, uint32_t b)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < m; i++) {
        if (before[i] == a || before[i] == b)
            continue;
        assert_true(k < n);
        assert_int_equal(now[k++], before[i]);
    }
    assert_int_equal(k, n);
}

static void no_picture_changes_sides(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    struct split *before = made(&o, t->s), *p;
    const char *dropped[2] = {shard_set_picture(t->s, before->valid[1])->path,
                              shard_set_picture(t->s, before->train[3])->path};
    const uint32_t changed = before->train[7];
    const int32_t was = shard_set_picture(t->s, changed)->label, is = (was + 1) % SHARDS_CLASSES;
    char text[600], hex[2][SHA256_HEX];
    struct err err;

    snprintf(text, sizeof text,
             "path;action;label;why\n%s;drop;;blurred\n./%s;Drop;;\n%s;relabel;%s;seen\n",
             dropped[0], dropped[1], shard_set_picture(t->s, changed)->path,
             shard_set_label(t->s, is));
    put_table(&o, t, text);
    p = made(&o, t->s);
    same_without(p->valid, p->n_valid, before->valid, before->n_valid, rank_of(t->s, dropped[0]),
                 UINT32_MAX);
    same_without(p->train, p->n_train, before->train, before->n_train, rank_of(t->s, dropped[1]),
                 UINT32_MAX);
    assert_int_equal(shard_set_picture(t->s, changed)->label, is);
    assert_int_equal(shard_set_picture(t->s, changed)->stored_label, was);
    assert_int_equal(p->cleaning.dropped[0], 1);
    assert_int_equal(p->cleaning.dropped[1], 1);
    assert_int_equal(p->cleaning.relabelled[0], 1);
    assert_int_equal(p->remarks.of[REMARK_DROPPED].n, 2);
    assert_int_equal(p->remarks.of[REMARK_RELABELLED].n, 1);
    assert_int_equal(p->remarks.of[REMARK_CLEAN_WITHOUT_EFFECT].n, 0);
    assert_int_equal(split_sha256(hex[0], before, t->s, &err), 0);
    assert_int_equal(split_sha256(hex[1], p, t->s, &err), 0);
    assert_string_not_equal(hex[0], hex[1]);
    split_free(p);
    o.clean[0] = 0; /* the labels of the shards are back */
    p = made(&o, t->s);
    assert_int_equal(shard_set_picture(t->s, changed)->label, was);
    assert_int_equal(p->n_valid, before->n_valid);
    split_free(p);
    split_free(before);
}

/* Stratified parts are cut by the labels of the shards: with those of the table, pictures would move. */
static void strata_are_those_of_the_shards(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    struct split *before, *p;
    char text[2000] = "path,action,label\n";

    o.stratify = true;
    before = made(&o, t->s);
    for (uint32_t i = 0; i < 8; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s,relabel,%s\n",
                 shard_set_picture(t->s, before->train[i])->path,
                 shard_set_label(t->s, (shard_set_picture(t->s, before->train[i])->label + 1) %
                                           SHARDS_CLASSES));
    put_table(&o, t, text);
    p = made(&o, t->s);
    assert_int_equal(p->n_valid, before->n_valid);
    assert_memory_equal(p->valid, before->valid, p->n_valid * sizeof *p->valid);
    split_free(p);
    split_free(before);
}

static void rows_without_effect_are_told(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_OFFICIAL);
    const struct remark *m;
    struct split *p;
    char text[600];
    uint32_t out = 0;

    while (shard_set_picture(t->s, out)->official != -1)
        out++;
    snprintf(text, sizeof text,
             "path,action,label\n%s,drop,\nn001.jpg,keep,\nn001.jpg,keep,\nn002,relabel,%s\n",
             shard_set_picture(t->s, out)->path,
             shard_set_label(t->s, shard_set_picture(t->s, rank_of(t->s, "n002.jpg"))->label));
    put_table(&o, t, text);
    p = made(&o, t->s);
    m = &p->remarks.of[REMARK_CLEAN_WITHOUT_EFFECT];
    assert_int_equal(m->n, 3);
    assert_string_equal(m->example[0], "line 4: n001.jpg, as line 3");
    assert_non_null(strstr(m->example[1], "is in no part of the split"));
    assert_non_null(strstr(m->example[2], "line 5: n002 has that label already"));
    assert_int_equal(p->cleaning.kept, 1);
    split_free(p);
}

static void bad_tables_are_explained(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"path,action\nn001.jpg,drop\nn999.jpg,keep\nn998.jpg,keep\n",
         "2 rows name no picture of the set (or one that another row names): line 4: n998.jpg, "
         "line 3: n999.jpg"},
        {"path,action\nn001.jpg,delete\n",
         "line 2: n001.jpg: the action is 'delete', not keep, drop or relabel"},
        {"path,action,label\n\nn001.jpg,relabel,Cat_B\n",
         "line 3: n001.jpg: the set has no label 'Cat_B'; is 'Cat_A' meant?"},
        {"path,action,label\nn001.jpg,relabel,\n", "line 2: n001.jpg: relabel needs the right"},
        {"path,action\nn001.jpg,relabel\n", "line 2: n001.jpg: relabel needs the right label"},
        {"path,action,label\nn002.jpg,drop,\nn001.jpg,keep,\nn002.jpg,keep,\n",
         "lines 2 and 4 contradict one another about n002.jpg: drop and keep; keep one"},
        {"path,action,label\nn001.jpg,relabel,Cat_A\nn001.jpg,relabel,dog\xc3\xa9\n",
         "lines 2 and 3 contradict one another about n001.jpg"},
        {"path,action,label\nn001.jpg,keep,Cat_A\n",
         "line 2: n001.jpg: keep, but its label is dog b, not Cat_A (relabel changes it)"},
        {"path,action,label\nn001,drop,\nn001.jpg,drop,\n",
         "1 row names no picture of the set (or one that another row names): line 2: n001"},
        {"path,label\nn001.jpg,Cat_A\n", "must name the columns"},
        {"", "must name the columns"},
    };
    struct opened *t = *state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct data_options o = options(SPLIT_RANDOM);
        struct err err = {0};
        struct split *p;

        put_table(&o, t, bad[i].text);
        if (split_make(&p, &o, t->s, &err) == 0)
            fail_msg("taken: %s", bad[i].text);
        assert_null(p);
        if (!strstr(err.msg, bad[i].says) || !strstr(err.msg, "clean.csv"))
            fail_msg("no \"%s\" in: %s", bad[i].says, err.msg);
    }
}

static void a_part_may_not_become_empty(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    struct split *before = made(&o, t->s), *p;
    char text[2000] = "path,action\n";
    struct err err = {0};

    for (uint32_t i = 0; i < before->n_valid; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s,drop\n",
                 shard_set_picture(t->s, before->valid[i])->path);
    put_table(&o, t, text);
    assert_int_equal(split_make(&p, &o, t->s, &err), -1);
    assert_non_null(strstr(err.msg, "data.clean drops 6 pictures"));
    split_free(before);
}

/* A cell that a spreadsheet would run is written with a ' before it, and read without. */
static void guarded_cells_are_read(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    struct err err = {0};
    struct split *p;

    put_table(&o, t, "path,action\n'=n.jpg,drop\n");
    assert_int_equal(split_make(&p, &o, t->s, &err), -1);
    assert_non_null(strstr(err.msg, "line 2: =n.jpg"));
}

static void folds_have_the_same_wrong_labels(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_OFFICIAL);
    int32_t labels[2][33];
    uint32_t valid = 0;
    struct split *p;
    json_t *record;

    o.folds = 3;
    o.plant = 0.2;
    for (o.fold = 1; o.fold <= o.folds; o.fold++) {
        p = made(&o, t->s);
        assert_int_equal(p->cleaning.n_planted, (p->n_train + p->n_valid + 2) / 5);
        for (uint32_t i = 0, k = 0; i < 33; i++) {
            const struct shard_picture *q = shard_set_picture(t->s, i);
            const bool planted = k < p->cleaning.n_planted && p->cleaning.planted[k].rank == i;

            labels[o.fold > 1][i] = q->label;
            assert_int_equal(q->label != q->stored_label, planted);
            if (planted) {
                assert_int_equal(q->official, 0); /* test labels stay real */
                assert_int_equal(p->cleaning.planted[k].right, q->stored_label);
                assert_int_equal(p->cleaning.planted[k++].wrong, q->label);
            }
        }
        if (o.fold > 1)
            assert_memory_equal(labels[0], labels[1], sizeof labels[0]);
        valid += p->cleaning.planted_valid;
        if (o.fold == o.folds)
            assert_int_equal(valid, p->cleaning.n_planted); /* each in one fold */
        record = split_cleaning_json(p, &o);
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(record, "planted"), "pictures")),
            p->cleaning.n_planted);
        json_decref(record);
        split_free(p);
    }
    o.fold = 1;
    o.split_seed = 43; /* control: another seed, other pictures */
    p = made(&o, t->s);
    for (uint32_t i = 0; i < 33; i++)
        labels[1][i] = shard_set_picture(t->s, i)->label;
    assert_memory_not_equal(labels[0], labels[1], sizeof labels[0]);
    split_free(p);
}

static void both_stand_beside_figures(void **state)
{
    struct opened *t = *state;
    struct data_options o = options(SPLIT_RANDOM);
    char text[1200];
    struct split *p = made(&o, t->s);
    json_t *record = split_cleaning_json(p, &o);

    assert_true(json_is_null(record));
    json_decref(record);
    split_free(p);
    snprintf(o.clean, sizeof o.clean, "some/where.csv");
    o.plant = 0.03;
    split_text(text, sizeof text, &o);
    assert_string_equal(text,
                        "random split (42), cleaned by where.csv, 3 % of labels wrong on purpose");
    assert_string_equal(split_clean_file(&o), "some/where.csv");
    snprintf(o.clean_copy, sizeof o.clean_copy, "run/clean.csv"); /* a run reads its own */
    assert_string_equal(split_clean_file(&o), "run/clean.csv");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_picture_changes_sides),
        cmocka_unit_test(strata_are_those_of_the_shards),
        cmocka_unit_test(rows_without_effect_are_told),
        cmocka_unit_test(bad_tables_are_explained),
        cmocka_unit_test(a_part_may_not_become_empty),
        cmocka_unit_test(guarded_cells_are_read),
        cmocka_unit_test(folds_have_the_same_wrong_labels),
        cmocka_unit_test(both_stand_beside_figures),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
