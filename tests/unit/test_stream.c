/* test_stream.c - the same batches whatever is read ahead, errors in their place, resumption.
 * SPDX-License-Identifier: MIT */
#include "shards.h"

#include <math.h>
#include <fcntl.h>

#include "data/policy.h"
#include "data/stream.h"

struct opened {
    struct shards t;
    struct shard_set *s;
    uint32_t ranks[33];
    struct augment_options augment;
};

static int set_up_stored(void **state, int storage)
{
    struct opened *o = calloc(1, sizeof *o);
    struct err err;

    assert_non_null(o);
    shards_describe(&o->t, 33);
    o->t.options.storage = storage;
    assert_int_equal(shards_write(&o->t, &err), 0);
    assert_int_equal(shard_set_open(&o->s, o->t.folder, &err), 0);
    for (uint32_t i = 0; i < 33; i++)
        o->ranks[i] = 32 - i;
    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o->augment);
    *state = o;
    return 0;
}

static int set_up(void **state)
{
    return set_up_stored(state, STORAGE_RAW);
}

static int set_up_jpeg(void **state)
{
    return set_up_stored(state, STORAGE_JPEG);
}

static int tear_down(void **state)
{
    struct opened *o = *state;

    shard_set_close(o->s);
    shards_end(&o->t);
    free(o);
    return 0;
}

static struct stream_options training(const struct opened *o)
{
    return (struct stream_options){.ranks = o->ranks,
                                   .n = 33,
                                   .batch = 5,
                                   .size = 32,
                                   .train = true,
                                   .augment = &o->augment,
                                   .seed = 11,
                                   .epoch = 2,
                                   .prefetch = 2,
                                   .verify = true};
}

/* Reads on to the end; SHA-256 of all that was handed out. PAUSE_US between batches. */
static uint32_t drain(struct stream *s, char hex[SHA256_HEX], useconds_t pause_us)
{
    const struct picture *p;
    const uint32_t *ranks;
    struct sha256 *sha;
    struct err err;
    uint32_t batches = 0;
    int n, rc;

    assert_int_equal(sha256_new(&sha, &err), 0);
    while ((rc = stream_next(s, &p, &ranks, &n, &err)) == 1) {
        usleep(pause_us);
        for (int i = 0; i < n; i++) {
            sha256_update(sha, p[i].pixels, (size_t)p[i].height * (size_t)p[i].width * 3);
            sha256_update(sha, &p[i].map, sizeof p[i].map);
            sha256_update(sha, &p[i].label, sizeof p[i].label);
            sha256_update(sha, &p[i].position, sizeof p[i].position);
            sha256_update(sha, &ranks[i], sizeof ranks[i]);
        }
        batches++;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(stream_next(s, &p, &ranks, &n, &err), 0);
    sha256_hex(sha, hex);
    sha256_free(sha);
    return batches;
}

static void hash_of(const struct opened *t, const struct stream_options *o, char hex[SHA256_HEX],
                    useconds_t pause_us)
{
    struct stream *s;
    struct err err;

    assert_int_equal(stream_open(&s, t->s, o, &err), 0);
    drain(s, hex, pause_us);
    assert_true(stream_wait_seconds(s) >= 0);
    stream_close(s);
}

static void prefetch_and_readers_change_nothing(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    char first[SHA256_HEX], other[SHA256_HEX];

    hash_of(t, &o, first, 0);
    for (o.prefetch = 1; o.prefetch <= 4; o.prefetch++)
        for (o.readers = 0; o.readers <= 7; o.readers += o.readers < 3 ? 1 : 4)
            for (useconds_t pause = 0; pause <= 300; pause += 300) {
                hash_of(t, &o, other, pause);
                assert_string_equal(first, other);
            }
    o.prefetch = 40; /* more than there are */
    hash_of(t, &o, other, 0);
    assert_string_equal(first, other);
    o.seed++;
    hash_of(t, &o, other, 0);
    assert_string_not_equal(first, other);
    o = training(t);
    o.epoch++;
    hash_of(t, &o, other, 0);
    assert_string_not_equal(first, other);
}

static void a_training_epoch_takes_each_picture_once(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *s;
    const struct picture *p;
    const uint32_t *ranks;
    struct err err;
    uint8_t seen[33] = {0}, pixels[40000];
    uint32_t position = 0;
    int n, in_order = 0;

    assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
    assert_int_equal(stream_batches(s), 6); /* 3 of 33 are left over */
    while (stream_next(s, &p, &ranks, &n, &err) == 1) {
        assert_int_equal(n, 5);
        for (int i = 0; i < n; i++, position++) {
            const struct shard_picture *q = shard_set_picture(t->s, ranks[i]);

            assert_int_equal(seen[ranks[i]]++, 0);
            assert_int_equal(p[i].position, position);
            assert_int_equal(p[i].label, q->label);
            assert_int_equal(p[i].height, q->height);
            assert_int_equal(p[i].width, q->width);
            shards_pixels(&t->t, ranks[i], pixels);
            assert_memory_equal(p[i].pixels, pixels, shards_size(ranks[i]));
            in_order += ranks[i] == 32 - position;
        }
    }
    assert_int_equal(position, 30);
    assert_true(in_order < 10);
    stream_close(s);
}

/* What is peeked at is what comes next, and the batch before it stays. */
static void the_next_batch_can_be_seen(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *s;
    const struct picture *p, *next, *seen = NULL;
    const uint32_t *ranks;
    struct err err;
    int n, n_next, peeked = 0;

    o.prefetch = 1;
    assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
    while (stream_next(s, &p, &ranks, &n, &err) == 1) {
        const uint32_t first = p[0].position;

        assert_true(!seen || seen == p);
        for (int tries = 0; tries < 100 && !stream_peek(s, &next, &n_next); tries++)
            usleep(1000);
        seen = next;
        if (next) {
            peeked++;
            assert_int_equal(n_next, 5);
            assert_int_equal(next[0].position, first + 5);
        }
        assert_int_equal(p[0].position, first);
    }
    assert_int_equal(peeked, 5); /* of 6: nothing comes after the last */
    stream_close(s);
}

static void evaluation_keeps_order_and_the_last_batch(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *s;
    const struct picture *p;
    const uint32_t *ranks;
    struct sample_map centre;
    struct err err;
    uint32_t position = 0;
    int n = 0, last = 0;

    o.train = false;
    assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
    assert_int_equal(stream_batches(s), 7);
    while (stream_next(s, &p, &ranks, &n, &err) == 1) {
        last = n;
        for (int i = 0; i < n; i++, position++) {
            assert_int_equal(ranks[i], 32 - position);
            augment_centre(&centre, p[i].height, p[i].width, 32);
            assert_memory_equal(&centre, &p[i].map, sizeof centre);
        }
    }
    assert_int_equal(position, 33);
    assert_int_equal(last, 3);
    stream_close(s);
}

/* Mode fastai: one crop for all pictures of a batch, another for the next; validation takes all. */
static void a_batch_shares_its_crop(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *s;
    const struct picture *p;
    const uint32_t *ranks;
    struct err err;
    int n, batches = 0, distinct = 0;
    double before = -1;

    t->augment.mode = AUGMENT_FASTAI;
    assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
    while (stream_next(s, &p, &ranks, &n, &err) == 1) {
        double share = (double)p[0].map.two.crop_side / p[0].map.two.side;

        for (int i = 0; i < n; i++) {
            const struct two_steps *two = &p[i].map.two;

            assert_int_equal(two->side, p[i].height < p[i].width ? p[i].height : p[i].width);
            assert_true(fabs((double)two->crop_side / two->side - share) <= 1.0 / two->side);
        }
        batches++;
        distinct += fabs(share - before) > 1e-9;
        before = share;
    }
    stream_close(s);
    assert_int_equal(batches, 6);
    assert_true(distinct > 3);
    o.train = false;
    assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
    while (stream_next(s, &p, &ranks, &n, &err) == 1)
        for (int i = 0; i < n; i++) {
            assert_true(p[i].map.two.side > 0);
            assert_int_equal(p[i].map.two.crop_side, p[i].map.two.side);
            assert_int_equal(p[i].map.lighting, 0);
        }
    stream_close(s);
    t->augment.mode = AUGMENT_PRESIZE;
}

/* augment.policy: in training a picture is what its operation makes of the set's pixels, elsewhere these. */
static void a_policy_changes_training_pixels(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    const struct picture *p;
    const uint32_t *ranks;
    struct stream *s;
    struct err err;
    int n, changed[2] = {0}, all[2] = {0};

    t->augment.policy = POLICY_TRIVIAL;
    for (int train = 0; train < 2; train++) {
        o.train = train;
        assert_int_equal(stream_changes_pixels(&o), train);
        assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
        while (stream_next(s, &p, &ranks, &n, &err) == 1)
            for (int i = 0; i < n; i++) {
                const struct policy drawn = policy_draw(o.seed, o.epoch, p[i].position);
                const size_t bytes = (size_t)p[i].height * (size_t)p[i].width * 3;
                uint8_t *own = malloc(bytes), *want = malloc(bytes);

                assert_true(own && want);
                assert_int_equal(shard_set_read(t->s, ranks[i], own, true, &err), 0);
                memcpy(want, own, bytes);
                if (train)
                    assert_int_equal(policy_apply(want, p[i].height, p[i].width, &drawn, &err), 0);
                assert_memory_equal(p[i].pixels, want, bytes);
                changed[train] += memcmp(own, want, bytes) != 0;
                all[train]++;
                free(own);
                free(want);
            }
        stream_close(s);
    }
    assert_int_equal(changed[0], 0);
    assert_true(changed[1] > all[1] / 3 && changed[1] < all[1]); /* 8 of 14 kinds change pixels */
    o.train = true;
    t->augment.mode = AUGMENT_FASTAI;
    assert_int_equal(stream_open(&s, t->s, &o, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "augment.policy"));
    t->augment.mode = AUGMENT_PRESIZE;
    t->augment.policy = POLICY_NONE;
}

static void any_batch_can_be_first(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    const struct picture *p;
    const uint32_t *ranks, *resumed;
    struct stream *whole, *rest;
    struct err err;
    int n;

    assert_int_equal(stream_open(&whole, t->s, &o, &err), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(stream_next(whole, &p, &ranks, &n, &err), 1);
    o.first_batch = 4;
    assert_int_equal(stream_open(&rest, t->s, &o, &err), 0);
    for (int i = 4; i < 6; i++) {
        const struct picture *q;

        assert_int_equal(stream_next(whole, &p, &ranks, &n, &err), 1);
        assert_int_equal(stream_next(rest, &q, &resumed, &n, &err), 1);
        assert_memory_equal(ranks, resumed, sizeof *ranks * 5);
        assert_memory_equal(&p[4].map, &q[4].map, sizeof p[4].map);
        assert_int_equal(p[4].position, q[4].position);
    }
    assert_int_equal(stream_next(rest, &p, &ranks, &n, &err), 0);
    stream_close(rest);
    stream_close(whole);
    o.first_batch = 6; /* nothing left */
    assert_int_equal(stream_open(&rest, t->s, &o, &err), 0);
    assert_int_equal(stream_next(rest, &p, &ranks, &n, &err), 0);
    stream_close(rest);
}

/* A share of each batch: everything is told of all pictures, but pixels of it and of its partners alone. */
static void a_slice_has_its_pixels_alone(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    const struct picture *p, *q;
    const uint32_t *ranks, *same;
    struct stream *whole, *part;
    struct err err;
    int n, left_out = 0;

    t->augment.mixup = 0.4;
    assert_int_equal(stream_open(&whole, t->s, &o, &err), 0);
    o.slice = 3;
    o.slices = 5;
    assert_int_equal(stream_open(&part, t->s, &o, &err), 0);
    while (stream_next(whole, &p, &ranks, &n, &err) == 1) {
        const struct mix *mixes = stream_mixes(whole);

        assert_int_equal(stream_next(part, &q, &same, &n, &err), 1);
        assert_int_equal(n, 5);
        assert_memory_equal(ranks, same, 5 * sizeof *ranks);
        assert_memory_equal(mixes, stream_mixes(part), 5 * sizeof *mixes);
        for (int i = 0; i < n; i++) {
            assert_memory_equal(&p[i].map, &q[i].map, sizeof p->map);
            assert_true(p[i].position == q[i].position && p[i].label == q[i].label);
            assert_int_equal(q[i].pixels != NULL, i == 3 || i == mixes[3].partner);
            if (q[i].pixels)
                assert_memory_equal(p[i].pixels, q[i].pixels,
                                    (size_t)p[i].height * (size_t)p[i].width * 3);
            left_out += !q[i].pixels;
        }
    }
    assert_true(left_out >= 6 * 3);
    stream_close(part);
    stream_close(whole);
    t->augment.mixup = 0;
}

/* Borrowed until the next call: the reader, far ahead, must not have touched what the caller holds. */
static void pixels_stay_until_the_next_call(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *s;
    const struct picture *p;
    const uint32_t *ranks;
    struct err err;
    uint8_t pixels[40000];
    int n;

    o.prefetch = 1;
    assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
    while (stream_next(s, &p, &ranks, &n, &err) == 1) {
        usleep(2000);
        for (int i = 0; i < n; i++) {
            shards_pixels(&t->t, ranks[i], pixels);
            assert_memory_equal(p[i].pixels, pixels, shards_size(ranks[i]));
        }
    }
    stream_close(s);
}

static void closing_early_is_fine(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *s;
    const struct picture *p;
    const uint32_t *ranks;
    struct err err;
    int n;

    for (int taken = 0; taken < 4; taken++) {
        assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
        for (int i = 0; i < taken; i++)
            assert_int_equal(stream_next(s, &p, &ranks, &n, &err), 1);
        stream_close(s);
    }
}

/* Changes a byte of the picture, or changes it back. */
static void flip(const struct opened *t, const struct shard_picture *p)
{
    char file[32];
    uint8_t byte;
    int fd;

    snprintf(file, sizeof file, "shard-%05u.h5", p->shard);
    fd = open(shards_file(&t->t, file), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)p->address + 9), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)p->address + 9), 1);
    close(fd);
}

/* Two are damaged, of one batch: any number of readers tells of the first one. */
static void a_damaged_picture_comes_in_its_place(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *s;
    const struct picture *p;
    const uint32_t *ranks;
    const struct shard_picture *first = shard_set_picture(t->s, t->ranks[16]); /* batch 3 */
    const struct shard_picture *second = shard_set_picture(t->s, t->ranks[17]);
    struct err err = {0};
    char file[32];
    int n;

    o.train = false;
    o.prefetch = 4;
    snprintf(file, sizeof file, "shard-%05u.h5", first->shard);
    flip(t, first);
    flip(t, second);
    for (int k = 0; k < 12; k++) { /* the readers are ahead, or are not */
        o.readers = 1 + k / 3;
        assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
        usleep((useconds_t)(k % 3) * 2500);
        for (int i = 0; i < 3; i++)
            assert_int_equal(stream_next(s, &p, &ranks, &n, &err), 1);
        for (int i = 0; i < 2; i++) {
            memset(&err, 0, sizeof err);
            assert_int_equal(stream_next(s, &p, &ranks, &n, &err), -1);
            assert_int_equal(err.kind, ERR_FORMAT);
            assert_non_null(strstr(err.msg, file));
            assert_non_null(strstr(err.msg, first->path));
        }
        stream_close(s);
    }
    o.verify = false; /* the control: unasked, it goes through */
    assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(stream_next(s, &p, &ranks, &n, &err), 1);
    stream_close(s);
    flip(t, first);
    flip(t, second);
}

static void impossible_options_are_refused(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *s;
    struct err err;

    o.batch = 34;
    assert_int_equal(stream_open(&s, t->s, &o, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "34"));
    o.train = false; /* one partial batch */
    assert_int_equal(stream_open(&s, t->s, &o, &err), 0);
    assert_int_equal(stream_batches(s), 1);
    stream_close(s);
    o = training(t);
    t->augment.min_zoom = 2;
    assert_int_equal(stream_open(&s, t->s, &o, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    t->augment.min_zoom = 1;
}

/* Empties the shards' files: who reads a picture now gets an error. */
static void empty_shards(const struct opened *t)
{
    char command[300];

    snprintf(command, sizeof command, "find %s -name 'shard-*.h5' -exec truncate -s 0 {} +",
             t->t.folder);
    assert_int_equal(system(command), 0);
}

/* The same batches without pixels, and the shards are not read. The last test: no shard is left. */
static void kept_pictures_are_not_read(void **state)
{
    struct opened *t = *state;
    struct stream_options o = training(t);
    struct stream *plain, *kept;
    const struct picture *p, *q;
    const uint32_t *p_ranks, *q_ranks;
    struct err err;
    int n, m;

    assert_int_equal(stream_open(&plain, t->s, &o, &err), 0);
    o.kept = true;
    assert_int_equal(stream_open(&kept, t->s, &o, &err), 0);
    while (stream_next(plain, &p, &p_ranks, &n, &err) == 1) {
        assert_int_equal(stream_next(kept, &q, &q_ranks, &m, &err), 1);
        assert_int_equal(n, m);
        assert_memory_equal(p_ranks, q_ranks, (size_t)n * sizeof *p_ranks);
        for (int i = 0; i < n; i++) {
            struct picture same = p[i];

            same.pixels = NULL;
            assert_memory_equal(&same, &q[i], sizeof same);
        }
    }
    assert_int_equal(stream_next(kept, &q, &q_ranks, &m, &err), 0);
    stream_close(plain);
    stream_close(kept);
    empty_shards(t);
    assert_int_equal(stream_open(&kept, t->s, &o, &err), 0);
    for (n = 0; stream_next(kept, &q, &q_ranks, &m, &err) == 1; n++)
        continue;
    assert_int_equal(n, 6);
    stream_close(kept);
    o.kept = false;
    assert_int_equal(stream_open(&plain, t->s, &o, &err), 0);
    assert_int_equal(stream_next(plain, &p, &p_ranks, &n, &err), -1);
    stream_close(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefetch_and_readers_change_nothing),
        cmocka_unit_test(a_training_epoch_takes_each_picture_once),
        cmocka_unit_test(the_next_batch_can_be_seen),
        cmocka_unit_test(evaluation_keeps_order_and_the_last_batch),
        cmocka_unit_test(a_batch_shares_its_crop),
        cmocka_unit_test(a_policy_changes_training_pixels),
        cmocka_unit_test(any_batch_can_be_first),
        cmocka_unit_test(a_slice_has_its_pixels_alone),
        cmocka_unit_test(pixels_stay_until_the_next_call),
        cmocka_unit_test(closing_early_is_fine),
        cmocka_unit_test(a_damaged_picture_comes_in_its_place),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(kept_pictures_are_not_read),
    };

    const struct CMUnitTest of_jpeg[] = {
        cmocka_unit_test(prefetch_and_readers_change_nothing),
        cmocka_unit_test(a_training_epoch_takes_each_picture_once),
        cmocka_unit_test(any_batch_can_be_first),
        cmocka_unit_test(closing_early_is_fine),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down) +
           cmocka_run_group_tests(of_jpeg, set_up_jpeg, tear_down);
}
