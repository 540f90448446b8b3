/* test_fault_base.c - the n-th allocation fails, for every n: an error comes back, nothing leaks.
 *
 * Our own allocations and jansson's fail; libyaml's and stdio's are their affair. Leaks show in the
 * instrumented tree.
 * wrap: malloc calloc realloc aligned_alloc
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/key.h"
#include "base/path.h"
#include "base/thread.h"
#include "base/yaml.h"

static long countdown = -1; /* allocations that still succeed; negative: all do */

static bool fails(void)
{
    if (countdown < 0)
        return false;
    if (countdown == 0)
        return true;
    countdown--;
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

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(align, size);
}

static char name[64];

struct options {
    double lr;
    struct key_f64s lrs;
    char text[16];
};
static const struct key rows[] = {
    KEY_F64(struct options, lr, "optim.lr", "0.1", 0, 1, "1", "rate"),
    KEY_F64S(struct options, lrs, "optim.lrs", NULL, 0, 1, "1", "rates"),
    KEY_STR(struct options, text, "text", "x", "text"),
    KEY_END,
};
static const struct key_table table = {rows, 0};

static int keys_and_yaml(struct err *err)
{
    struct options o;
    json_t *tree = NULL, *copy = NULL, *back = NULL;
    int rc = -1;

    keys_default(&table, 1, KEYS_NEWEST, &o);
    if (yaml_parse(&tree, "optim: {lr: 0.5, lrs: [0.1, 0.2]}\ntext: 'a: b'\n", err) < 0 ||
        keys_override(tree, "optim.lrs.1=0.3", err) < 0 ||
        keys_override(tree, "a.0.b=[1, 2]", err) < 0)
        goto out;
    copy = json_object();
    if (!copy || keys_merge(copy, tree, err) < 0 || json_object_del(copy, "a") < 0)
        goto out;
    if (keys_apply(&table, 1, KEYS_NEWEST, &o, copy, "here", err) < 0)
        goto out;
    back = keys_tree(&table, 1, KEYS_NEWEST, &o, false);
    if (!back || json_write(name, back, err) < 0)
        goto out;
    json_decref(back);
    if (json_read(&back, name, err) < 0)
        goto out;
    rc = o.lr == 0.5 && o.lrs.v[1] == 0.3 ? 0 : -2;
out:
    json_decref(tree);
    json_decref(copy);
    json_decref(back);
    return rc;
}

static void nothing(void *ctx, int i, int worker)
{
    (void)ctx;
    (void)i;
    (void)worker;
}

static int pool(struct err *err)
{
    struct pool *p;

    if (pool_new(&p, 3, NULL, NULL, err) < 0)
        return -1;
    pool_run(p, 10, nothing, NULL);
    pool_free(p);
    return 0;
}

static int files(struct err *err)
{
    char hex[SHA256_HEX];
    struct sha256 *s;
    char *data;
    size_t size;

    if (sha256_new(&s, err) < 0)
        return -1;
    sha256_update(s, "abc", 3);
    sha256_hex(s, hex);
    sha256_free(s);
    if (path_write(name, hex, sizeof hex, err) < 0 || sha256_file(name, hex, NULL, err) < 0 ||
        path_read(&data, &size, name, 1000, err) < 0)
        return -1;
    free(data);
    return 0;
}

static void each_fails_cleanly(int (*deed)(struct err *err), long at_least)
{
    long n;

    for (n = 0; n < 2000; n++) {
        struct err err = {0};
        int rc;

        countdown = n;
        rc = deed(&err);
        countdown = -1;
        if (rc == 0)
            break;
        assert_int_equal(rc, -1);
    }
    assert_true(n >= at_least && n < 2000); /* control: allocations were there to fail */
}

static void keys_survive(void **state)
{
    (void)state;
    each_fails_cleanly(keys_and_yaml, 20);
}

static void pool_survives(void **state)
{
    (void)state;
    each_fails_cleanly(pool, 2);
}

static void files_survive(void **state)
{
    (void)state;
    each_fails_cleanly(files, 3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_survive),
        cmocka_unit_test(pool_survives),
        cmocka_unit_test(files_survive),
    };
    int fd, failed;

    snprintf(name, sizeof name, "/tmp/presize-fault-XXXXXX");
    fd = mkstemp(name);
    if (fd < 0)
        return 1;
    close(fd);
    json_set_alloc_funcs(__wrap_malloc, free);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(name);
    return failed;
}
