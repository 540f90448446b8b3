/* together.c - see together.h. SPDX-License-Identifier: MIT */
#include "together.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "data/shard_write.h"
#include "group/group.h"

/* --- one error for all ---------------------------------------------------------------------------- */

/* The process whose error is told; -1: none failed. */
static int speaker(const struct err *all, int ranks)
{
    int stopped = -1;

    for (int i = 0; i < ranks; i++) {
        if (all[i].kind != ERR_NONE && all[i].kind != ERR_STOPPED)
            return i;
        if (all[i].kind == ERR_STOPPED && stopped < 0)
            stopped = i;
    }
    return stopped;
}

int together_agree(const struct prep *p, int rc, struct err *err)
{
    const int ranks = p->group ? group_size(p->group) : 1;
    struct err *all;
    bool alike = true;
    int who;

    if (!p->group)
        return rc;
    all = calloc((size_t)ranks, sizeof *all);
    BUG_IF(!all); /* 4 KiB a process */
    if (rc < 0)
        all[group_rank(p->group)] = *err;
    group_share(p->group, all, sizeof *all);
    who = speaker(all, ranks);
    if (who >= 0)
        *err = all[who];
    for (int i = 0; i < ranks && who >= 0; i++)
        alike &= all[i].kind == err->kind && strcmp(all[i].msg, err->msg) == 0;
    free(all);
    if (who >= 0 && !alike && err->kind != ERR_STOPPED)
        err_wrap(err, "%s", group_name(p->group, who));
    return who >= 0 ? -1 : 0;
}

/* --- one set -------------------------------------------------------------------------------------- */

static int hash_description(const struct prep *p, char hex[SHA256_HEX], struct err *err)
{
    json_t *tree =
        keys_tree(&(struct key_table){dataset_keys, 0}, 1, KEYS_NEWEST, &p->options, false);
    char *text = tree ? json_text(tree, 0) : NULL;

    json_decref(tree);
    if (!text)
        return err_set(err, ERR_NOMEM, "out of memory");
    sha256_of(text, strlen(text), hex);
    free(text);
    return 0;
}

/* Paths, labels, lists and groups, as the shards have them. */
static int hash_labels(const struct prep *p, char hex[SHA256_HEX], struct err *err)
{
    const struct dataset *d = p->dataset;
    struct sha256 *sha;

    if (sha256_new(&sha, err) < 0)
        return -1;
    for (uint32_t i = 0; i < d->n; i++) {
        sha256_update(sha, d->items[i].path, strlen(d->items[i].path) + 1);
        sha256_update(sha, d->vocab[d->items[i].label], strlen(d->vocab[d->items[i].label]) + 1);
        sha256_update(sha, &d->items[i].official, sizeof d->items[i].official);
    }
    sha256_update(sha, d->group, (size_t)d->n_classes * sizeof *d->group);
    sha256_hex(sha, hex);
    sha256_free(sha);
    return 0;
}

int together_same(const struct prep *p, struct err *err)
{
    char set[SHA256_HEX], description[SHA256_HEX], labels[SHA256_HEX], decoder[SHA256_HEX];
    int rc;

    if (!p->group)
        return 0;
    sha256_of(p->set, strlen(p->set), set);
    sha256_of(prep_decoder(p), strlen(prep_decoder(p)), decoder);
    rc = hash_description(p, description, err);
    if (rc == 0)
        rc = hash_labels(p, labels, err);
    if (together_agree(p, rc, err) < 0)
        return -1;
    return group_same(p->group, "set", set, err) < 0 ||
                   group_same(p->group, "description", description, err) < 0 ||
                   group_same(p->group, "pictures", p->manifest_sha256, err) < 0 ||
                   group_same(p->group, "labels", labels, err) < 0 ||
                   group_same(p->group, "decoders", decoder, err) < 0
               ? -1
               : 0;
}

/* --- one folder ----------------------------------------------------------------------------------- */

/* Rank 0 makes a file of a random name, which the others find where they see the same folder, and nowhere else. */
int together_see(const struct prep *p, const struct shard_writer *w, struct err *err)
{
    const int ranks = p->group ? group_size(p->group) : 1;
    uint64_t *marks;
    char path[PATH_LEN];
    int rc = 0;

    if (!p->group)
        return 0;
    marks = calloc((size_t)ranks, sizeof *marks);
    if (!marks)
        rc = err_set(err, ERR_NOMEM, "%d processes", ranks);
    if (together_agree(p, rc, err) < 0)
        return -1;
    if (p->rank == 0 && getrandom(&marks[0], sizeof *marks, 0) != (ssize_t)sizeof *marks)
        rc = err_errno(err, "random numbers");
    group_share(p->group, marks, sizeof *marks);
    if (rc == 0)
        rc = path_format(path, err, "%s/seen-%016jx", shard_writer_part(w), (uintmax_t)marks[0]);
    free(marks);
    if (rc == 0 && p->rank == 0)
        rc = path_write(path, "", 0, err);
    rc = together_agree(p, rc, err);
    if (rc == 0 && !path_exists(path))
        rc = err_set(err, ERR_INPUT,
                     "%s is not the folder that rank 0 made: all processes write to one folder of "
                     "a file system that they share (--data)",
                     shard_writer_part(w));
    rc = together_agree(p, rc, err);
    if (rc == 0 && p->rank == 0 && unlink(path) < 0)
        rc = err_errno(err, "cannot remove %s", path);
    return together_agree(p, rc, err);
}

/* --- one pace ------------------------------------------------------------------------------------- */

static const double short_s = 0.5, long_s = 2;
enum { STRIDE = 8, STRIDE_MAX = 1 << 16 };

struct beat { /* one process's, at a meeting */
    double seconds;
    uint32_t taken;
    bool done, failed, bad;
};

void pace_begin(struct pace *w)
{
    *w = (struct pace){.stride = STRIDE, .began = clock_seconds()};
}

bool pace_step(struct pace *w)
{
    return ++w->since >= w->stride;
}

void pace_meet(struct pace *w, struct group *g, bool done, bool failed, bool bad)
{
    struct beat all[GROUP_MAX] = {0};
    double longest = 0;

    all[group_rank(g)] = (struct beat){clock_seconds() - w->began, w->since, done, failed, bad};
    group_share(g, all, sizeof *all);
    w->all_done = true;
    for (int i = 0; i < group_size(g); i++) {
        w->taken += all[i].taken;
        w->all_done &= all[i].done;
        w->any_failed |= all[i].failed;
        w->any_bad |= all[i].bad;
        longest = all[i].seconds > longest ? all[i].seconds : longest;
    }
    /* alike in all */
    if (longest < short_s && w->stride < STRIDE_MAX)
        w->stride *= 2;
    else if (longest > long_s && w->stride > 1)
        w->stride /= 2;
    w->since = 0;
    w->began = clock_seconds();
}

static int by_place(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

int together_places(uint32_t **out, uint32_t *n_out, const struct prep *p, const uint32_t *places,
                    uint32_t n, struct err *err)
{
    const int ranks = group_size(p->group);
    char *all[GROUP_MAX] = {NULL};
    size_t sizes[GROUP_MAX], bytes = 0;
    int rc = group_collect(p->group, all, sizes, places, n * sizeof *places, true, err);

    *out = NULL;
    *n_out = 0;
    for (int i = 0; i < ranks; i++)
        bytes += sizes[i];
    if (rc == 0 && !(*out = malloc(bytes + 1)))
        rc = err_set(err, ERR_NOMEM, "%zu pictures: out of memory", bytes / sizeof **out);
    for (int i = 0; i < ranks; i++) {
        if (rc == 0)
            memcpy(*out + *n_out, all[i], sizes[i]);
        *n_out += (uint32_t)(sizes[i] / sizeof **out);
        free(all[i]);
    }
    if (rc == 0)
        qsort(*out, *n_out, sizeof **out, by_place);
    return rc;
}
