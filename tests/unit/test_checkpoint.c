/* test_checkpoint.c - a checkpoint is the old one or the new one, whatever fails and whenever.
 *
 * The device is a table of its own with one weight in memory, so every call can be failed in turn.
 * wrap: fsync rename
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "experiment/checkpoint.h"

enum { WEIGHTS = 6 };

static char scratch[PATH_LEN];
static int fail_fsync, die_at_rename; /* counted down by each call; 0: never */

int __wrap_fsync(int fd);
int __real_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __real_rename(const char *from, const char *to);

int __wrap_fsync(int fd)
{
    if (fail_fsync && --fail_fsync == 0) {
        errno = ENOSPC;
        return -1;
    }
    return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    if (die_at_rename && --die_at_rename == 0)
        _exit(9);
    return __real_rename(from, to);
}

/* A device with three tensors: the weight and its two moments. */
static float memory[3][WEIGHTS];

static int slot(const char *name)
{
    size_t n = strlen(name);

    return strcmp(name + n - 2, ".m") == 0 ? 1 : strcmp(name + n - 2, ".v") == 0 ? 2 : 0;
}

static int put(struct be *b, const char *name, const float *src, struct err *err)
{
    (void)b;
    (void)err;
    memcpy(memory[slot(name)], src, sizeof memory[0]);
    return 0;
}

static int get(struct be *b, const char *name, float *dst, struct err *err)
{
    (void)b;
    if (strcmp(name, BACKEND_LOSS_SCALE) == 0)
        return err_set(err, ERR_INPUT, "it has none");
    memcpy(dst, memory[slot(name)], sizeof memory[0]);
    return 0;
}

static const struct backend backend = {.name = "memory", .put = put, .get = get};
static const struct device device = {.kind = &backend};
static struct param params[] = {
    {.name = "head.1.weight", .dims = {2, 3, 1, 1}, .n_dims = 2, .n = WEIGHTS, .trained = true}};
static const struct network network = {
    .classes = 2, .features = 3, .params = params, .n_params = 1};

static void set_weights(float value)
{
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < WEIGHTS; i++)
            memory[t][i] = value + (float)(10 * t);
}

static int save(int value, const char *which, struct err *err)
{
    json_t *state = json_pack("{s:i, s:i}", "version", 1, "value", value);
    int rc;

    set_weights((float)value);
    rc = checkpoint_save(scratch, which, &device, &network, 5, strcmp(which, "last") == 0, state,
                         err);
    json_decref(state);
    return rc;
}

/* The value of a checkpoint, which must be one: state, weights and moments agree. */
static int load(const char *which)
{
    struct err err = {0};
    json_t *state;
    int value;
    bool all = strcmp(which, "last") == 0;

    if (checkpoint_state(&state, scratch, which, &err) < 0)
        fail_msg("%s", err.msg);
    set_weights(-1);
    if (checkpoint_load(scratch, which, state, &device, &network, all, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    value = (int)json_integer_value(json_object_get(state, "value"));
    for (int t = 0; t < (all ? 3 : 1); t++)
        for (int i = 0; i < WEIGHTS; i++)
            assert_int_equal((int)memory[t][i], value + 10 * t);
    json_decref(state);
    return value;
}

static int set_up(void **state)
{
    struct err err;
    char path[PATH_LEN];

    (void)state;
    fail_fsync = die_at_rename = 0;
    snprintf(scratch, sizeof scratch, "%s/checkpoint-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(scratch) || path_format(path, &err, "%s/checkpoints", scratch) < 0)
        return -1;
    return path_make_dirs(path, &err);
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    return path_remove_tree(scratch, &err);
}

static void no_new_names_are_left(void)
{
    static const char *const names[] = {"last-new.safetensors", "last-new.optim.safetensors",
                                        "last-new.json"};
    char path[PATH_LEN];

    for (int i = 0; i < 3; i++) {
        assert_int_equal(path_format(path, NULL, "%s/checkpoints/%s", scratch, names[i]), 0);
        assert_false(path_exists(path));
    }
}

static void saves_and_loads(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(save(3, "last", &err), 0);
    assert_int_equal(save(4, "best", &err), 0);
    assert_int_equal(load("last"), 3);
    assert_int_equal(load("best"), 4);
    no_new_names_are_left();
}

static void a_full_disk_keeps_the_previous(void **state)
{
    struct err err = {0};
    int n, failed = 0;

    (void)state;
    assert_int_equal(save(1, "last", &err), 0);
    for (n = 1; n < 50; n++) {
        int rc, value;

        fail_fsync = n;
        rc = save(n + 1, "last", &err);
        if (fail_fsync) /* it needed fewer calls than that */
            break;
        value = load("last");
        if (rc < 0) {
            failed++;
            assert_int_equal(err.kind, ERR_FULL);
            assert_non_null(strstr(err.msg, "checkpoint"));
        }
        /* Past the point of no return an error may be reported of the new one, whole. */
        assert_true(value == n + 1 || (rc < 0 && value < n + 1));
    }
    fail_fsync = 0;
    assert_true(failed >= 3 && n < 50);
    assert_int_equal(save(60, "last", &err), 0);
    assert_int_equal(load("last"), 60);
    no_new_names_are_left();
}

static void a_killed_process_leaves_one_or_the_other(void **state)
{
    struct err err = {0};
    int n, status, olds = 0, news = 0;

    (void)state;
    for (n = 1; n < 50; n++) {
        pid_t child;
        int value;

        assert_int_equal(save(1, "last", &err), 0);
        fflush(NULL);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            die_at_rename = n;
            _exit(save(2, "last", &err) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 0)
            break;
        assert_int_equal(WEXITSTATUS(status), 9);
        value = load("last"); /* as found, by a reader */
        value == 1 ? olds++ : news++;
        if (checkpoint_settle(scratch, "last", &err) < 0) /* by whoever resumes the run */
            fail_msg("%s", err.msg);
        assert_int_equal(load("last"), value);
        no_new_names_are_left();
    }
    assert_true(olds >= 3 && news >= 2 && n < 50);
}

static void a_changed_file_is_refused(void **state)
{
    struct err err = {0};
    char path[PATH_LEN];
    json_t *json;
    FILE *file;

    (void)state;
    assert_int_equal(save(1, "best", &err), 0);
    assert_int_equal(path_format(path, &err, "%s/checkpoints/best.safetensors", scratch), 0);
    file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, -1, SEEK_END);
    fputc(0x11, file);
    fclose(file);
    assert_int_equal(checkpoint_state(&json, scratch, "best", &err), 0);
    assert_true(checkpoint_load(scratch, "best", json, &device, &network, false, NULL, &err) < 0);
    assert_int_equal(err.kind, ERR_CHECKSUM);
    assert_non_null(strstr(err.msg, "best.safetensors"));
    json_decref(json);
    assert_true(checkpoint_state(&json, scratch, "last", &err) < 0);
    assert_non_null(strstr(err.msg, "last"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(saves_and_loads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_the_previous, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_killed_process_leaves_one_or_the_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_changed_file_is_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
