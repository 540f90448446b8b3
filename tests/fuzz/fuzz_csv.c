/* fuzz_csv.c - the reader of tables: what is taken is sorted, each key once, and found again; no byte is read behind
 * the end. SPDX-License-Identifier: MIT */
#include <string.h>

#include "data/csv.h"
#include "fuzz.h"

/* With a third column and keys that repeat, the same bytes give as many rows or more, those of one key by line. */
static void check_repeats(const uint8_t *data, size_t size)
{
    static const struct csv_columns columns = {CSV_PATH_COLUMNS, CSV_LABEL_COLUMNS, .paths = true,
                                               .extra = "note|split", .repeats = true};
    struct err err = {0};
    struct csv c;

    if (csv_read(&c, fuzz_file(data, size, ".csv"), &columns, &err) < 0) {
        CHECK_REFUSED(err);
        return;
    }
    for (size_t i = 0; i < c.n; i++) {
        CHECK(strlen(c.rows[i].extra) <= size);
        if (i > 0 && strcmp(c.rows[i - 1].key, c.rows[i].key) == 0)
            CHECK(c.rows[i - 1].line < c.rows[i].line);
        else
            CHECK(i == 0 || strcmp(c.rows[i - 1].key, c.rows[i].key) < 0);
    }
    csv_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct csv_columns columns = {CSV_PATH_COLUMNS, CSV_LABEL_COLUMNS, .paths = true};
    struct err err = {0};
    struct csv c;

    if (csv_read(&c, fuzz_file(data, size, ".csv"), &columns, &err) < 0) {
        CHECK(!c.rows && !c.text);
        CHECK_REFUSED(err);
        return 0;
    }
    CHECK(c.n <= size);
    for (size_t i = 0; i < c.n; i++) {
        const struct csv_row *row = &c.rows[i];

        CHECK(i == 0 || strcmp(c.rows[i - 1].key, row->key) < 0);
        CHECK(csv_find(&c, row->key) == row && csv_find_picture(&c, row->key) == row);
        CHECK(row->line >= 1 && strlen(row->value) <= size);
    }
    csv_free(&c);
    check_repeats(data, size);
    return 0;
}

static const char *const tables[] = {
    "path,label\na/1.jpg,cat\nb.jpg,dog\n",
    "\xef\xbb\xbfid;\"breed\"; note\r\n1; \"a \"\"b\"\"\";x\r\n2;c;\r\n",
    "sep=,\rfile,class\r\"x\ry\",z\r",
    "image\tlabel\n.\\a\\1\t\"two\nlines\"\n\n\tx\n",
    "path,label,label\na,b,c\n",
};

uint8_t *fuzz_seed(int i, size_t *size)
{
    uint8_t *bytes;

    if (i >= (int)(sizeof tables / sizeof *tables))
        return NULL;
    *size = strlen(tables[i]);
    bytes = malloc(*size + 1);
    CHECK(bytes);
    memcpy(bytes, tables[i], *size);
    return bytes;
}
