/* test_fault_data.c - the n-th allocation, read or sync fails, for every n: an error, nothing left.
 *
 * Leaks show in the instrumented tree. Once a call has failed all later ones do too.
 * wrap: malloc calloc realloc aligned_alloc strdup strndup pread fsync
 * SPDX-License-Identifier: MIT */
#include "../unit/shards.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdatomic.h>

#include "data/shard.h"
#include "data/shard_check.h"
#include "data/split.h"
#include "data/stream.h"

static atomic_long memory_left = -1; /* calls that still succeed; negative: all do */
static atomic_long disk_left = -1;

static bool fails(atomic_long *left)
{
    long now = atomic_load(left);

    if (now < 0)
        return false;
    if (now == 0) {
        errno = ENOMEM; /* as the C library does */
        return true;
    }
    atomic_fetch_sub(left, 1);
    return false;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
char *__wrap_strndup(const char *text, size_t n);
ssize_t __real_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

void *__wrap_malloc(size_t size)
{
    return fails(&memory_left) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails(&memory_left) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails(&memory_left) ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return fails(&memory_left) ? NULL : __real_aligned_alloc(align, size);
}

char *__wrap_strdup(const char *text)
{
    return fails(&memory_left) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return fails(&memory_left) ? NULL : __real_strndup(text, n);
}

ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at)
{
    if (fails(&disk_left)) {
        errno = EIO;
        return -1;
    }
    return __real_pread(fd, to, n < 1000 ? n : 1000, at); /* short reads are allowed */
}

int __wrap_fsync(int fd)
{
    if (fails(&disk_left)) {
        errno = ENOSPC;
        return -1;
    }
    return __real_fsync(fd);
}

struct opened {
    struct shards t;
    struct shard_set *s;
    struct data_options data;
    struct augment_options augment;
    uint32_t ranks[12];
};

static int set_up(void **state)
{
    struct opened *o = __real_calloc(1, sizeof *o);
    struct err err;

    assert_non_null(o);
    shards_describe(&o->t, 12);
    o->t.options.shard_pictures = 5;
    assert_int_equal(shards_write(&o->t, &err), 0);
    assert_int_equal(shard_set_open(&o->s, o->t.folder, &err), 0);
    keys_default(&(struct key_table){data_keys, 0}, 1, KEYS_NEWEST, &o->data);
    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o->augment);
    for (uint32_t i = 0; i < 12; i++)
        o->ranks[i] = i;
    *state = o;
    return 0;
}

static int tear_down(void **state)
{
    struct opened *o = *state;

    shard_set_close(o->s);
    shards_end(&o->t);
    free(o);
    return 0;
}

/* Runs ACTION with the first n calls counted by LEFT succeeding, for n = 0, 1, ... until it succeeds. */
static void for_every_call(struct opened *o, atomic_long *left, enum err_kind kind, long at_least,
                           int (*action)(struct opened *o, struct err *err))
{
    for (long n = 0; n < 100000; n++) {
        struct err err = {0};
        int rc;

        atomic_store(left, n);
        rc = action(o, &err);
        atomic_store(left, -1);
        if (rc == 0) {
            if (n < at_least)
                fail_msg("only %ld calls", n);
            return;
        }
        if (err.kind != kind)
            fail_msg("call %ld: kind %d: %s", n, err.kind, err.msg);
    }
    fail_msg("it never succeeds");
}

static int open_set(struct opened *o, struct err *err)
{
    struct shard_set *s;

    if (shard_set_open(&s, o->t.folder, err) < 0) {
        assert_null(s);
        return -1;
    }
    shard_set_close(s);
    return 0;
}

static int check_set(struct opened *o, struct err *err)
{
    struct shard_check_report report;

    return shard_check(&report, o->t.folder, NULL, NULL, err);
}

static int split_random(struct opened *o, struct err *err)
{
    struct split *p;

    o->data.split = SPLIT_RANDOM;
    o->data.stratify = true;
    if (split_make(&p, &o->data, o->s, err) < 0) {
        assert_null(p);
        return -1;
    }
    split_free(p);
    return 0;
}

static int split_hash(struct opened *o, struct err *err)
{
    struct split *p;

    o->data.split = SPLIT_HASH;
    o->data.stratify = false;
    o->data.valid = 0.3;
    if (split_make(&p, &o->data, o->s, err) < 0)
        return -1;
    split_free(p);
    return 0;
}

static int stream_through(struct opened *o, struct err *err)
{
    struct stream_options options = {.ranks = o->ranks,
                                     .n = 12,
                                     .batch = 4,
                                     .size = 32,
                                     .train = true,
                                     .augment = &o->augment,
                                     .prefetch = 2,
                                     .verify = true};
    const struct picture *p;
    const uint32_t *ranks;
    struct stream *s;
    int n, rc;

    if (stream_open(&s, o->s, &options, err) < 0) {
        assert_null(s);
        return -1;
    }
    while ((rc = stream_next(s, &p, &ranks, &n, err)) == 1)
        ;
    stream_close(s);
    return rc;
}

static int is_picture(const char *path)
{
    return strstr(path, ".h5") != NULL;
}

static int list_folder(struct opened *o, struct err *err)
{
    struct dataset_options options;
    struct dataset *d;

    memset(&options, 0, sizeof options);
    options.label_from = LABEL_REGEX;
    memcpy(options.label_regex, "(.*)-\\d+.h5$", 13);
    if (dataset_list(&d, &options, o->t.folder, is_picture, err) < 0) {
        assert_null(d);
        return -1;
    }
    assert_int_equal(d->n, 3);
    dataset_free(d);
    return 0;
}

static int open_writer(struct opened *o, struct err *err)
{
    struct shard_writer *w;
    char folder[256];

    snprintf(folder, sizeof folder, "%s/other", o->t.scratch);
    if (shard_writer_open(&w, folder, &o->t.plan, err) < 0) {
        assert_null(w);
        return -1;
    }
    shard_writer_abort(w);
    return 0;
}

/* Pixels are in memory already: only what the writer itself asks for fails. */
static int write_one(struct opened *o, struct err *err)
{
    struct shard_writer *w;
    char folder[256], index[300];
    static uint8_t pixels[48] = {1, 2, 3};
    struct shard_pixels p = {4, 4, 8, 8, "png", 7, pixels, sizeof pixels};
    int rc = 0;

    snprintf(folder, sizeof folder, "%s/other", o->t.scratch);
    if (shard_writer_open(&w, folder, &o->t.plan, err) < 0)
        return -1;
    for (uint32_t i = 0; rc == 0 && i < o->t.dataset.n; i++)
        rc = i == 1 ? shard_writer_skip(w, err) : shard_writer_add(w, &p, err);
    if (rc < 0)
        shard_writer_abort(w);
    else
        rc = shard_writer_finish(w, err);
    if (rc < 0) {
        /* whole where it is: only its name's way to the disk was still to come */
        snprintf(index, sizeof index, "%s/index.json", folder);
        if (path_exists(folder) && (!path_exists(index) || path_remove_tree(folder, NULL) < 0))
            fail_msg("%s is not whole", folder);
        snprintf(folder, sizeof folder, "%s/other.part", o->t.scratch);
        assert_false(path_exists(folder));
    }
    return rc;
}

static int write_and_remove(struct opened *o, struct err *err)
{
    char folder[256];

    if (write_one(o, err) < 0)
        return -1;
    snprintf(folder, sizeof folder, "%s/other", o->t.scratch);
    return path_remove_tree(folder, err);
}

static void memory_runs_out(void **state)
{
    struct opened *o = *state;

    for_every_call(o, &memory_left, ERR_NOMEM, 10, open_set);
    for_every_call(o, &memory_left, ERR_NOMEM, 5, split_random);
    for_every_call(o, &memory_left, ERR_NOMEM, 5, split_hash);
    for_every_call(o, &memory_left, ERR_NOMEM, 8, stream_through);
    for_every_call(o, &memory_left, ERR_NOMEM, 8, list_folder);
    json_set_alloc_funcs(__wrap_malloc, free); /* its parser calls this an error of the text */
    for_every_call(o, &memory_left, ERR_NOMEM, 5, open_writer);
    for_every_call(o, &memory_left, ERR_NOMEM, 20, write_and_remove);
    json_set_alloc_funcs(__real_malloc, free);
}

static void reading_fails(void **state)
{
    for_every_call(*state, &disk_left, ERR_IO, 12, stream_through);
    for_every_call(*state, &disk_left, ERR_FORMAT, 12, check_set); /* a finding, like any other */
}

static void syncing_fails(void **state)
{
    for_every_call(*state, &disk_left, ERR_FULL, 4, write_and_remove);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(reading_fails),
        cmocka_unit_test(syncing_fails),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
