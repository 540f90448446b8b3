/* test_study.c - study.json read or refused, the status of runs, and claims that two processes cannot both have.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "run/study.h"

static char results[PATH_LEN], folder[PATH_LEN];

static void put(const char *name, const char *text)
{
    char path[PATH_LEN];
    struct err err;

    assert_int_equal(path_format(path, &err, "%s/%s", folder, name), 0);
    assert_int_equal(path_write(path, text, strlen(text), &err), 0);
}

static int set_up(void **state)
{
    char made[] = "/tmp/study-XXXXXX";
    struct err err;

    (void)state;
    assert_non_null(mkdtemp(made));
    assert_int_equal(path_format(results, &err, "%s", made), 0);
    assert_int_equal(path_format(folder, &err, "%s/mine", made), 0);
    assert_int_equal(path_make_dirs(folder, &err), 0);
    put("study.json",
        "{\"version\": 1, \"runs\": [{\"name\": \"a\", \"experiment\": \"e\", \"words\": []}, "
        "{\"name\": \"b\", \"experiment\": \"e\", \"words\": [\"seed=1\"]}]}");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return path_remove_tree(results, NULL);
}

static void open_it(struct study *s)
{
    struct err err;

    if (study_read(s, folder, &err) < 0)
        fail_msg("%s", err.msg);
}

static void a_study_is_found_and_read(void **state)
{
    char found[PATH_LEN];
    struct study s;
    json_t *counts;

    (void)state;
    assert_true(study_find(found, results, "mine"));
    assert_string_equal(found, folder);
    assert_true(study_find(found, "/nowhere", folder));
    assert_false(study_find(found, results, "other"));
    assert_true(study_below(found, results, "mine"));
    assert_string_equal(found, folder);
    assert_false(study_below(found, "/nowhere", folder));
    assert_false(study_below(found, results, "other"));
    assert_false(study_below(found, folder, ".")); /* the folder itself */
    open_it(&s);
    assert_int_equal(s.n, 2);
    assert_string_equal(study_run_name(&s, 1), "b");
    counts = study_counts(&s);
    assert_int_equal(json_integer_value(json_object_get(counts, "due")), 2);
    assert_int_equal(json_integer_value(json_object_get(counts, "done")), 0);
    json_decref(counts);
    study_free(&s);
}

static void what_is_no_study_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{", "study.json"},
        {"{\"version\": 1}", "runs"},
        {"{\"version\": 9, \"runs\": []}", "this program reads versions 1 to 1"},
        {"{\"version\": 1, \"runs\": [3]}", "run 1 has no name"},
        {"{\"version\": 1, \"runs\": [{\"name\": \"../up\", \"experiment\": \"e\", \"words\": "
         "[]}]}",
         "run 1 has no name"},
        {"{\"version\": 1, \"runs\": [{\"name\": \"a\", \"experiment\": \"e\", \"words\": [3]}]}",
         "run 1 has no name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        struct study s;

        put("study.json", bad[i].text);
        assert_int_equal(study_read(&s, folder, &err), -1);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("no %s in: %s", bad[i].says, err.msg);
    }
}

static void the_runs_say_what_is_done(void **state)
{
    static const struct {
        const char *text, *status;
    } cases[] = {
        {"{\n  \"version\": 2,\n  \"status\": \"done\",\n  \"start\": \"x\"\n}\n", "done"},
        {"{\"start\": \"x\", \"status\": \"done\", \"version\": 2}", "done"}, /* by hand */
        {"{\n  \"version\": 2,\n  \"status\": \"running\",\n  \"start\": \"x\"\n}\n", "killed"},
        {"{\n  \"version\": 2,\n  \"status\": \"failed\",\n  \"start\": \"x\"\n}\n", "failed"},
        {"{\n  \"version\": 2,\n", "unreadable"},
    };
    char path[PATH_LEN], fault[512];
    struct study s;
    struct err err;

    (void)state;
    open_it(&s);
    assert_int_equal(path_format(path, &err, "%s/a", folder), 0);
    assert_int_equal(path_make_dirs(path, &err), 0);
    assert_string_equal(study_status(&s, 0, fault), "unreadable"); /* no run.json */
    assert_non_null(strstr(fault, "no run.json"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("a/run.json", cases[i].text);
        assert_string_equal(study_status(&s, 0, fault), cases[i].status);
        assert_string_equal(study_status(&s, 1, NULL), "due");
    }
    study_free(&s);
}

/* One has it: not another that opens the study, nor another process; a child keeps it until it ends. */
static void a_claim_is_one_holders(void **state)
{
    struct study mine, other;
    struct err err;
    int status, ends[2];
    pid_t child;
    char byte;

    (void)state;
    open_it(&mine);
    open_it(&other);
    assert_int_equal(study_claim(&mine, 0, &err), 1);
    assert_int_equal(study_claim(&other, 0, &err), 0);
    assert_int_equal(study_claim(&other, 1, &err), 1);
    assert_int_equal(study_claim(&mine, 1, &err), 0);
    study_release(&mine, 0);
    assert_int_equal(study_claim(&other, 0, &err), 1);
    study_free(&other); /* closes, and so releases both */
    assert_int_equal(study_claim(&mine, 1, &err), 1);
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) { /* holds what it inherited until the pipe is closed */
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ends[0]);
    close(mine.claims); /* as if this process were killed */
    mine.claims = -1;
    open_it(&other);
    assert_int_equal(study_claim(&other, 1, &err), 0);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(study_claim(&other, 1, &err), 1);
    study_free(&mine);
    study_free(&other);
}

int main(void)
{
#define EACH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH (a_study_is_found_and_read),
        EACH (what_is_no_study_is_refused),
        EACH (the_runs_say_what_is_done),
        EACH (a_claim_is_one_holders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
