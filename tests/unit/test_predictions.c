/* test_predictions.c - predictions there and back, the same bytes twice, damage found.
 *
 * `test_predictions --make RESULTS NAME SEED WRONG [WORD [N]]` writes a small finished run for the
 * tests of eval instead: 3 classes, 60 or N pictures named by WORD, the first WRONG of them mistaken.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/path.h"
#include "draw/plot.h"
#include "draw/report.h"
#include "run/predictions.h"
#include "run/run.h"

static char folder[PATH_LEN];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/predictions-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    return path_remove_tree(folder, &err);
}

static const char *at(const char *name)
{
    static char paths[4][PATH_LEN];
    static int next;
    char *path = paths[next++ % 4];

    assert_int_equal(path_format(path, NULL, "%s/%s", folder, name), 0);
    return path;
}

/* N pictures of 3 classes named by WORD, the first WRONG mistaken for the next class; probabilities
 * by the picture's number, and SURER. */
static struct predictions *make_named(uint32_t n, uint32_t wrong, const char *word, float surer)
{
    static const char *const vocab[] = {"cat, \"grey\"", "dog", "<b>&\xc3\xa9"};
    struct predictions *p;
    char id[64];
    struct err err;

    if (predictions_new(&p, n, 3, &err) < 0)
        abort();
    for (int c = 0; c < 3; c++)
        p->vocab[c] = strdup(vocab[c]);
    for (uint32_t i = 0; i < n; i++) {
        float most = 0.5F + surer + 0.4F * (float)(i % 7) / 7;
        float *row = p->prob + 3 * (size_t)i;

        snprintf(id, sizeof id, "%c/%.32s_%03u.jpg", 'a' + (int)(i % 3), word, i);
        p->ids[i] = strdup(id);
        p->actual[i] = (int32_t)(i % 3);
        p->predicted[i] = (int32_t)(i < wrong ? (i + 1) % 3 : i % 3);
        row[0] = row[1] = row[2] = (1 - most) / 2;
        row[p->predicted[i]] = most;
        p->loss[i] = -logf(row[p->actual[i]]);
    }
    return p;
}

static struct predictions *make(uint32_t n, uint32_t wrong)
{
    return make_named(n, wrong, "picture", 0);
}

static void write_ok(const struct predictions *p)
{
    struct err err = {0};

    if (predictions_write(p, folder, &err) < 0)
        fail_msg("%s", err.msg);
}

static void there_and_back(void **state)
{
    struct predictions *p = make(20, 5), *q;
    struct err err = {0};

    (void)state;
    write_ok(p);
    if (predictions_read(&q, folder, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(q->n, 20);
    assert_int_equal(q->classes, 3);
    for (uint32_t i = 0; i < 20; i++)
        assert_string_equal(p->ids[i], q->ids[i]);
    for (int c = 0; c < 3; c++)
        assert_string_equal(p->vocab[c], q->vocab[c]);
    assert_memory_equal(p->actual, q->actual, 20 * sizeof *p->actual);
    assert_memory_equal(p->predicted, q->predicted, 20 * sizeof *p->predicted);
    assert_memory_equal(p->prob, q->prob, 60 * sizeof *p->prob);
    assert_memory_equal(p->loss, q->loss, 20 * sizeof *p->loss);
    predictions_free(p);
    predictions_free(q);
}

static void empty_sets_are_fine(void **state)
{
    struct predictions *p = make(0, 0), *q;
    struct err err = {0};

    (void)state;
    write_ok(p);
    if (predictions_read(&q, folder, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(q->n, 0);
    predictions_free(p);
    predictions_free(q);
}

static void hash_all(char hex[4][SHA256_HEX])
{
    static const char *const files[] = {"predictions.csv", "predictions.h5", "confusion.csv",
                                        "per_class.csv"};
    struct err err;

    for (int i = 0; i < 4; i++)
        assert_int_equal(sha256_file(at(files[i]), hex[i], NULL, &err), 0);
}

static void equal_input_gives_equal_bytes(void **state)
{
    struct predictions *p = make(20, 5);
    char once[4][SHA256_HEX], again[4][SHA256_HEX], other[4][SHA256_HEX];

    (void)state;
    write_ok(p);
    hash_all(once);
    sleep(1); /* HDF5 keeps times by the second */
    write_ok(p);
    hash_all(again);
    p->predicted[19] = 0;
    write_ok(p);
    hash_all(other);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(once[i], again[i]);
        assert_string_not_equal(once[i], other[i]); /* the control */
    }
    predictions_free(p);
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

static void tables_are_rfc_4180(void **state)
{
    struct predictions *p = make(4, 1);

    (void)state;
    free(p->ids[1]);
    p->ids[1] = strdup("line\nend.jpg");
    p->prob[0] = p->prob[2] = 0.25F;
    p->prob[1] = 0.5F;
    p->loss[0] = 1.5F;
    p->loss[1] = p->loss[2] = p->loss[3] = 0.1F;
    for (size_t i = 3; i < 12; i++)
        p->prob[i] = i % 4 == 0 ? 0.75F : 0.125F; /* the diagonal, and picture 3 below */
    p->prob[9] = 0.75F;
    write_ok(p);
    expect_text("predictions.csv", "id,actual,predicted,p_actual,p_predicted,loss\n"
                                   "a/picture_000.jpg,\"cat, \"\"grey\"\"\",dog,0.25,0.5,1.5\n"
                                   "\"line\nend.jpg\",dog,dog,0.75,0.75,0.1\n"
                                   "c/picture_002.jpg,<b>&\xc3\xa9,<b>&\xc3\xa9,0.75,0.75,0.1\n"
                                   "a/picture_003.jpg,\"cat, \"\"grey\"\"\",\"cat, \"\"grey\"\"\","
                                   "0.75,0.75,0.1\n");
    expect_text("confusion.csv", "actual,\"cat, \"\"grey\"\"\",dog,<b>&\xc3\xa9\n"
                                 "\"cat, \"\"grey\"\"\",1,1,0\ndog,0,1,0\n<b>&\xc3\xa9,0,0,1\n");
    expect_text("per_class.csv",
                "class,precision,recall,f1,support,predicted,correct,recall_low,recall_high\n"
                "\"cat, \"\"grey\"\"\",1.000000,0.500000,0.666667,2,1,1,0.094531,0.905469\n"
                "dog,0.500000,1.000000,0.666667,1,2,1,0.206549,1.000000\n"
                "<b>&\xc3\xa9,1.000000,1.000000,1.000000,1,1,1,0.206549,1.000000\n");
    predictions_free(p);
}

static void most_confused_is_in_order(void **state)
{
    const uint32_t counts[16] = {9, 2, 0, 5, /**/ 2, 9, 1, 0, /**/ 0, 5, 9, 0, /**/ 0, 0, 1, 9};
    static const struct confused expected[] = {{0, 3, 5}, {2, 1, 5}, {0, 1, 2},
                                               {1, 0, 2}, {1, 2, 1}, {3, 2, 1}};
    struct confused *most;
    struct err err;
    size_t n;

    (void)state;
    assert_int_equal(confusion_most(&most, &n, counts, 4, 0, &err), 0);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(&most[i], &expected[i], sizeof *most);
    free(most);
    assert_int_equal(confusion_most(&most, &n, counts, 4, 3, &err), 0);
    assert_int_equal(n, 2);
    free(most);
}

static void top_losses_keep_their_order(void **state)
{
    struct predictions *p = make(6, 0);
    const float loss[] = {1, 3, 2, 3, 0, 3};
    const uint32_t expected[] = {1, 3, 5, 2, 0, 4};
    struct err err;
    uint32_t *order;

    (void)state;
    memcpy(p->loss, loss, sizeof loss);
    assert_int_equal(predictions_by_loss(&order, p, &err), 0);
    assert_memory_equal(order, expected, sizeof expected);
    free(order);
    predictions_free(p);
}

/* predictions.h5 cut to SIZE bytes with byte AT turned; read, and freed if it can be. */
static int read_damaged(const char *bytes, size_t size, size_t turned, struct err *err)
{
    struct predictions *p;
    char *copy = malloc(size + 1);
    int rc;

    memcpy(copy, bytes, size);
    if (turned < size)
        copy[turned] = (char)(copy[turned] ^ 0x55);
    assert_int_equal(path_write(at("predictions.h5"), copy, size, err), 0);
    free(copy);
    rc = predictions_read(&p, folder, err);
    assert_true((rc == 0) == (p != NULL));
    predictions_free(p);
    return rc;
}

static void damage_is_found(void **state)
{
    struct predictions *p = make(20, 5), *q;
    struct err err = {0};
    char *bytes;
    size_t size;
    int found = 0, tried = 0;

    (void)state;
    assert_true(predictions_read(&q, folder, &err) < 0);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "when a run is done"));
    write_ok(p);
    assert_int_equal(path_read(&bytes, &size, at("predictions.h5"), 1 << 20, &err), 0);
    assert_int_equal(read_damaged(bytes, size, size, &err), 0);
    for (size_t cut = 0; cut < size; cut += 97) {
        assert_true(read_damaged(bytes, cut, size, &err) < 0);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_non_null(strstr(err.msg, "predictions.h5"));
    }
    /* A byte of a probability or loss may pass; none may crash. */
    for (size_t i = 0; i < size; i += 7, tried++)
        found += read_damaged(bytes, size, i, &err) < 0;
    assert_true(found > 0 && found < tried);
    free(bytes);
    p->prob[10] = NAN;
    write_ok(p);
    assert_true(predictions_read(&q, folder, &err) < 0);
    assert_non_null(strstr(err.msg, "picture 3"));
    predictions_free(p);
}

static void nothing_is_written_where_nothing_can_be(void **state)
{
    struct predictions *p = make(20, 5);
    struct err err = {0};

    (void)state;
    assert_true(predictions_write(p, at("none"), &err) < 0);
    assert_non_null(strstr(err.msg, "none"));
    assert_false(path_exists(at("none")));
    predictions_free(p);
}

/* --- a run for the tests of eval ------------------------------------------------------------------ */

static void check(int rc, const struct err *err)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

static json_t *facts(long seed)
{
    return json_pack(
        "{s:s, s:s, s:[s, s, s], s:{s:s, s:s, s:i, s:s}, s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:s, "
        "s:s, s:s, s:i, s:{s:s, s:s, s:n}, s:s, s:i, s:i, s:{s:i, s:i, s:i, s:i}}",
        "experiment", "made", "title", "A made-up run <script>", "argv", "train", "--exp", "made",
        "machine", "host", "here", "device", "a processor", "threads", 2, "isa", "avx2",
        "libraries", "presize", "0.1.0", "backend", "none", "sha256", "manifest", "00", "index",
        "11", "config", "22", "set", "made", "shards", "data/made/shards-460", "split",
        "random split (42)", "seed", (int)seed, "precision", "asked", "fp32", "ran", "fp32", "note",
        "backend", "cpu", "microbatch", 8, "classes", 3, "pictures", "train", 240, "valid", 60,
        "test", 0, "left_out", 0);
}

static void make_metrics(struct run *r, double error_rate)
{
    char path[PATH_LEN];
    struct err err = {0};
    json_t *last = NULL, *both;

    for (int epoch = 0; epoch < 3; epoch++) {
        double factor = 1 + 0.5 * (2 - epoch);

        json_decref(last);
        last = json_pack("{s:i, s:s, s:s, s:f, s:f, s:f, s:f}", "epoch", epoch, "phase",
                         "one_cycle", "split", "valid", "train_loss", 0.3 * factor, "valid_loss",
                         0.4 * factor, "error_rate", error_rate * factor, "lr", 1e-3);
        check(run_metric(r, last, &err), &err);
    }
    both = json_pack("{s:O, s:O}", "final", last, "best", last);
    check(path_format(path, &err, "%s/metrics.json", run_folder(r)), &err);
    check(json_write(path, both, &err), &err);
    json_decref(both);
    json_decref(last);
}

static void make_plots(const struct run *r, const struct predictions *p)
{
    const double x[] = {1, 2, 3}, y[] = {0.8, 0.6, 0.4};
    const struct plot_series loss = {"valid", x, y, 3, true};
    const struct plot_options o = {.title = "Loss", .x_label = "epoch", .y_label = "nat"};
    char path[PATH_LEN];
    struct err err = {0};
    uint32_t *counts;

    check(path_format(path, &err, "%s/plots/loss.svg", run_folder(r)), &err);
    check(plot_lines(path, &o, &loss, 1, &err), &err);
    check(confusion_count(&counts, p, &err), &err);
    check(path_format(path, &err, "%s/plots/confusion.svg", run_folder(r)), &err);
    check(plot_confusion(path, "Confusion matrix", counts, p->vocab, p->classes, &err), &err);
    free(counts);
}

static int make_run(const char *results, const char *name, long seed, long wrong, const char *word,
                    uint32_t n)
{
    struct predictions *p = make_named(n, (uint32_t)wrong, word, seed > 9 ? 0.05F : 0);
    char path[PATH_LEN], params[512];
    struct err err = {0};
    json_t *json = facts(seed);
    struct run *r;

    check(run_begin(&r, results, name, json, &err), &err);
    json_decref(json);
    snprintf(params, sizeof params,
             "seed: %ld\ndata.set: made\ndata.split: random\ndata.valid: 0.2\ndata.split_seed: 42\n"
             "model.arch: resnet18\nmodel.weights: none\ntrain.batch: 16\ntrain.size: 224\n"
             "exec.threads: 2\n",
             seed);
    check(path_format(path, &err, "%s/params.yaml", run_folder(r)), &err);
    check(path_write(path, params, strlen(params), &err), &err);
    check(predictions_write(p, run_folder(r), &err), &err);
    make_plots(r, p);
    make_metrics(r, (double)wrong / n);
    check(report_write(run_folder(r), &(struct report_sources){0}, &err), &err);
    check(run_finish(r, &err), &err);
    predictions_free(p);
    return 0;
}

/* --check FOLDER: its predictions add up to 1, the largest is the prediction, the loss that of the
 * label. */
static int check_folder(const char *path)
{
    struct predictions *p;
    struct err err = {0};
    int rc = 0;

    check(predictions_read(&p, path, &err), &err);
    for (uint32_t i = 0; i < p->n; i++) {
        const float *row = p->prob + (size_t)i * (size_t)p->classes;
        double sum = 0, loss = -log((double)row[p->actual[i]]);
        bool largest = true;

        for (int32_t c = 0; c < p->classes; c++) {
            sum += (double)row[c];
            largest &= row[p->predicted[i]] >= row[c];
        }
        if (fabs(sum - 1) < 1e-5 && largest && fabs(loss - (double)p->loss[i]) < 1e-3)
            continue;
        printf("%s: sum %.7f, loss %.5f and %.5f\n", p->ids[i], sum, (double)p->loss[i], loss);
        rc = 1;
    }
    printf("%u pictures of %d classes\n", p->n, p->classes);
    predictions_free(p);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(there_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_sets_are_fine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_input_gives_equal_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tables_are_rfc_4180, set_up, tear_down),
        cmocka_unit_test(most_confused_is_in_order),
        cmocka_unit_test(top_losses_keep_their_order),
        cmocka_unit_test_setup_teardown(damage_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_written_where_nothing_can_be, set_up, tear_down),
    };

    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        return check_folder(argv[2]);
    if (argc >= 6 && strcmp(argv[1], "--make") == 0)
        return make_run(argv[2], argv[3], strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10),
                        argc > 6 ? argv[6] : "picture",
                        argc > 7 ? (uint32_t)strtoul(argv[7], NULL, 10) : 60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
