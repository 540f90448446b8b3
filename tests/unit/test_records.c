/* test_records.c - the tables of records: docs/formats.md has them, and what was written before them comes back with
 * every byte. `test_records --print` prints the tables for docs/formats.md.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../documented.h"
#include "base/json.h"
#include "base/path.h"
#include "base/remark.h"
#include "data/cleaning_record.h"
#include "data/index_record.h"
#include "data/manifest_record.h"
#include "experiment/checkpoint_record.h"
#include "export_record.h"
#include "partial.h"
#include "run/epoch.h"
#include "run/run_facts.h"
#include "run/score.h"
#include "run/study.h"

static const struct record {
    const char *name;
    const struct field *fields;
    size_t size;
} records[] = {
    {"index", index_fields, sizeof(struct index_record)},
    {"index_group", index_group_fields, sizeof(struct index_group)},
    {"index_shard", index_shard_fields, sizeof(struct index_shard)},
    {"index_duplicates", index_duplicate_fields, sizeof(struct index_duplicates)},
    {"remark", remark_fields, sizeof(struct remark_record)},
    {"manifest", manifest_header_fields, sizeof(struct manifest_header)},
    {"manifest_archive", manifest_archive_fields, sizeof(struct manifest_archive_line)},
    {"manifest_file", manifest_file_fields, sizeof(struct manifest_file_line)},
    {"partial", partial_head_fields, sizeof(struct partial_head)},
    {"partial_line", partial_line_fields, sizeof(struct partial_line)},
    {"run", run_fields, sizeof(struct run_facts)},
    {"cleaning", cleaning_fields, sizeof(struct cleaning_record)},
    {"epoch", epoch_fields, sizeof(struct epoch_line)},
    {"timing", timing_fields, sizeof(struct epoch_timing)},
    {"metrics", metrics_fields, sizeof(struct metrics_record)},
    {"score", score_fields, sizeof(struct score_record)},
    {"study", study_fields, sizeof(struct study_record)},
    {"study_run", study_run_fields, sizeof(struct study_run)},
    {"checkpoint", checkpoint_fields, sizeof(struct checkpoint_record)},
    {"resume", resume_fields, sizeof(struct resume_record)},
    {"export", export_fields, sizeof(struct export_record)},
};
enum { RECORDS = sizeof records / sizeof *records };

static const struct record *find(const char *name)
{
    for (size_t i = 0; i < RECORDS; i++)
        if (strcmp(records[i].name, name) == 0)
            return &records[i];
    return NULL;
}

/* metrics.json repeats the lines of metrics.jsonl: their members stand there once. */
static bool is_line_of_epoch(const struct field *row)
{
    return row->type == FIELD_TYPE_RECORD && row->fields == epoch_fields;
}

static char *table_of(const struct record *r)
{
    struct field rows[64] = {{0}};
    char *text = NULL;
    size_t size, n = 0;
    FILE *file = open_memstream(&text, &size);

    for (; r->fields[n].name; n++) {
        assert_true(n + 1 < sizeof rows / sizeof *rows);
        rows[n] = r->fields[n];
        if (is_line_of_epoch(&rows[n]))
            rows[n].type = FIELD_TYPE_OBJECT;
    }
    fields_document(file, rows);
    fclose(file);
    return text;
}

static void every_table_is_in_the_docs(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECORDS; i++) {
        char *table = table_of(&records[i]);

        assert_documented("docs/formats.md", table, "test_records --print");
        free(table);
    }
}

/* docs/metrics.md has every metric that train.monitor can be, docs/recipes.md its direction. */
static void every_metric_is_in_the_docs(void **state)
{
    struct err err;
    size_t size;
    char *docs, *metrics, *lower, *higher, *end;

    (void)state;
    assert_int_equal(path_read(&docs, &size, "docs/recipes.md", 1 << 20, &err), 0);
    assert_int_equal(path_read(&metrics, &size, "docs/metrics.md", 1 << 20, &err), 0);
    lower = strstr(docs, "Lower is better for");
    assert_non_null(lower);
    higher = strstr(lower, "Higher\nis better for");
    assert_non_null(higher);
    end = strchr(strchr(higher, '.'), '\n');
    assert_non_null(end);
    *end = 0;
    for (int i = 0; i < MONITORS; i++) {
        char quoted[64];
        const char *at;

        snprintf(quoted, sizeof quoted, "`%s`", monitor_rows[i].key);
        at = strstr(lower, quoted);
        if (!at || (at > higher) != monitor_rows[i].higher)
            fail_msg("docs/recipes.md does not say the direction of %s", monitor_rows[i].key);
        if (!strstr(metrics, quoted))
            fail_msg("docs/metrics.md lacks %s", monitor_rows[i].key);
    }
    free(docs);
    free(metrics);
}

/* tests/data/records.txt: a line for each record, NAME and JSON, as presize wrote them before there were tables. */
static void old_bytes_come_back(void **state)
{
    struct err err;
    size_t size, seen[RECORDS] = {0};
    char *data, *rest = NULL;

    (void)state;
    assert_int_equal(path_read(&data, &size, "tests/data/records.txt", 1 << 20, &err), 0);
    for (char *line = strtok_r(data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *json_at = strchr(line, ' ');
        const struct record *r;
        json_t *json, *again;
        char *was, *is;
        void *obj;

        *json_at++ = 0;
        r = find(line);
        assert_non_null(r);
        json = json_loads(json_at, 0, NULL);
        obj = calloc(1, r->size);
        if (fields_read(r->fields, 99, obj, json, &err) < 0)
            fail_msg("%s: %s", line, err.msg);
        again = fields_json(r->fields, obj);
        assert_non_null(again);
        was = json_text(json, 0);
        is = json_text(again, 0);
        assert_string_equal(is, was);
        seen[r - records]++;
        free(was);
        free(is);
        free(obj);
        json_decref(again);
        json_decref(json);
    }
    for (size_t i = 0; i < RECORDS; i++)
        if (!seen[i])
            fail_msg("tests/data/records.txt has no %s", records[i].name);
    free(data);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_in_the_docs),
        cmocka_unit_test(every_metric_is_in_the_docs),
        cmocka_unit_test(old_bytes_come_back),
    };

    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        for (size_t i = 0; i < RECORDS; i++) {
            char *table = table_of(&records[i]);

            printf("%s\n\n%s\n", records[i].name, table);
            free(table);
        }
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
