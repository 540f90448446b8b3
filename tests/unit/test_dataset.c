/* test_dataset.c - describing, listing and labelling a folder of pictures.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "data/dataset.h"

struct tree {
    char folder[64];
};

static int set_up(void **state)
{
    struct tree *t = calloc(1, sizeof *t);

    assert_non_null(t);
    memcpy(t->folder, "/tmp/presize-test-XXXXXX", 25);
    assert_non_null(mkdtemp(t->folder));
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct tree *t = *state;

    assert_int_equal(path_remove_tree(t->folder, NULL), 0);
    free(t);
    return 0;
}

static void put(const struct tree *t, const char *name, const char *text)
{
    char path[PATH_LEN], folder[PATH_LEN];
    struct err err;

    assert_int_equal(path_format(path, &err, "%s/%s", t->folder, name), 0);
    memcpy(folder, path, strlen(path) + 1);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(path_make_dirs(folder, &err), 0);
    assert_int_equal(path_write(path, text, strlen(text), &err), 0);
}

/* A picture is what starts with P. */
static int is_picture(const char *path)
{
    FILE *f = fopen(path, "rb");
    int c;

    if (!f)
        return -1;
    c = fgetc(f);
    fclose(f);
    return c == 'P';
}

static void pets(const struct tree *t)
{
    static const char *const names[] = {"saint_bernard_2.jpg", "Abyssinian_1.jpg", "pug_10.jpg",
                                        "Abyssinian_12.jpg", "pug_9.jpg"};
    char name[64];

    for (size_t i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "images/%s", names[i]);
        put(t, name, "P");
    }
    put(t, "images/Abyssinian_1.mat", "P");
    put(t, "images/readme.txt", "no picture");
    put(t, "images/.hidden_3.jpg", "P");
    put(t, "images/.thumbs/pug_4.jpg", "P");
    put(t, "lists/trainval.txt",
        "# remarks\n\nAbyssinian_1 1 1 1\npug_9 2 2 1\r\nmissing_3 1 1 1\n");
    put(t, "lists/test.txt", "pug_10 2 2 1\n");
}

static struct dataset_options options(void)
{
    struct dataset_options o;

    memset(&o, 0, sizeof o);
    keys_default(&(struct key_table){dataset_keys, 0}, 1, KEYS_NEWEST, &o);
    return o;
}

static struct dataset_options pets_options(void)
{
    struct dataset_options o = options();

    o.label_from = LABEL_REGEX;
    snprintf(o.images, sizeof o.images, "images");
    snprintf(o.label_regex, sizeof o.label_regex, "(.+)_\\d+.jpg$");
    snprintf(o.skip, sizeof o.skip, "\\.mat$");
    return o;
}

static void group(struct dataset_options *o, const char *name, const char *regex)
{
    struct dataset_group *g = &o->groups[o->groups_list.n++];

    snprintf(g->name, sizeof g->name, "%s", name);
    snprintf(g->regex, sizeof g->regex, "%s", regex);
}

static void expect_error(const struct tree *t, const struct dataset_options *o, const char *first,
                         const char *second)
{
    struct dataset *d;
    struct err err = {0};

    if (dataset_list(&d, o, t->folder, is_picture, &err) == 0)
        fail_msg("listed, without %s", first);
    assert_null(d);
    if (!strstr(err.msg, first) || !strstr(err.msg, second))
        fail_msg("no %s or %s in: %s", first, second, err.msg);
}

static void the_oxford_layout_is_listed(void **state)
{
    static const struct {
        const char *path;
        int label, official;
    } expected[] = {{"Abyssinian_1.jpg", 0, 0},
                    {"Abyssinian_12.jpg", 0, -1},
                    {"pug_10.jpg", 1, 1},
                    {"pug_9.jpg", 1, 0},
                    {"saint_bernard_2.jpg", 2, -1}};
    struct dataset_options o = pets_options();
    struct dataset *d;
    struct err err;

    pets(*state);
    snprintf(o.official_trainval, sizeof o.official_trainval, "lists/trainval.txt");
    snprintf(o.official_test, sizeof o.official_test, "lists/test.txt");
    group(&o, "cat", "^[A-Z]");
    group(&o, "dog", "^[a-z]");
    if (dataset_list(&d, &o, ((struct tree *)*state)->folder, is_picture, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(d->n, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_string_equal(d->items[i].path, expected[i].path);
        assert_int_equal(d->items[i].label, expected[i].label);
        assert_int_equal(d->items[i].official, expected[i].official);
    }
    assert_int_equal(d->n_classes, 3);
    assert_string_equal(d->vocab[0], "Abyssinian");
    assert_string_equal(d->vocab[2], "saint_bernard");
    assert_int_equal(d->group[0], 0);
    assert_int_equal(d->group[1], 1);
    assert_int_equal(d->n_skipped, 2); /* hidden ones are not even looked at */
    dataset_free(d);
}

static void folders_are_labels(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = options();
    struct dataset *d;
    struct err err;

    put(t, "train/bees/2.jpg", "P");
    put(t, "train/ants/1.jpg", "P");
    put(t, "val/bees/1.jpg", "P");
    put(t, "val/notes.txt", "x");
    assert_int_equal(dataset_list(&d, &o, t->folder, is_picture, &err), 0);
    assert_int_equal(d->n, 3);
    assert_int_equal(d->n_classes, 2);
    assert_string_equal(d->items[0].path, "train/ants/1.jpg");
    assert_int_equal(d->items[2].label, 1);
    dataset_free(d);
    put(t, "lost.jpg", "P");
    expect_error(t, &o, "1 of 4 pictures have no label", "lost.jpg");
}

static void tables_are_labels(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = options();
    struct dataset *d;
    struct err err;

    put(t, "pics/1.jpg", "P");
    put(t, "pics/2.jpg", "P");
    put(t, "labels.csv", "path,label\n1.jpg,\"big, red\"\n2.jpg,blue\n3.jpg,not here\n");
    o.label_from = LABEL_CSV;
    snprintf(o.images, sizeof o.images, "pics");
    snprintf(o.label_csv, sizeof o.label_csv, "labels.csv");
    assert_int_equal(dataset_list(&d, &o, t->folder, is_picture, &err), 0);
    assert_int_equal(d->n_classes, 2);
    assert_string_equal(d->vocab[d->items[0].label], "big, red");
    dataset_free(d);
    put(t, "pics/4.jpg", "P");
    expect_error(t, &o, "1 of 3 pictures have no label", "4.jpg");
    put(t, "labels.csv", "path,label\n1.jpg,big, red\n2.jpg,blue\n4.jpg,blue\n");
    expect_error(t, &o, "line 2: 3 columns, the header has 2", "quotes");
    put(t, "labels.csv", "path,label\n1.jpg,gr\xfcn\n2.jpg,blue\n4.jpg,blue\n"); /* Latin 1 */
    expect_error(t, &o, "the label \"gr\\xFCn\" has bytes that are not UTF-8", "saved as UTF-8");
    put(t, "labels.csv", "path,label\n1.jpg,blue\n2.jpg,blue\033[31m\n4.jpg,blue\n");
    expect_error(t, &o, "the label \"blue\\x1B[31m\" has a control character",
                 "a label is one line");
}

static void bad_patterns_are_explained(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = pets_options();

    pets(t);
    snprintf(o.label_regex, sizeof o.label_regex, "(.+)_[\\d+.jpg$");
    expect_error(t, &o, "label.regex", "position 14");
    snprintf(o.label_regex, sizeof o.label_regex, "(.+)_\\d+.png$");
    expect_error(t, &o, "matches none of the 5 file names, for example Abyssinian_1.jpg",
                 "pug_10.jpg");
    snprintf(o.label_regex, sizeof o.label_regex, ".+_\\d+.jpg$");
    expect_error(t, &o, "no group", "parentheses");
    snprintf(o.label_regex, sizeof o.label_regex, "^([a-z_]+)_\\d+.jpg$");
    expect_error(t, &o, "2 of 5 pictures have no label", ": Abyssinian_1.jpg, Abyssinian_12.jpg");
    o = pets_options();
    snprintf(o.skip, sizeof o.skip, "*");
    expect_error(t, &o, "skip", "position 0");
    snprintf(o.skip, sizeof o.skip, ".");
    expect_error(t, &o, "no pictures here", "");
    o = pets_options();
    group(&o, "birds", "^parrot");
    expect_error(t, &o, "matches no class", "birds");
    o = pets_options();
    group(&o, "cat", "^[A-Z]");
    group(&o, "all", ".");
    expect_error(t, &o, "two groups", "Abyssinian");
}

static void bad_lists_are_explained(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = pets_options();

    pets(t);
    snprintf(o.official_trainval, sizeof o.official_trainval, "lists/trainval.txt");
    snprintf(o.official_test, sizeof o.official_test, "lists/none.txt");
    expect_error(t, &o, "official.test", "none.txt");
    put(t, "lists/both.txt", "pug_9 2 2 1\n");
    snprintf(o.official_test, sizeof o.official_test, "lists/both.txt");
    expect_error(t, &o, "names too", "pug_9.jpg");
    put(t, "lists/other.txt", "parrot_1 1 1 1\n");
    snprintf(o.official_test, sizeof o.official_test, "lists/other.txt");
    expect_error(t, &o, "names none of the 5 pictures", "like Abyssinian_1");
}

static void odd_files_are_named(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = pets_options();
    char path[128];

    expect_error(t, &o, "no such folder", "images");
    pets(t);
    snprintf(path, sizeof path, "%s/images/broken_1.jpg", t->folder);
    assert_int_equal(symlink("nowhere", path), 0);
    expect_error(t, &o, "cannot be read", "broken_1.jpg");
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/images/loop", t->folder);
    assert_int_equal(symlink("..", path), 0);
    expect_error(t, &o, "a link to a folder it lies in", "loop");
    assert_int_equal(unlink(path), 0);
    put(t, "images/caf\xe9_1.jpg", "P");
    expect_error(t, &o, "caf\\xE9_1.jpg: its name has bytes that are not UTF-8", "rename");
    snprintf(path, sizeof path, "%s/images/caf\xe9_1.jpg", t->folder);
    assert_int_equal(unlink(path), 0);
    put(t, "images/two\nlines_1.jpg", "P");
    expect_error(t, &o, "two\\x0Alines_1.jpg: its name has a control character", "rename");
}

/* --- descriptions ------------------------------------------------------------------------------- */

static int read_text(struct tree *t, struct dataset_options *o, const char *text,
                     const char *override, struct err *err)
{
    char path[128], word[128];
    char *const words[] = {word};

    put(t, "set.yaml", text);
    snprintf(path, sizeof path, "%s/set.yaml", t->folder);
    snprintf(word, sizeof word, "%s", override ? override : "");
    return dataset_read(o, path, words, override != NULL, err);
}

static void a_description_is_read(void **state)
{
    struct dataset_options o;
    struct err err;

    if (read_text(*state, &o,
                  "title: X\nlabel: {from: regex, regex: '(.+)_\\d+.jpg$'}\n"
                  "presize: {size: 64}\ngroups:\n  - {name: cat, regex: '^[A-Z]'}\n",
                  "shard.storage=zstd", &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(o.title, "X");
    assert_int_equal(o.label_from, LABEL_REGEX);
    assert_string_equal(o.label_regex, "(.+)_\\d+.jpg$");
    assert_int_equal(o.size, 64);
    assert_int_equal(o.storage, STORAGE_ZSTD);
    assert_int_equal(o.shard_pictures, 512);
    assert_int_equal(o.groups_list.n, 1);
    assert_string_equal(o.groups[0].regex, "^[A-Z]");
    assert_int_equal(read_text(*state, &o, "presize: {size: 64}\n", NULL, &err), 0);
    assert_int_equal(o.label_from, LABEL_FOLDER);
}

static void bad_descriptions_are_explained(void **state)
{
    static const struct {
        const char *text, *override, *says;
    } bad[] = {
        {"presize: {sise: 64}\n", NULL, "presize.size"},
        {"presize: {size: 64}\n", "presize.sise=3", "presize.size"},
        {"presize: {size: 2}\n", NULL, "presize.size"},
        {"label: {from: names}\n", NULL, "regex"},
        {"label: {from: regex}\n", NULL, "label.regex must be given"},
        {"label: {from: csv}\n", NULL, "label.csv must be given"},
        {"- a\n", NULL, "set.yaml"},
        {"", NULL, "set.yaml"},
    };
    struct dataset_options o;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};

        assert_int_equal(read_text(*state, &o, bad[i].text, bad[i].override, &err), -1);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("no %s in: %s", bad[i].says, err.msg);
    }
}

static void missing_descriptions_are_named(void **state)
{
    struct dataset_options o;
    struct err err;

    (void)state;
    assert_int_equal(dataset_read(&o, "no-such-set", NULL, 0, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "no-such-set"));
}

static struct dataset *listed(const struct tree *t, const struct dataset_options *o)
{
    struct dataset *d;
    struct err err;

    if (dataset_list(&d, o, t->folder, is_picture, &err) < 0)
        fail_msg("%s", err.msg);
    return d;
}

/* How often a kind was remarked; its first example must have NAME in it. */
static uint32_t remarked(const struct dataset *d, enum remark_kind kind, const char *name)
{
    const struct remark *m = &d->remarks.of[kind];

    if (m->n > 0 && !strstr(m->example[0], name))
        fail_msg("no %s in: %s", name, m->example[0]);
    return m->n;
}

static void what_is_passed_over_is_remarked(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = options();
    struct dataset *d;
    char path[128];

    put(t, "cat/1.jpg", "P");
    put(t, "cat/@eaDir/1.jpg/THUMB.jpg", "P");
    put(t, "Dog/1.jpg", "P");
    put(t, "dog/2.jpg", "P");
    put(t, "dog/.x.jpg", "P");
    put(t, "dog/notes.txt", "n");
    put(t, "owl/notes.txt", "n");
    put(t, "owl/old/notes.txt", "n");
    put(t, "dog/more.zip", "z");
    put(t, "dog/caf\xe9_1.jpg", "P");
    snprintf(path, sizeof path, "%s/dog/pipe.jpg", t->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_error(t, &o, "caf\\xE9_1.jpg: its name has bytes that are not UTF-8", "key skip");
    o.on_error = ON_ERROR_SKIP;
    d = listed(t, &o);
    assert_int_equal(d->n, 4);
    assert_int_equal(remarked(d, REMARK_BAD_NAMES, "dog/caf\\xE9_1.jpg"), 1);
    assert_int_equal(remarked(d, REMARK_SYSTEM_FOLDERS, "THUMB.jpg"), 1);
    assert_int_equal(remarked(d, REMARK_NESTED_ARCHIVES, "dog/more.zip"), 1);
    assert_int_equal(remarked(d, REMARK_OTHER_FILES, "notes.txt"), 3);
    assert_int_equal(remarked(d, REMARK_EMPTY_FOLDERS, "owl/"), 2);
    assert_int_equal(remarked(d, REMARK_HIDDEN_FILES, "dog/.x.jpg"), 1);
    assert_int_equal(remarked(d, REMARK_SPECIAL_FILES, "dog/pipe.jpg"), 1);
    assert_int_equal(remarked(d, REMARK_ALIKE_PATHS, "Dog and dog"), 1);
    assert_int_equal(remarked(d, REMARK_ALIKE_LABELS, "'Dog' and 'dog'"), 1);
    dataset_free(d);
    o.on_error = ON_ERROR_FAIL;
    snprintf(o.skip, sizeof o.skip, "caf._1|%s", DATASET_SYSTEM_FOLDERS);
    d = listed(t, &o);
    assert_int_equal(remarked(d, REMARK_SKIPPED, ""), 2);
    assert_int_equal(remarked(d, REMARK_SYSTEM_FOLDERS, ""), 0);
    dataset_free(d);
}

static void labels_that_look_alike_are_named(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = options();
    struct dataset *d;

    put(t, "1.jpg", "P");
    put(t, "2.jpg", "P");
    put(t, "3.jpg", "P");
    put(t, "4.jpg", "P");
    o.label_from = LABEL_CSV;
    snprintf(o.label_csv, sizeof o.label_csv, "l.csv");
    /* composed and not; a zero-width blank; two blanks for one */
    put(t, "l.csv",
        "path,label\n1,caf\xc3\xa9\n2,cafe\xcc\x81\n3,big cat\n4,big\xe2\x80\x8b  cat \n");
    d = listed(t, &o);
    assert_int_equal(d->n_classes, 4);
    assert_int_equal(remarked(d, REMARK_ALIKE_LABELS, ""), 2);
    assert_int_equal(remarked(d, REMARK_TRIMMED_LABELS, " of 4"), 1);
    dataset_free(d);
    put(t, "l.csv", "path,label\n1,cat\n2,dog\n3,cow\n4,pig\n"); /* control */
    d = listed(t, &o);
    assert_int_equal(remarked(d, REMARK_ALIKE_LABELS, "") + remarked(d, REMARK_TRIMMED_LABELS, ""),
                     0);
    dataset_free(d);
}

static void tables_name_files_in_several_ways(void **state)
{
    static const char *const tables[] = {
        "path,label\ntrain/1.jpg,cat\ntrain/2.jpg,dog\nnone.jpg,cow\n",
        "id,breed\n1,cat\n2,dog\n9,cow\n",
        "image;class\n1.jpg;cat\n2.jpg;dog\nx;cow\n",
        "path,label\npics/train/1,cat\npics/train/2,dog\nz,cow\n",
        "path,label\ntrain\\1.jpg,cat\n.\\train\\2.jpg,dog\nz,cow\n",
        "name of file,what\ntrain/1.jpg,cat\ntrain/2.jpg,dog\nz,cow\n",
    };
    struct tree *t = *state;
    struct dataset_options o = options();

    put(t, "pics/train/1.jpg", "P");
    put(t, "pics/train/2.jpg", "P");
    o.label_from = LABEL_CSV;
    snprintf(o.images, sizeof o.images, "pics");
    snprintf(o.label_csv, sizeof o.label_csv, "l.csv");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct dataset *d;

        if (i == 5) {
            put(t, "l.csv", tables[i]);
            expect_error(t, &o, "must name the columns path", "it is: name of file,what");
            snprintf(o.label_path_column, sizeof o.label_path_column, "name of file");
            snprintf(o.label_column, sizeof o.label_column, "what");
        }
        put(t, "l.csv", tables[i]);
        d = listed(t, &o);
        assert_int_equal(d->n_classes, 2);
        assert_string_equal(d->vocab[d->items[0].label], "cat");
        assert_int_equal(remarked(d, REMARK_ROWS_WITHOUT_PICTURE, ""), 1);
        dataset_free(d);
    }
    o.label_path_column[0] = o.label_column[0] = 0;
    put(t, "l.csv", tables[1]);
    put(t, "pics/other/2.jpg", "P");
    expect_error(t, &o, "in more than one folder", "2.jpg");
}

static void pictures_without_a_label_can_be_left_out(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = options();
    struct dataset *d;

    put(t, "1.jpg", "P");
    put(t, "2.jpg", "P");
    put(t, "3.jpg", "P");
    o.label_from = LABEL_CSV;
    snprintf(o.label_csv, sizeof o.label_csv, "l.csv");
    put(t, "l.csv", "path,label\n1,cat\n3,dog\n");
    expect_error(t, &o, "1 of 3 pictures have no label", "label.missing=skip");
    o.label_missing = MISSING_SKIP;
    d = listed(t, &o);
    assert_int_equal(d->n, 2);
    assert_string_equal(d->items[1].path, "3.jpg");
    assert_string_equal(d->vocab[d->items[1].label], "dog");
    assert_int_equal(remarked(d, REMARK_UNLABELLED, "2.jpg"), 1);
    dataset_free(d);
    put(t, "l.csv", "path,label\nx,cat\n");
    expect_error(t, &o, "3 of 3 pictures have no label", "1.jpg");
    put(t, "l.csv", "path,label\n1.JPG,cat\n2.jpg,cat\n3.jpg,dog\n");
    o.label_missing = MISSING_FAIL;
    expect_error(t, &o, "1 of 3 pictures have no label", "only in case");
    put(t, "sub/4.jpg", "P");
    put(t, "l.csv", "path,label\n1.jpg,cat\n2.jpg,cat\n3.jpg,dog\nSub/4.jpg,dog\n");
    expect_error(t, &o, "1 of 4 pictures have no label", "Sub and sub");
}

static void official_lists_may_have_blanks_and_endings(void **state)
{
    struct tree *t = *state;
    struct dataset_options o = pets_options();
    struct dataset *d;

    put(t, "images/sea lion_1.jpg", "P");
    put(t, "images/sea lion_2.jpg", "P");
    put(t, "images/cat_1.jpg", "P");
    put(t, "images/a.b_1.jpg", "P");
    put(t, "images/cat_2.jpg", "P");
    put(t, "trainval.txt",
        "\xef\xbb\xbfsea lion_1 1 1 1\r\n  cat_1.jpg\r\na.b_1 2 1 1\r\nmoon_1 1 1 1\r\n");
    put(t, "test.txt", "sea lion_2.jpg\t1\n");
    snprintf(o.official_trainval, sizeof o.official_trainval, "trainval.txt");
    snprintf(o.official_test, sizeof o.official_test, "test.txt");
    d = listed(t, &o);
    for (uint32_t i = 0; i < d->n; i++)
        assert_int_equal(d->items[i].official, strcmp(d->items[i].path, "sea lion_2.jpg") == 0 ? 1
                                               : strcmp(d->items[i].path, "cat_2.jpg") == 0    ? -1
                                                                                               : 0);
    assert_int_equal(remarked(d, REMARK_LISTED_WITHOUT_PICTURE, "moon_1 1 1 1 in trainval.txt"), 1);
    assert_int_equal(remarked(d, REMARK_IN_NO_LIST, "cat_2.jpg"), 1);
    dataset_free(d);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_oxford_layout_is_listed),
        TEST(folders_are_labels),
        TEST(tables_are_labels),
        TEST(bad_patterns_are_explained),
        TEST(bad_lists_are_explained),
        TEST(odd_files_are_named),
        TEST(a_description_is_read),
        TEST(bad_descriptions_are_explained),
        TEST(missing_descriptions_are_named),
        TEST(what_is_passed_over_is_remarked),
        TEST(labels_that_look_alike_are_named),
        TEST(tables_name_files_in_several_ways),
        TEST(pictures_without_a_label_can_be_left_out),
        TEST(official_lists_may_have_blanks_and_endings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
