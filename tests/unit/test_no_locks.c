/* test_no_locks.c - on a file system without locks (NFS without its lock service, some FUSE) the work is done, with a
 * warning; nobody is said to hold a lock. Wraps:
 * wrap: flock
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/file.h>

#include "shards.h"

#include "base/log.h"
#include "run/run.h"
#include "set_lock.h"

static int fails_with; /* 0: flock works */
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

int __wrap_flock(int fd, int operation)
{
    if (!fails_with)
        return __real_flock(fd, operation);
    errno = fails_with;
    return -1;
}

static void shards_are_written(void **state)
{
    struct shards t;
    struct err err = {0};

    (void)state;
    shards_describe(&t, 12);
    fails_with = ENOLCK;
    if (shards_write(&t, &err) < 0)
        fail_msg("%s", err.msg);
    /* what a killed process left cannot be told from what another writes: it is not removed */
    assert_int_equal(path_make_dirs(shards_file(&t, "../shards-40.part"), &err), 0);
    assert_int_equal(shards_write(&t, &err), -1);
    assert_int_equal(err.kind, ERR_LOCKED);
    assert_non_null(strstr(err.msg, "no locks"));
    assert_null(strstr(err.msg, "another process is writing"));
    fails_with = EWOULDBLOCK; /* control */
    assert_int_equal(shards_write(&t, &err), -1);
    assert_non_null(strstr(err.msg, "another process is writing"));
    fails_with = 0;
    assert_int_equal(shards_write(&t, &err), 0);
    shards_end(&t);
}

static void sets_and_runs_are_begun(void **state)
{
    char folder[] = "/tmp/test_no_locks.XXXXXX";
    struct set_lock lock;
    struct run *run;
    struct err err = {0};
    json_t *facts = json_object();

    (void)state;
    assert_non_null(mkdtemp(folder));
    fails_with = EOPNOTSUPP;
    if (set_lock_take(&lock, folder, "set", &err) < 0)
        fail_msg("%s", err.msg);
    set_lock_release(&lock);
    if (run_begin(&run, folder, "run", facts, &err) < 0)
        fail_msg("%s", err.msg);
    err_set(&err, ERR_STOPPED, "enough");
    run_fail(run, &err);
    fails_with = EWOULDBLOCK; /* control */
    assert_int_equal(set_lock_take(&lock, folder, "set", &err), -1);
    assert_int_equal(err.kind, ERR_LOCKED);
    fails_with = 0;
    json_decref(facts);
    assert_int_equal(path_remove_tree(folder, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_written),
        cmocka_unit_test(sets_and_runs_are_begun),
    };

    log_begin("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
