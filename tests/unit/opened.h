/* opened.h - shards of 33 pictures, open, for tests of splits. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TEST_OPENED_H
#define PRESIZE_TEST_OPENED_H

#include "shards.h"

#include "data/split.h"

struct opened {
    struct shards t;
    struct shard_set *s;
};

static inline int set_up(void **state)
{
    struct opened *o = calloc(1, sizeof *o);
    struct err err;

    assert_non_null(o);
    shards_describe(&o->t, 33);
    assert_int_equal(shards_write(&o->t, &err), 0);
    assert_int_equal(shard_set_open(&o->s, o->t.folder, &err), 0);
    *state = o;
    return 0;
}

static inline int tear_down(void **state)
{
    struct opened *o = *state;

    shard_set_close(o->s);
    shards_end(&o->t);
    free(o);
    return 0;
}

static inline struct data_options options(int split)
{
    struct data_options o = {0};

    keys_default(&(struct key_table){data_keys, 0}, 1, KEYS_NEWEST, &o);
    o.split = split;
    return o;
}

#endif
