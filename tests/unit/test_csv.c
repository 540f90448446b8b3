/* test_csv.c - tables as spreadsheets and people save them. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "data/csv.h"

static char file[] = "/tmp/test_csv.XXXXXX";
static const struct csv_columns columns = {CSV_PATH_COLUMNS, CSV_LABEL_COLUMNS, .paths = true};

static int begin(void **state)
{
    int fd = mkstemp(file);

    (void)state;
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    return unlink(file);
}

static int read_text(struct csv *c, const char *text, size_t size, struct err *err)
{
    struct err ignored = {0};

    assert_int_equal(path_write(file, text, size, &ignored), 0);
    return csv_read(c, file, &columns, err);
}

static void every_form_gives_the_same_rows(void **state)
{
    static const char *const forms[] = {
        "path,label\na/1.jpg,cat\nb.jpg,big dog\n",
        "path,label\r\na/1.jpg,cat\r\nb.jpg,big dog\r\n",
        "path,label\ra/1.jpg,cat\rb.jpg,big dog\r",
        "\xef\xbb\xbfpath,label\na/1.jpg,cat\nb.jpg,big dog",
        "path;label\na/1.jpg;cat\nb.jpg;big dog\n",
        "sep=;\r\npath;label\r\na/1.jpg;cat\r\nb.jpg;big dog\r\n",
        "path\tlabel\na/1.jpg\tcat\nb.jpg\tbig dog\n",
        "path|label\na/1.jpg|cat\nb.jpg|big dog\n",
        "path, label\na/1.jpg, cat \nb.jpg,big dog\n",
        "\"path\" , \"label\"\n\"a/1.jpg\",\"cat\"\n\"b.jpg\" , \"big dog\"\n",
        "Path,LABEL\na/1.jpg,cat\nb.jpg,big dog\n",
        "id,note,breed\na/1,\"x\ny, z\",cat\nb,,big dog\n",
        "filename,category\n./a/1.jpg,cat\nb.jpg,\xc2\xa0"
        "big dog\n",
        "path,label\na/1.jpg,cat,,\nb.jpg,big dog,\n",
        "image,class\na\\1.jpg,cat\nb.jpg,big dog\n,\n\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct err err = {0};
        struct csv c;

        if (read_text(&c, forms[i], strlen(forms[i]), &err) < 0) {
            fail_msg("%s: %s", forms[i], err.msg);
        }
        assert_int_equal(c.n, 2);
        assert_string_equal(csv_find_picture(&c, "a/1.jpg")->value, "cat");
        assert_string_equal(csv_find_picture(&c, "b.jpg")->value, "big dog");
        assert_null(csv_find_picture(&c, "1.jpg"));
        csv_free(&c);
    }
}

static void blanks_that_were_cut_are_known(void **state)
{
    static const char text[] = "path,label\na, cat\nb,dog \nc,\" cow\"\nd,pig\ne,\"two  blanks\"\n";
    struct err err = {0};
    struct csv c;

    (void)state;
    assert_int_equal(read_text(&c, text, strlen(text), &err), 0);
    assert_true(csv_find(&c, "a")->trimmed && csv_find(&c, "b")->trimmed &&
                csv_find(&c, "c")->trimmed);
    assert_false(csv_find(&c, "d")->trimmed || csv_find(&c, "e")->trimmed);
    assert_string_equal(csv_find(&c, "c")->value, "cow");
    assert_string_equal(csv_find(&c, "e")->value, "two  blanks");
    csv_free(&c);
}

/* The ' before a cell that a spreadsheet would run goes, and no other one. */
static void guarded_cells_are_read_without(void **state)
{
    static const char text[] = "path,label\n'=a,'-cat\n'b,'dog\nc,'\n";
    struct err err = {0};
    struct csv c;

    (void)state;
    assert_int_equal(read_text(&c, text, strlen(text), &err), 0);
    assert_string_equal(csv_find(&c, "=a")->value, "-cat");
    assert_string_equal(csv_find(&c, "'b")->value, "'dog");
    assert_string_equal(csv_find(&c, "c")->value, "'");
    csv_free(&c);
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *says;
    } bad[] = {
        {"path,label,label\na,b,c\n", 0, "two columns are called label, the 2. and the 3."},
        {"path,Label,label \na,b,c\n", 0, "two columns are called"},
        {"path,colour\na,b\n", 0, "it is: path,colour"},
        {"path,label\na,\"b\n", 0, "line 2: a quote that is not closed"},
        {"path,label\na,\"b\" c\n", 0, "line 2: a quote"},
        {"path,label\n\"x\ny\",b\na\n", 0, "line 4: 1 columns"},
        {"path,label\na,b,c\n", 0, "needs quotes around it"},
        {"path,label\na,b\nb,b\na,b\n", 0, "lines 2 and 4 both name a"},
        {"\xff\xfep\0a\0", 6, "UTF-16"},
        {"PK\3\4\0\0", 6, "spreadsheet"},
        {"path,label\na,\0\n", 14, "zero bytes"},
        {"", 0, "must name the columns"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        struct csv c;

        assert_int_equal(
            read_text(&c, bad[i].text, bad[i].size ? bad[i].size : strlen(bad[i].text), &err), -1);
        assert_int_equal(err.kind, ERR_FORMAT);
        if (!strstr(err.msg, bad[i].says) || !strstr(err.msg, file))
            fail_msg("no '%s' in: %s", bad[i].says, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_the_same_rows),
        cmocka_unit_test(blanks_that_were_cut_are_known),
        cmocka_unit_test(guarded_cells_are_read_without),
        cmocka_unit_test(what_is_wrong_is_said),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
