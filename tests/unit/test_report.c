/* test_report.c - a run's page from odd runs: one class, two, a thousand; labels of every kind; half-written folders.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/path.h"
#include "data/shard.h"
#include "draw/report.h"
#include "run/metrics.h"
#include "run/predictions.h"
#include "run/run.h"
#include "image/decode.h"
#include "image/encode_jpeg.h"
#include "shards.h"

static char results[] = "/tmp/presize-report-XXXXXX";

static void check(int rc, const struct err *err)
{
    if (rc < 0)
        fail_msg("%s", err->msg);
}

static const char *const odd[] = {"</script><script>alert(1)</script>",
                                  "a, \"b\" and 'c'",
                                  "two\nlines",
                                  "\xe7\x8c\xab \xf0\x9f\x90\xb1",
                                  "&amp; {{data}} \\u003c",
                                  "\xff\xfe no UTF-8",
                                  NULL /* very long */};

/* N pictures of CLASSES, every third mistaken; names of the classes from ODD where there are as many. */
static struct predictions *make(uint32_t n, int32_t classes)
{
    struct predictions *p;
    struct err err;
    char text[4096];

    check(predictions_new(&p, n, classes, &err), &err);
    for (int32_t c = 0; c < classes; c++) {
        snprintf(text, sizeof text, "class %d", c);
        if (classes == 7 && c < 6)
            snprintf(text, sizeof text, "%s", odd[c]);
        else if (classes == 7)
            memset(text, 'x', 3000), text[3000] = 0;
        p->vocab[c] = strdup(text);
    }
    for (uint32_t i = 0; i < n; i++) {
        float *row = p->prob + (size_t)i * (size_t)classes;

        snprintf(text, sizeof text, "<b>/%u&.jpg", i);
        p->ids[i] = strdup(text);
        p->actual[i] = (int32_t)i % classes;
        p->predicted[i] = i % 3 == 0 ? (p->actual[i] + 1) % classes : p->actual[i];
        for (int32_t c = 0; c < classes; c++)
            row[c] = classes > 1 ? 0.4F / (float)(classes - 1) : 0;
        row[p->predicted[i]] = classes > 1 ? 0.6F : 1;
        p->loss[i] = p->predicted[i] == p->actual[i] ? 0.5F : 3;
    }
    return p;
}

/* A finished run of that name with these predictions (NULL: none). */
static void make_run(char folder[PATH_LEN], const char *name, const struct predictions *p)
{
    json_t *facts =
        json_pack("{s:s, s:s, s:i}", "set", "made", "title", "</title><script>", "seed", 1);
    json_t *line = json_pack("{s:i, s:f, s:f, s:f, s:f}", "epoch", 0, "train_loss", 1.5,
                             "valid_loss", 1.25, "error_rate", 0.5, "lr", 0.001);
    struct run *r;
    struct err err = {0};

    check(run_begin(&r, results, name, facts, &err), &err);
    check(path_format(folder, &err, "%s", run_folder(r)), &err);
    check(run_metric(r, line, &err), &err);
    check(run_timing(r, line, &err), &err);
    if (p)
        check(predictions_write(p, folder, &err), &err);
    check(run_finish(r, &err), &err);
    json_decref(facts);
    json_decref(line);
}

static void add_file(const char *folder, const char *name, const char *text)
{
    char path[PATH_LEN];
    struct err err = {0};
    FILE *file;

    check(path_format(path, &err, "%s/%s", folder, name), &err);
    file = fopen(path, "a");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The page, owned by the caller. */
static char *write_page(const char *folder)
{
    const struct report_sources from = {.no_shards = "<gone>"};
    char path[PATH_LEN], *page;
    struct err err = {0};
    size_t size;

    check(report_write(folder, &from, &err), &err);
    check(path_format(path, &err, "%s/report.html", folder), &err);
    check(path_read(&page, &size, path, 64 << 20, &err), &err);
    assert_true(strcmp(page + size - 8, "</html>\n") == 0);
    assert_true(size < 5 << 20);
    return page;
}

static size_t count(const char *page, const char *what)
{
    size_t n = 0;

    for (; (page = strstr(page, what)) != NULL; page += strlen(what))
        n++;
    return n;
}

/* The JSON of the page's data. */
static json_t *data_of(const char *page)
{
    const char *begin = strstr(page, "id=\"data\">"), *end;
    json_t *data;

    assert_non_null(begin);
    begin += strlen("id=\"data\">");
    end = strstr(begin, "</script>");
    assert_non_null(end);
    data = json_loadb(begin, (size_t)(end - begin), 0, NULL);
    assert_non_null(data);
    return data;
}

static void odd_labels_stay_text(void **state)
{
    struct predictions *p = make(70, 7);
    char folder[PATH_LEN], *page;
    json_t *data, *vocab;

    (void)state;
    make_run(folder, "odd", p);
    page = write_page(folder);
    data = data_of(page);
    vocab = json_object_get(data, "vocab");
    assert_int_equal(count(page, "<script"), 2); /* the data's and the page's own */
    assert_int_equal(count(page, "</title>"), 1);
    assert_int_equal(count(page, "alert(1)</script>"), 0);
    assert_int_equal(json_array_size(vocab), 7);
    for (int c = 0; c < 7; c++) {
        const char *label = json_string_value(json_array_get(vocab, (size_t)c));

        assert_non_null(label);
        if (c < 2 || c == 3 || c == 4)
            assert_string_equal(label, odd[c]);
        if (c == 6)
            assert_int_equal(strlen(label), 3000);
    }
    json_decref(data);
    free(page);
    predictions_free(p);
}

static void any_number_of_classes(void **state)
{
    static const struct {
        uint32_t n;
        int32_t classes;
        size_t shown;
    } cases[] = {{9, 1, 1}, {1, 1, 1}, {30, 2, 2}, {300, 100, 100}, {3000, 1000, 100}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct predictions *p = make(cases[i].n, cases[i].classes);
        char folder[PATH_LEN], name[32], *page;
        json_t *data;

        snprintf(name, sizeof name, "classes-%zu", i);
        make_run(folder, name, p);
        page = write_page(folder);
        data = data_of(page);
        assert_int_equal(json_array_size(json_object_get(data, "shown")), cases[i].shown);
        assert_true(json_array_size(json_object_get(data, "pictures")) <= 25 + 400 + 160 + 120);
        assert_int_equal(count(page, "classes with most mistakes"), cases[i].classes > 100);
        assert_int_equal(count(page, "nan<") + count(page, " nan") + count(page, ">inf<"), 0);
        json_decref(data);
        free(page);
        predictions_free(p);
    }
}

/* Of the pictures in DATA, those of class ACTUAL that were predicted as PREDICTED. */
static size_t pictures_of(const json_t *data, int actual, int predicted)
{
    const json_t *picture;
    size_t i, n = 0;

    json_array_foreach(json_object_get(data, "pictures"), i, picture)
    {
        n += json_integer_value(json_object_get(picture, "actual")) == actual &&
             json_integer_value(json_object_get(picture, "predicted")) == predicted;
    }
    return n;
}

/* 1,000 mistakes are more than a page has, and those of the first pair have the lowest loss of them. */
static void each_listed_pair_has_pictures(void **state)
{
    static const int32_t classes[] = {40, 500};

    (void)state;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        struct predictions *p = make(3000, classes[i]);
        char folder[PATH_LEN], name[32], *page;
        json_t *data;

        for (uint32_t k = 0; k < p->n; k++)
            if (p->actual[k] == 0 && p->predicted[k] == 1)
                p->loss[k] = 1;
        snprintf(name, sizeof name, "pairs-%zu", i);
        make_run(folder, name, p);
        page = write_page(folder);
        data = data_of(page);
        assert_true(strstr(page, "data-actual=\"0\" data-predicted=\"1\"") != NULL);
        assert_true(pictures_of(data, 0, 1) >= (classes[i] == 40 ? 3 : 2));
        assert_true(pictures_of(data, 1, 1) >= 3);
        assert_true(classes[i] == 40 || pictures_of(data, 100, 100) == 0);
        json_decref(data);
        free(page);
        predictions_free(p);
    }
}

/* No predictions, a torn line, predictions that are none, a folder without a record. */
static void half_a_run_is_shown_as_far_as_it_goes(void **state)
{
    struct predictions *p = make(30, 3);
    char folder[PATH_LEN], *page;
    struct err err = {0};

    (void)state;
    make_run(folder, "none", NULL);
    add_file(folder, "metrics.jsonl", "{\"epoch\": 1, \"train_lo");
    page = write_page(folder);
    assert_non_null(strstr(page, "There are no predictions to show"));
    assert_int_equal(count(page, "no JSON object"), 0); /* the line may still be written */
    assert_non_null(strstr(page, "predictions.h5 was removed"));
    assert_int_equal(count(page, "<td>1.2500</td>") + count(page, "1.2500"), 1);
    free(page);

    make_run(folder, "bad-line", p);
    add_file(folder, "metrics.jsonl",
             "{\"epoch\": 1, \"train_lo\n{\"epoch\": 2, \"valid_loss\": 1}\n");
    page = write_page(folder);
    assert_int_equal(count(page, "metrics.jsonl: line 2 is no JSON object: left out"), 1);
    assert_int_equal(count(page, "timing.jsonl: line"), 0);
    free(page);

    make_run(folder, "damaged", NULL);
    add_file(folder, "predictions.h5", "not HDF5");
    page = write_page(folder);
    assert_non_null(strstr(page, "The predictions cannot be read"));
    free(page);

    make_run(folder, "torn", p);
    add_file(folder, "params.yaml", "a: [");
    add_file(folder, "checkpoints/last.json",
             "{\"resume\": {\"curve\": [[1, 2], 3, \"x\", [1, 2, 3, 4");
    page = write_page(folder);
    assert_non_null(strstr(page, "This page has no pictures: &lt;gone&gt;"));
    assert_non_null(strstr(page, "10 of 30"));
    free(page);

    add_file(folder, "run.json", "}");
    assert_true(report_write(folder, &(struct report_sources){0}, &err) < 0);
    assert_int_equal(err.kind, ERR_FORMAT);
    predictions_free(p);
}

/* Every picture of the set, predicted by its number. */
static struct predictions *predict_all(const struct shard_set *shards)
{
    const uint32_t n = shard_set_count(shards);
    struct predictions *p = make(n, shard_set_classes(shards));

    for (uint32_t i = 0; i < n; i++) {
        free(p->ids[i]);
        p->ids[i] = strdup(shard_set_picture(shards, i)->path);
    }
    return p;
}

/* The pictures of the page are those of the shards; one that is damaged is missing, and all else is there. */
static void pictures_come_from_the_shards(void **state)
{
    const char *const begin = "src=\"data:image/jpeg;base64,";
    struct shard_set *shards;
    struct predictions *p;
    char folder[PATH_LEN], file[PATH_LEN], tile[96], *page;
    struct err err = {0};
    struct shards t;
    FILE *shard;

    (void)state;
    shards_describe(&t, 33);
    check(shards_write(&t, &err), &err);
    check(shard_set_open(&shards, t.folder, &err), &err);
    p = predict_all(shards);
    make_run(folder, "pictures", p);
    for (int damaged = 0; damaged < 2; damaged++) {
        const struct report_sources from = {.shards = shards};
        const struct shard_picture *first = shard_set_picture(shards, 0);
        size_t size, rest;
        json_t *data;

        if (damaged) { /* picture 0, which is mistaken and so among the top losses */
            check(path_format(file, &err, "%s/shard-%05u.h5", t.folder, first->shard), &err);
            shard = fopen(file, "r+");
            assert_non_null(shard);
            fseek(shard, (long)first->address, SEEK_SET);
            fputs("damaged", shard);
            fclose(shard);
        }
        check(report_write(folder, &from, &err), &err);
        check(path_format(file, &err, "%s/report.html", folder), &err);
        check(path_read(&page, &size, file, 64 << 20, &err), &err);
        assert_int_equal(count(page, begin), 25 - damaged);
        assert_int_equal(count(page, "no picture</span>"), damaged);
        for (int i = MONITORS_ALWAYS; i < MONITORS; i++) { /* every metric, by its table */
            snprintf(tile, sizeof tile, "<dt>%s</dt>", monitor_rows[i].label);
            assert_int_equal(count(page, tile), metrics_says((enum monitor)i, p->classes));
        }
        data = data_of(page); /* the rest is the script's */
        rest = json_array_size(json_object_get(data, "pictures")) - 25;
        assert_int_equal(count(page, "\"jpeg\":"), rest);
        assert_true(rest > 0);
        json_decref(data);
        free(page);
    }
    predictions_free(p);
    shard_set_close(shards);
    check(path_remove_tree(t.scratch, &err), &err);
}

static void jpeg_is_the_picture(void **state)
{
    enum { H = 30, W = 41 };
    uint8_t pixels[H * W * 3], *jpeg;
    struct image img = {0};
    struct err err = {0};
    size_t size;
    long off = 0;

    (void)state;
    for (int i = 0; i < H * W; i++)
        for (int c = 0; c < 3; c++)
            pixels[3 * i + c] = (uint8_t)(c == 0 ? 5 * (i % W) : c == 1 ? 7 * (i / W) : 90);
    check(encode_jpeg(&jpeg, &size, pixels, H, W, 90, JPEG_420, &err), &err);
    check(image_decode(&img, jpeg, size, false, &err), &err);
    free(jpeg);
    assert_int_equal(img.height, H);
    assert_int_equal(img.width, W);
    for (int i = 0; i < H * W * 3; i++)
        off += abs(img.pixels[i] - pixels[i]);
    assert_true(off < 3L * H * W * 3); /* less than 3 of 255 on average */
    assert_int_equal(encode_jpeg(&jpeg, &size, pixels, 0, W, 90, JPEG_420, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    image_free(&img);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(results) ? 0 : -1;
}

static int end(void **state)
{
    struct err err;

    (void)state;
    return path_remove_tree(results, &err);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_labels_stay_text),
        cmocka_unit_test(any_number_of_classes),
        cmocka_unit_test(each_listed_pair_has_pictures),
        cmocka_unit_test(half_a_run_is_shown_as_far_as_it_goes),
        cmocka_unit_test(pictures_come_from_the_shards),
        cmocka_unit_test(jpeg_is_the_picture),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
