/* test_shard_writers.c - writers of one folder of shards: strangers keep apart, and several make the bytes
 * of one. SPDX-License-Identifier: MIT */
#include "shards.h"

static void two_writers_do_not_meet(void **state)
{
    struct shards t;
    struct shard_writer *first, *second;
    struct err err = {0};

    (void)state;
    shards_describe(&t, 33);
    assert_int_equal(shard_writer_open(&first, t.folder, &t.plan, &err), 0);
    assert_int_equal(shard_writer_open(&second, t.folder, &t.plan, &err), -1);
    assert_int_equal(err.kind, ERR_LOCKED);
    assert_int_equal(shards_add_all(&t, first, &err), 0);
    shard_writer_abort(first);
    assert_false(path_exists(shards_file(&t, "../shards-40.part")));
    assert_false(path_exists(t.folder));
    /* what a killed writer left is in nobody's way */
    assert_int_equal(path_make_dirs(shards_file(&t, "../shards-40.part/deep"), &err), 0);
    assert_int_equal(path_write(shards_file(&t, "../shards-40.part/deep/x"), "x", 1, &err), 0);
    assert_int_equal(shards_write(&t, &err), 0);
    assert_false(path_exists(shards_file(&t, "../shards-40.part")));
    shards_end(&t);
}

static bool interrupted; /* while shards are filled up */

/* What WRITERS make together, in turns of one process. SPOIL: one short shard is damaged before others read it. */
static int written_by(struct shards *t, uint32_t writers, bool spoil, struct err *err)
{
    struct shard_writer *w[8];
    struct shard_made made[SHARDS_MAX];
    uint32_t skipped[SHARDS_MAX], n_skipped = 0, n_made = 0, n;
    const volatile sig_atomic_t stop = interrupted;
    struct err other;
    uint64_t bytes = 0;
    int rc = 0;

    for (uint32_t i = 0; i < writers; i++) {
        t->plan.writer = i;
        t->plan.writers = writers;
        assert_int_equal(shard_writer_open(&w[i], t->folder, &t->plan, err), 0);
    }
    t->plan.writer = 0;
    assert_int_equal(shard_writer_open(&(struct shard_writer *){NULL}, t->folder, &t->plan, &other),
                     -1);
    assert_int_equal(other.kind, ERR_LOCKED);
    t->plan.writers = 0;
    for (uint32_t i = 0; i < writers; i++) {
        assert_int_equal(shards_add_all(t, w[i], err), 0);
        assert_int_equal(shard_writer_end(w[i], err), 0);
        bytes += shard_writer_bytes(w[i]);
    }
    for (uint32_t i = 0; i < t->dataset.n; i++)
        if (shards_skips(t, shard_writer_order(w[0], i)))
            skipped[n_skipped++] = i;
    for (uint32_t i = 0; i < writers; i++)
        assert_int_equal(shard_writer_leave_out(w[i], skipped, n_skipped, err), 0);
    if (spoil)
        assert_int_equal(truncate(shards_file(t, "../shards-40.part/shard-00001.h5"), 3000), 0);
    for (uint32_t i = 0; rc == 0 && n_skipped > 0 && i < writers; i++)
        rc = shard_writer_fill(w[i], &stop, err);
    for (uint32_t i = 0; rc == 0 && n_skipped > 0 && i < writers; i++)
        rc = shard_writer_replace(w[i], err);
    for (uint32_t i = 0; i < writers; i++) {
        const struct shard_made *own = shard_writer_made(w[i], &n);

        for (uint32_t k = 0; k < n; k++)
            made[n_made++] = own[k];
    }
    for (uint32_t i = 1; i < writers; i++)
        shard_writer_abort(w[i]);
    if (rc == 0)
        rc = shard_writer_take_over(w[0], made, n_made, bytes, err);
    if (rc < 0) {
        shard_writer_abort(w[0]);
        return -1;
    }
    return shard_writer_finish(w[0], err);
}

static void hash_all(const struct shards *t, char hex[8][SHA256_HEX], int *n)
{
    char name[32];

    *n = 0;
    assert_int_equal(sha256_file(shards_file(t, "index.json"), hex[(*n)++], NULL, NULL), 0);
    for (;; ++*n) {
        snprintf(name, sizeof name, "shard-%05d.h5", *n - 1);
        if (!path_exists(shards_file(t, name)))
            return;
        assert_true(*n < 8);
        assert_int_equal(sha256_file(shards_file(t, name), hex[*n], NULL, NULL), 0);
    }
}

/* 53 pictures in shards of 10; more writers than shards; none, some, whole shards of pictures left out. */
static void several_writers_make_the_bytes_of_one(void **state)
{
    static const uint64_t skips[] = {0, 1, 0x10204080100, UINT64_MAX >> 12, 0x7fffffffff};
    char one[8][SHA256_HEX], several[8][SHA256_HEX], before[8][SHA256_HEX] = {""};
    struct shards t;
    struct err err = {0};
    int n, m;

    (void)state;
    shards_describe(&t, 53);
    for (size_t s = 0; s < sizeof skips / sizeof *skips; s++) {
        t.options.storage = (int)s % 3;
        t.skips = skips[s];
        assert_int_equal(shards_write(&t, &err), 0);
        hash_all(&t, one, &n);
        assert_string_not_equal(one[0], before[0]); /* the control: other pictures, other bytes */
        memcpy(before, one, sizeof before);
        for (uint32_t writers = 2; writers <= 7; writers += writers == 3 ? 4 : 1) {
            assert_int_equal(written_by(&t, writers, false, &err), 0);
            hash_all(&t, several, &m);
            assert_int_equal(m, n);
            assert_memory_equal(several, one, (size_t)n * sizeof *one);
            assert_false(path_exists(shards_file(&t, "../shards-40.part")));
            assert_false(path_exists(shards_file(&t, "full-00000.h5")));
        }
    }
    t.skips = 1; /* a short shard that is no longer whole: refused, and the finished shards stay */
    assert_int_equal(written_by(&t, 2, true, &err), -1);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "shard-00001.h5"));
    hash_all(&t, several, &m);
    assert_memory_equal(several, one, (size_t)n * sizeof *one);
    interrupted = true;
    assert_int_equal(written_by(&t, 2, false, &err), -1);
    assert_int_equal(err.kind, ERR_STOPPED);
    interrupted = false;
    t.skips = UINT64_MAX;
    assert_int_equal(written_by(&t, 2, false, &err), -1);
    assert_non_null(strstr(err.msg, "not one picture is left"));
    shards_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_writers_do_not_meet),
        cmocka_unit_test(several_writers_make_the_bytes_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
