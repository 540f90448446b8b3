/* test_path.c - files are replaced whole or not at all, also when the disk is full.
 *
 * The calls below are passed on, and one of them fails where a case asks for it:
 * wrap: write fsync rename fflush
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"

static const char *failing; /* the call that fails next with this errno */
static int failing_errno;

static int fails(const char *call)
{
    if (!failing || strcmp(failing, call) != 0)
        return 0;
    errno = failing_errno;
    return 1;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fflush(FILE *file);
int __wrap_fflush(FILE *file);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

int __wrap_fsync(int fd)
{
    return fails("fsync") ? -1 : __real_fsync(fd);
}

int __wrap_fflush(FILE *file)
{
    return file != stdout && fails("fflush") ? EOF : __real_fflush(file);
}

int __wrap_rename(const char *from, const char *to)
{
    return fails("rename") ? -1 : __real_rename(from, to);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    return fails("write") ? -1 : __real_write(fd, data, size);
}

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/presize-path-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct err err = {0};

    (void)state;
    failing = NULL;
    return path_remove_tree(folder, &err);
}

static int entries(void)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    int n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static void assert_content(const char *path, const char *want)
{
    struct err err = {0};
    char *data;
    size_t size;

    assert_int_equal(path_read(&data, &size, path, 1000, &err), 0);
    assert_int_equal(size, strlen(want));
    assert_string_equal(data, want);
    free(data);
}

static void write_read_replace(void **state)
{
    char path[PATH_LEN];
    struct err err = {0};
    char *data;
    size_t size;

    (void)state;
    assert_int_equal(path_format(path, &err, "%s/a", folder), 0);
    assert_int_equal(path_write(path, "one", 3, &err), 0);
    assert_int_equal(path_write(path, "three", 5, &err), 0);
    assert_content(path, "three");
    assert_int_equal(path_read(&data, &size, path, 5, &err), 0);
    free(data);
    assert_int_equal(path_read(&data, &size, path, 4, &err), -1);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_null(data);
    assert_int_equal(path_write(path, "", 0, &err), 0);
    assert_content(path, "");
    assert_int_equal(path_read(&data, &size, "/proc/self/status", 1 << 20, &err), 0); /* size 0 */
    assert_true(size > 100);
    free(data);
    assert_int_equal(path_read(&data, &size, folder, 1000, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_int_equal(entries(), 1);
}

static void unfinished_is_invisible_and_abort_leaves_nothing(void **state)
{
    char path[PATH_LEN];
    struct err err = {0};
    struct new_file f, nothing = {0};

    (void)state;
    assert_int_equal(path_format(path, &err, "%s/a", folder), 0);
    assert_int_equal(new_file_begin(&f, path, &err), 0);
    fputs("half", f.file);
    assert_false(path_exists(path));
    assert_int_equal(path_base(f.tmp)[0], '.'); /* hidden from listings */
    assert_int_equal(entries(), 1);
    new_file_abort(&f);
    assert_int_equal(entries(), 0);
    new_file_abort(&nothing);
}

/* What a killed process left beside the same target goes; what a living one writes, and what is another's, stays. */
static void what_was_left_is_removed(void **state)
{
    static const char *const left[] = {".a.tmp-1", ".a.tmp-77", ".ab.tmp-1"};
    char path[PATH_LEN], other[PATH_LEN];
    struct err err = {0};
    int fds[3];

    (void)state;
    assert_int_equal(path_format(path, &err, "%s/a", folder), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(path_format(other, &err, "%s/%s", folder, left[i]), 0);
        fds[i] = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(flock(fds[1], LOCK_EX | LOCK_NB), 0); /* its writer lives */
    assert_int_equal(path_write(path, "new", 3, &err), 0);
    assert_content(path, "new");
    assert_int_equal(entries(), 3); /* a, .a.tmp-77, .ab.tmp-1 */
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    assert_int_equal(path_write(path, "", 0, &err), 0);
    assert_int_equal(entries(), 2); /* the writer died */
}

/* Each call that can fail, with a full disk: the old file stays, nothing else is left. */
static void failures_leave_the_old_file(void **state)
{
    static const char *const calls[] = {"fflush", "fsync", "rename"};
    char path[PATH_LEN];
    struct err err = {0};

    (void)state;
    assert_int_equal(path_format(path, &err, "%s/a", folder), 0);
    assert_int_equal(path_write(path, "old", 3, &err), 0);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        failing = calls[i];
        failing_errno = ENOSPC;
        assert_int_equal(path_write(path, "new", 3, &err), -1);
        failing = NULL;
        assert_int_equal(err.kind, ERR_FULL);
        assert_non_null(strstr(err.msg, path));
        assert_content(path, "old");
        assert_int_equal(entries(), 1);
    }
    assert_int_equal(path_write(path, "new", 3, &err), 0); /* control: without a failure it works */
    assert_content(path, "new");
}

/* stdio saw the failure long before finish(): the reason is found again. */
static void an_early_failed_write_is_told(void **state)
{
    char path[PATH_LEN];
    struct err err = {0};
    struct new_file f;
    char *big = calloc(1, 1 << 20);
    FILE *ours;

    (void)state;
    assert_non_null(big);
    assert_int_equal(path_format(path, &err, "%s/a", folder), 0);
    assert_int_equal(new_file_begin(&f, path, &err), 0);
    ours = f.file;
    f.file = fopen("/dev/full", "w");
    assert_non_null(f.file);
    assert_int_not_equal(fwrite(big, 1, 1 << 20, f.file), 1 << 20);
    errno = 0;
    assert_int_equal(new_file_finish(&f, &err), -1);
    assert_int_equal(err.kind, ERR_FULL);
    fclose(ours);
    free(big);
    assert_int_equal(entries(), 0);
}

static void folders(void **state)
{
    char path[PATH_LEN], outside[PATH_LEN];
    struct err err = {0};

    (void)state;
    assert_int_equal(path_format(path, &err, "%s/x/y//z/", folder), 0);
    assert_int_equal(path_make_dirs(path, &err), 0);
    assert_int_equal(path_make_dirs(path, &err), 0);
    assert_true(path_is_dir(path));
    assert_int_equal(path_format(outside, &err, "%s/kept", folder), 0);
    assert_int_equal(path_write(outside, "k", 1, &err), 0);
    assert_true(path_is_file(outside));
    assert_int_equal(path_make_dirs(outside, &err), -1);
    assert_int_equal(path_format(path, &err, "%s/kept/below", folder), 0);
    assert_int_equal(path_make_dirs(path, &err), -1);
    assert_int_equal(path_format(path, &err, "%s/x/link", folder), 0);
    assert_int_equal(symlink(outside, path), 0);
    assert_int_equal(path_format(path, &err, "%s/x", folder), 0);
    assert_int_equal(path_remove_tree(path, &err), 0);
    assert_false(path_exists(path));
    assert_true(path_is_file(outside)); /* links are not followed */
    assert_int_equal(path_remove_tree(path, &err), 0);
}

static void too_long_is_refused(void **state)
{
    char out[PATH_LEN];
    struct err err = {0};

    (void)state;
    assert_int_equal(path_format(out, &err, "%*s", PATH_LEN - 1, "x"), 0);
    assert_int_equal(path_format(out, &err, "%*s", PATH_LEN, "x"), -1);
    assert_int_equal(err.kind, ERR_INPUT);
}

static void share_is_searched_after_here(void **state)
{
    char path[PATH_LEN], share[PATH_LEN], here[PATH_LEN];
    struct err err = {0};

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(path_format(share, &err, "%s/share", folder), 0);
    assert_int_equal(setenv("PRESIZE_SHARE", share, 1), 0);
    assert_int_equal(path_format(path, &err, "%s/kind", share), 0);
    assert_int_equal(path_make_dirs(path, &err), 0);
    assert_int_equal(path_format(path, &err, "%s/kind/there.yaml", share), 0);
    assert_int_equal(path_write(path, "a: 1\n", 5, &err), 0);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(path_find_share(path, "kind", "there", &err), 0);
    assert_non_null(strstr(path, "/share/kind/there.yaml"));
    assert_int_equal(path_make_dirs("kind", &err), 0);
    assert_int_equal(path_write("kind/there.yaml", "a: 2\n", 5, &err), 0);
    assert_int_equal(path_find_share(path, "kind", "there", &err), 0);
    assert_string_equal(path, "kind/there.yaml");
    assert_int_equal(path_find_share(path, "kind", "thre", &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "did you mean there?"));
    assert_non_null(strstr(err.msg, share));
    assert_int_equal(path_find_share(path, "kind", "zzz", &err), -1);
    assert_non_null(strstr(err.msg, "there are: there"));
    assert_int_equal(path_find_share(path, "kind", "../kind/there", &err), -1);
    assert_int_equal(path_find_share(path, "kind", "", &err), -1);
    unsetenv("PRESIZE_SHARE");
    assert_int_equal(chdir(here), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(write_read_replace, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(unfinished_is_invisible_and_abort_leaves_nothing,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_was_left_is_removed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(failures_leave_the_old_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_early_failed_write_is_told, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(folders, make_folder, remove_folder),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test_setup_teardown(share_is_searched_after_here, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
