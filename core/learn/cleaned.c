/* cleaned.c - clean.csv and planted.csv of a run folder. SPDX-License-Identifier: MIT */
#include "learn/cleaned.h"

#include <stdlib.h>
#include <string.h>

#include "base/markup.h"

static const size_t table_max = (size_t)1 << 30; /* bytes, as csv_read() */

static int copy_table(const char *from, const char *to, struct err *err)
{
    struct new_file file = {0};
    size_t size;
    char *text;
    int rc = -1;

    if (path_read(&text, &size, from, table_max, err) < 0)
        return -1;
    if (new_file_begin(&file, to, err) < 0)
        goto out;
    if (fwrite(text, 1, size, file.file) != size) {
        err_errno(err, "%s", to);
        new_file_abort(&file);
        goto out;
    }
    rc = new_file_finish(&file, err);
out:
    free(text);
    return rc;
}

static int write_planted(const struct session *s, const char *path, struct err *err)
{
    const struct cleaning *c = &s->split->cleaning;
    struct new_file file = {0};

    if (new_file_begin(&file, path, err) < 0)
        return -1;
    fputs("path,right,planted\n", file.file);
    for (uint32_t i = 0; i < c->n_planted; i++) {
        markup_csv(file.file, shard_set_picture(s->shards, c->planted[i].rank)->path);
        fputc(',', file.file);
        markup_csv(file.file, shard_set_label(s->shards, c->planted[i].right));
        fputc(',', file.file);
        markup_csv(file.file, shard_set_label(s->shards, c->planted[i].wrong));
        fputc('\n', file.file);
    }
    return new_file_finish(&file, err);
}

int cleaned_write(const struct session *s, const char *folder, struct err *err)
{
    const char *table = split_clean_file(&s->e->data);
    char path[PATH_LEN];

    if (table[0] &&
        (path_format(path, err, "%s/clean.csv", folder) < 0 || copy_table(table, path, err) < 0))
        return -1;
    if (s->e->data.plant > 0 &&
        (path_format(path, err, "%s/planted.csv", folder) < 0 || write_planted(s, path, err) < 0))
        return -1;
    return 0;
}
