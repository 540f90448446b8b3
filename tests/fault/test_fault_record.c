/* test_fault_record.c - run folders and predictions when memory or the disk is full, at every point.
 *
 * Our own allocations and jansson's fail; those of HDF5 and stdio are their affair. The full disk is
 * a limit on file sizes. Leaks show in the instrumented tree.
 * wrap: malloc calloc realloc
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/path.h"
#include "draw/plot.h"
#include "draw/report.h"
#include "run/predictions.h"
#include "run/run.h"
#include "run/stats.h"

enum { FAULTS_MAX = 3000, PICTURES = 40, CLASSES = 3 };

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

static char results[PATH_LEN];
static struct predictions *p;
static json_t *facts, *line;

static int set_up(void **state)
{
    struct err err;

    (void)state;
    /* In memory where there is such a place: a disk takes its time for thousands of fsyncs. */
    snprintf(results, sizeof results, "%s/fault-XXXXXX",
             path_is_dir("/dev/shm") ? "/dev/shm" : "/tmp");
    if (!mkdtemp(results) || predictions_new(&p, PICTURES, CLASSES, &err) < 0)
        return -1;
    for (uint32_t i = 0; i < PICTURES; i++) {
        char id[32];

        snprintf(id, sizeof id, "picture_%u.jpg", i);
        p->ids[i] = strdup(id);
        p->actual[i] = (int32_t)(i % CLASSES);
        p->predicted[i] = (int32_t)(i % 7 % CLASSES);
        p->prob[i * CLASSES + (uint32_t)p->predicted[i]] = 1;
        p->loss[i] = p->actual[i] == p->predicted[i] ? 0 : 9;
    }
    for (int c = 0; c < CLASSES; c++)
        p->vocab[c] = strdup(c == 0 ? "cat" : c == 1 ? "dog" : "bird");
    facts = json_pack("{s:s, s:{s:i}}", "experiment", "smoke", "machine", "threads", 2);
    line = json_pack("{s:i, s:f}", "epoch", 0, "valid_loss", 0.5);
    json_set_alloc_funcs(__wrap_malloc, free);
    return 0;
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    json_set_alloc_funcs(malloc, free);
    predictions_free(p);
    json_decref(facts);
    json_decref(line);
    return path_remove_tree(results, &err);
}

/* How many entries RESULTS has. */
static int entries(void)
{
    struct dirent **list;
    int n = scandir(results, &list, NULL, alphasort);

    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
    return n - 2;
}

/* A run from begin to end with everything that is written into it. */
static int whole_run(struct err *err)
{
    const double x[] = {1, 2}, y[] = {2, 1};
    const struct plot_series series = {"loss", x, y, 2, true};
    const struct plot_options o = {.title = "Loss", .x_label = "epoch", .y_label = "nat"};
    char path[PATH_LEN];
    struct run *r;

    if (run_begin(&r, results, "run", facts, err) < 0)
        return -1;
    if (run_metric(r, line, err) < 0 || run_timing(r, line, err) < 0 ||
        run_scalar(r, "valid/loss", 1, 0.5, err) < 0 || run_note(r, line, err) < 0)
        goto fail;
    if (predictions_write(p, run_folder(r), err) < 0)
        goto fail;
    if (path_format(path, err, "%s/plots/loss.svg", run_folder(r)) < 0 ||
        plot_lines(path, &o, &series, 1, err) < 0)
        goto fail;
    if (report_write(run_folder(r), &(struct report_sources){0}, err) < 0)
        goto fail;
    return run_finish(r, err);
fail:
    run_fail(r, err);
    return -1;
}

/* Everything that is read. */
static int look(struct err *err)
{
    const double differences[] = {1, 0, -1};
    struct run_entry *list;
    struct predictions *read;
    struct confused *most;
    uint32_t *counts = NULL, *order;
    char folder[PATH_LEN];
    double low, high;
    size_t n;
    int rc = -1;

    if (run_list(&list, &n, results, err) < 0)
        return -1;
    run_list_free(list, n);
    if (run_find(folder, results, "run", err) < 0 || predictions_read(&read, folder, err) < 0)
        return -1;
    if (confusion_count(&counts, read, err) < 0)
        goto out;
    if (confusion_most(&most, &n, counts, read->classes, 1, err) < 0)
        goto out;
    free(most);
    if (predictions_by_loss(&order, read, err) < 0)
        goto out;
    free(order);
    rc = stats_bootstrap(&low, &high, differences, 3, 40, 1, err);
out:
    free(counts);
    predictions_free(read);
    return rc;
}

static void no_memory_while_writing(void **state)
{
    char folder[PATH_LEN];
    struct err err, other;
    long n = 0;
    int rc;

    (void)state;
    for (rc = -1; rc < 0 && n < FAULTS_MAX; n++) {
        err.kind = ERR_NONE;
        countdown = n;
        rc = whole_run(&err);
        countdown = -1;
        assert_true(rc == 0 || err.kind != ERR_NONE);
        assert_int_equal(path_format(folder, &other, "%s/run", results), 0);
        assert_true(entries() <= 1);
        assert_int_equal(path_remove_tree(folder, &other), 0);
    }
    assert_true(n > 30 && n < FAULTS_MAX);
}

static void no_memory_while_reading(void **state)
{
    struct err err = {0};
    long n = 0;
    int rc;

    (void)state;
    if (whole_run(&err) < 0)
        fail_msg("%s", err.msg);
    for (rc = -1; rc < 0 && n < FAULTS_MAX; n++) {
        err.kind = ERR_NONE;
        countdown = n;
        rc = look(&err);
        countdown = -1;
        assert_true(rc == 0 || err.kind != ERR_NONE);
    }
    assert_true(n > 10 && n < FAULTS_MAX);
}

static void limit_files(rlim_t bytes)
{
    const struct rlimit limit = {bytes, RLIM_INFINITY};

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Files that may not grow: what is there stays as it was, nothing half-written lies beside it. */
static void a_full_disk_keeps_what_was(void **state)
{
    static const char *const files[] = {"predictions.csv", "predictions.h5", "confusion.csv",
                                        "per_class.csv"};
    char before[4][SHA256_HEX], after[SHA256_HEX], path[PATH_LEN];
    struct err err = {0};
    int full = 0;

    (void)state;
    assert_int_equal(predictions_write(p, results, &err), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(path_format(path, &err, "%s/%s", results, files[i]), 0);
        assert_int_equal(sha256_file(path, before[i], NULL, &err), 0);
    }
    for (rlim_t bytes = 0; bytes < 4096; bytes += 64) {
        int rc;

        limit_files(bytes);
        rc = predictions_write(p, results, &err);
        limit_files(RLIM_INFINITY);
        if (rc < 0) {
            full++;
            assert_int_equal(err.kind, ERR_FULL);
        }
        assert_int_equal(entries(), 4);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(path_format(path, &err, "%s/%s", results, files[i]), 0);
            assert_int_equal(sha256_file(path, after, NULL, &err), 0);
            assert_string_equal(before[i], after);
        }
    }
    assert_int_equal(full, 4096 / 64); /* predictions.h5 is larger than all these limits */
}

static void a_run_that_cannot_begin_leaves_nothing(void **state)
{
    struct err err = {0};
    struct run *r;

    (void)state;
    limit_files(0);
    assert_true(run_begin(&r, results, "run", facts, &err) < 0);
    limit_files(RLIM_INFINITY);
    assert_int_equal(err.kind, ERR_FULL);
    assert_int_equal(entries(), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_memory_while_writing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_memory_while_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_what_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_that_cannot_begin_leaves_nothing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
