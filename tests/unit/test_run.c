/* test_run.c - a run folder's life: begun, killed, resumed, failed, finished, listed, found.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "run/run.h"

static char results[PATH_LEN];

static int set_up(void **state)
{
    (void)state;
    snprintf(results, sizeof results, "%s/run-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(results) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    return path_remove_tree(results, &err);
}

static const char *at(const char *name)
{
    static char paths[4][PATH_LEN];
    static int next;
    char *path = paths[next++ % 4];

    assert_int_equal(path_format(path, NULL, "%s/%s", results, name), 0);
    return path;
}

static struct run *begin(const char *name)
{
    json_t *facts = json_pack("{s:s, s:i}", "experiment", "smoke", "seed", 42);
    struct err err = {0};
    struct run *r;

    if (run_begin(&r, results, name, facts, &err) < 0)
        fail_msg("%s", err.msg);
    json_decref(facts);
    return r;
}

static void metric(struct run *r, int epoch)
{
    json_t *line = json_pack("{s:i, s:f}", "epoch", epoch, "loss", 0.25);
    struct err err = {0};

    if (run_metric(r, line, &err) < 0 || run_timing(r, line, &err) < 0)
        fail_msg("%s", err.msg);
    json_decref(line);
}

static void expect_status(const char *name, const char *status)
{
    struct run_entry e;
    struct err err = {0};

    if (run_open(&e, at(name), &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(e.status, status);
    assert_string_equal(e.name, name);
    run_entry_free(&e);
}

static void expect_text(const char *name, const char *expected)
{
    struct err err;
    char *text;
    size_t size;

    assert_int_equal(path_read(&text, &size, at(name), 1 << 20, &err), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void whole_life(void **state)
{
    struct run *r = begin("whole");
    json_t *note = json_pack("{s:s, s:i}", "host", "here", "seed", 43);
    struct err err = {0};
    json_t *json;

    (void)state;
    assert_string_equal(run_folder(r), at("whole"));
    expect_status("whole", "running");
    assert_true(path_is_dir(at("whole/checkpoints")) && path_is_dir(at("whole/plots")));
    metric(r, 0);
    assert_int_equal(run_metrics_bytes(r), strlen("{\"epoch\": 0, \"loss\": 0.25}\n"));
    metric(r, 1);
    assert_int_equal(run_note(r, note, &err), 0);
    json_decref(note);
    log_error("a line for the log");
    assert_int_equal(run_finish(r, &err), 0);
    log_error("a line that comes too late");
    expect_status("whole", "done");
    expect_text("whole/metrics.jsonl",
                "{\"epoch\": 0, \"loss\": 0.25}\n{\"epoch\": 1, \"loss\": 0.25}\n");
    expect_text("whole/log.txt", "presize: error: a line for the log\n");
    assert_false(path_exists(at("whole/.lock")));
    assert_int_equal(json_read(&json, at("whole/run.json"), &err), 0);
    assert_int_equal(json_integer_value(json_object_get(json, "version")), RUN_VERSION);
    assert_int_equal(json_integer_value(json_object_get(json, "seed")), 43);
    assert_non_null(json_object_get(json, "start"));
    assert_non_null(json_object_get(json, "stop"));
    json_decref(json);
}

/* What a finished run lists; a file that cannot be listed is no reason to lose the run. */
static void its_files_are_listed(void **state)
{
    struct err err = {0};
    char hex[SHA256_HEX];
    const json_t *files;

    (void)state;
    for (int foreign = 0; foreign < 2; foreign++) {
        const char *name = foreign ? "foreign" : "listed";
        struct run *r = begin(name);
        char path[64];
        json_t *json;

        snprintf(path, sizeof path, "%s/%s", name, foreign ? "caf\xe9" : "plots/loss.svg");
        metric(r, 0);
        assert_int_equal(path_write(at(path), "x", 1, &err), 0);
        assert_int_equal(run_finish(r, &err), 0);
        snprintf(path, sizeof path, "%s/run.json", name);
        assert_int_equal(json_read(&json, at(path), &err), 0);
        assert_string_equal(json_string_value(json_object_get(json, "status")), "done");
        files = json_object_get(json, "files");
        snprintf(path, sizeof path, "%s/metrics.jsonl", name);
        assert_int_equal(sha256_file(at(path), hex, NULL, &err), 0);
        if (foreign) {
            assert_null(files);
        } else {
            assert_string_equal(json_string_value(json_object_get(files, "metrics.jsonl")), hex);
            assert_null(json_object_get(files, "run.json"));
            assert_null(json_object_get(files, "plots/loss.svg"));
        }
        json_decref(json);
    }
}

static void never_overwrites(void **state)
{
    json_t *facts = json_object();
    struct err err = {0};
    struct run *r;

    (void)state;
    assert_int_equal(run_finish(begin("twice"), &err), 0);
    assert_true(run_begin(&r, results, "twice", facts, &err) < 0);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "never overwritten"));
    assert_null(r);
    expect_status("twice", "done");
    /* What cannot be made leaves nothing. */
    assert_int_equal(path_write(at("file"), "x", 1, &err), 0);
    assert_true(run_begin(&r, at("file"), "run", facts, &err) < 0);
    assert_non_null(strstr(err.msg, "file"));
    json_decref(facts);
}

static void fails_and_stops(void **state)
{
    struct err why = {0};
    json_t *json;

    (void)state;
    err_set(&why, ERR_NUMERIC, "batch 7: the loss is no number");
    run_fail(begin("failed"), &why);
    expect_status("failed", "failed");
    expect_text("failed/log.txt", "run failed: batch 7: the loss is no number\n");
    assert_int_equal(json_read(&json, at("failed/run.json"), &why), 0);
    assert_string_equal(json_string_value(json_object_get(json, "error")),
                        "batch 7: the loss is no number");
    json_decref(json);
    err_set(&why, ERR_STOPPED, "interrupted");
    run_fail(begin("stopped"), &why);
    expect_status("stopped", "stopped");
    err_set(&why, ERR_IO, "\xff.jpg: gone"); /* no UTF-8, so no JSON */
    run_fail(begin("odd"), &why);
    expect_status("odd", "failed");
}

/* A process that dies while it holds a run: two lines of metrics, a torn line of timing. */
static void kill_one(const char *name)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct run *r = begin(name);
        FILE *timing;

        metric(r, 0);
        metric(r, 1);
        timing = fopen(at("killed/timing.jsonl"), "a");
        if (timing) {
            fputs("{\"epoch\": 2, \"lo", timing);
            fclose(timing);
        }
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void killed_and_resumed(void **state)
{
    const size_t line = strlen("{\"epoch\": 0, \"loss\": 0.25}\n");
    struct err err = {0};
    struct run *r, *second;

    (void)state;
    kill_one("killed");
    expect_status("killed", "killed");
    assert_true(run_resume(&r, at("killed"), 3 * line, 1, &err) < 0); /* lines were lost */
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_int_equal(run_resume(&r, at("killed"), line, 1, &err), 0);
    expect_status("killed", "running");
    assert_int_equal(run_metrics_bytes(r), line);
    assert_true(run_resume(&second, at("killed"), line, 1, &err) < 0);
    assert_int_equal(err.kind, ERR_LOCKED);
    assert_null(second);
    metric(r, 7);
    assert_int_equal(run_metrics_bytes(r), 2 * line);
    assert_int_equal(run_finish(r, &err), 0);
    expect_text("killed/metrics.jsonl",
                "{\"epoch\": 0, \"loss\": 0.25}\n{\"epoch\": 7, \"loss\": 0.25}\n");
    expect_text("killed/timing.jsonl",
                "{\"epoch\": 0, \"loss\": 0.25}\n{\"epoch\": 7, \"loss\": 0.25}\n");
    expect_status("killed", "done");
    assert_true(run_resume(&r, at("killed"), line, 1, &err) < 0);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "done"));
    assert_true(run_resume(&r, results, 0, 0, &err) < 0);
    assert_non_null(strstr(err.msg, "run.json"));
}

static void listed_and_found(void **state)
{
    struct run_entry *entries;
    struct err err = {0};
    char folder[PATH_LEN], path[PATH_LEN];
    size_t n;

    (void)state;
    assert_int_equal(run_find(folder, at("none-yet"), NULL, &err), -1);
    assert_non_null(strstr(err.msg, "train --exp"));
    assert_int_equal(run_finish(begin("20260101-000000-resnet34_baseline-01234567"), &err), 0);
    assert_int_equal(run_finish(begin("zebra"), &err), 0);
    assert_int_equal(run_finish(begin("apple"), &err), 0);
    assert_int_equal(path_make_dirs(at("empty"), &err), 0);
    assert_int_equal(path_make_dirs(at("torn"), &err), 0);
    assert_int_equal(path_write(at("torn/run.json"), "{", 1, &err), 0);
    assert_int_equal(path_make_dirs(at("beheaded/checkpoints"), &err), 0);
    assert_int_equal(run_list(&entries, &n, results, &err), 0);
    assert_int_equal(n, 5); /* an empty folder is skipped */
    assert_string_equal(entries[0].name, "beheaded");
    assert_string_equal(entries[0].status, "unreadable");
    assert_non_null(strstr(entries[0].fault, "no run.json"));
    assert_string_equal(entries[1].name, "torn");
    assert_string_equal(entries[1].status, "unreadable");
    assert_null(entries[1].run);
    assert_non_null(strstr(entries[1].fault, "torn/run.json"));
    assert_string_equal(entries[2].name, "20260101-000000-resnet34_baseline-01234567");
    assert_string_equal(entries[3].name, "zebra");
    assert_string_equal(entries[4].name, "apple"); /* by start, not by name */
    run_list_free(entries, n);

    assert_int_equal(run_find(folder, results, NULL, &err), 0);
    assert_string_equal(folder, at("apple"));
    assert_int_equal(run_find(folder, results, "zebra/", &err), 0);
    assert_string_equal(folder, at("zebra"));
    assert_int_equal(path_format(path, &err, "%s", at("zebra")), 0);
    assert_int_equal(run_find(folder, "elsewhere", path, &err), 0);
    assert_string_equal(folder, at("zebra"));
    assert_true(run_find(folder, results, "zebar", &err) < 0);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "did you mean zebra"));
    assert_true(run_find(folder, results, "resnet34", &err) < 0);
    assert_non_null(strstr(err.msg, "resnet34_baseline-01234567"));
    assert_true(run_find(folder, results, "empty", &err) < 0);
    assert_non_null(strstr(err.msg, "no run.json"));
    assert_true(run_find(folder, results, "unheard-of", &err) < 0);
    assert_non_null(strstr(err.msg, "apple"));
}

/* VALUE, and with it all below, with one thing changed at a time: RUN must then not be what was written. */
static int spoil(json_t *run, json_t *value, json_t *parent, const char *key)
{
    struct err err = {0};
    json_t *was, *item;
    const char *name;
    void *next;
    int n = 0;

    json_object_foreach_safe(value, next, name, item) n += spoil(run, item, value, name);
    if (json_object_size(value) > 0)
        return n;
    was = json_incref(value);
    json_object_set_new(parent, key, json_string("spoilt"));
    assert_int_equal(run_check_record(run, &err), 0);
    assert_int_equal(err.kind, ERR_CHECKSUM);
    json_object_set_new(parent, key, was);
    return n + 1;
}

static void every_leaf_of_the_record_counts(void **state)
{
    struct err err = {0};
    char path[PATH_LEN];
    json_t *run;

    (void)state;
    assert_int_equal(run_finish(begin("whole"), &err), 0);
    assert_int_equal(path_format(path, &err, "%s/run.json", at("whole")), 0);
    assert_int_equal(json_read(&run, path, &err), 0);
    assert_int_equal(run_check_record(run, &err), 1);
    assert_true(spoil(run, run, NULL, NULL) >= 6);
    assert_int_equal(run_check_record(run, &err), 1); /* all is back */
    json_object_del(run, "record_sha256");
    assert_int_equal(run_check_record(run, &err), 0);
    json_object_set_new(run, "version", json_integer(1)); /* an older one does not say */
    assert_int_equal(run_check_record(run, &err), -1);
    json_decref(run);
}

/* --- TensorBoard ---------------------------------------------------------------------------------- */

static uint64_t little(const uint8_t *p, int bytes)
{
    uint64_t value = 0;

    for (int i = bytes; i-- > 0;)
        value = value << 8 | p[i];
    return value;
}

static uint32_t unmasked(uint32_t crc)
{
    crc -= 0xa282ead8u;
    return crc >> 17 | crc << 15;
}

/* The events files of FOLDER in the order of their names; checks frames and returns the records. */
static int records(const char *folder, const uint8_t **data, size_t *sizes, int room, char **hold)
{
    struct dirent **entries;
    int files = scandir(folder, &entries, NULL, alphasort), n = 0, held = 0;

    for (int i = 0; i < files; i++) {
        char path[PATH_LEN];
        struct err err;
        size_t size;

        if (strstr(entries[i]->d_name, "tfevents")) {
            assert_int_equal(path_format(path, &err, "%s/%s", folder, entries[i]->d_name), 0);
            assert_int_equal(path_read(&hold[held], &size, path, 1 << 20, &err), 0);
            for (const uint8_t *p = (uint8_t *)hold[held], *end = p + size; p < end; n++) {
                assert_true(end - p >= 16 && n < room);
                data[n] = p + 12;
                sizes[n] = little(p, 8);
                assert_true(sizes[n] <= (size_t)(end - p) - 16);
                assert_int_equal(crc32c(0, p, 8), unmasked((uint32_t)little(p + 8, 4)));
                p += 12 + sizes[n];
                assert_int_equal(crc32c(0, data[n], sizes[n]), unmasked((uint32_t)little(p, 4)));
                p += 4;
            }
            held++;
        }
        free(entries[i]);
    }
    free(entries);
    return n;
}

static void events_are_what_tensorboard_reads(void **state)
{
    /* After the wall time (tag 0x09 and 8 bytes): a version, then step and summary { value { tag,
     * simple_value } }, then a session start at the step of the resumed run's first scalar. */
    static const char version[] = "\x1a\x0d"
                                  "brain.Event:2";
    static const uint8_t scalar[] = {0x10, 0xac, 0x02, 0x2a, 0x0f, 0x0a, 0x0d, 0x0a, 0x06, 'v',
                                     '/',  'l',  'o',  's',  's',  0x15, 0x00, 0x00, 0x80, 0x3e};
    static const uint8_t session[] = {0x10, 0x05, 0x3a, 0x02, 0x08, 0x01};
    /* value { tag: "cm", image { height: 300, width: 2, colorspace: 3, encoded_image_string: "PNG" } } */
    static const uint8_t image[] = {0x10, 0x07, 0x2a, 0x14, 0x0a, 0x12, 0x0a, 0x02,
                                    'c',  'm',  0x22, 0x0c, 0x08, 0xac, 0x02, 0x10,
                                    0x02, 0x18, 0x03, 0x22, 0x03, 'P',  'N',  'G'};
    const uint8_t *data[8];
    size_t sizes[8];
    char *hold[4] = {NULL};
    struct err err = {0}, why = {.kind = ERR_STOPPED, .msg = "stopped"};
    struct run *r = begin("events");

    (void)state;
    assert_int_equal(run_scalar(r, "v/loss", 300, 0.25, &err), 0);
    run_fail(r, &why);
    assert_int_equal(run_resume(&r, at("events"), 0, 0, &err), 0);
    assert_int_equal(run_scalar(r, "v/loss", 5, 0.25, &err), 0);
    assert_int_equal(run_scalar(r, "v/loss", 6, 0.25, &err), 0);
    assert_int_equal(run_image(r, "cm", 7, "PNG", 3, 2, 300, &err), 0);
    assert_int_equal(run_image(NULL, "cm", 7, "PNG", 3, 2, 300, &err), 0);
    assert_int_equal(run_finish(r, &err), 0);
    assert_int_equal(records(at("events"), data, sizes, 8, hold), 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(data[i][0], 0x09);
    assert_int_equal(sizes[0], 9 + strlen(version));
    assert_memory_equal(data[0] + 9, version, strlen(version));
    assert_int_equal(sizes[1], 9 + sizeof scalar);
    assert_memory_equal(data[1] + 9, scalar, sizeof scalar);
    assert_memory_equal(data[2] + 9, version, strlen(version));
    assert_int_equal(sizes[3], 9 + sizeof session);
    assert_memory_equal(data[3] + 9, session, sizeof session);
    assert_int_equal(sizes[6], 9 + sizeof image);
    assert_memory_equal(data[6] + 9, image, sizeof image);
    for (int i = 0; i < 4; i++)
        free(hold[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_files_are_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(never_overwrites, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fails_and_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_and_resumed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listed_and_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_leaf_of_the_record_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_are_what_tensorboard_reads, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
