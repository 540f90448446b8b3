/* part.c - opens shards, cuts them as the run was cut, and finds the network's labels by name.
 * SPDX-License-Identifier: MIT */
#include "part.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "data/offenders.h"

/* The run's own pictures must be those that it was trained on, else a part is not what it says. */
static int check_own(const struct part *p, const struct run_entry *run, const char *folder,
                     struct err *err)
{
    const char *index = run->facts.sha256.index, *split = run->facts.sha256.split;
    char hex[SHA256_HEX];

    if (index && strcmp(index, shard_set_index_sha256(p->shards)) != 0)
        return err_set(err, ERR_CHECKSUM,
                       "%s/index.json is %.12s, but %s was trained on %.12s: the set was prepared "
                       "again, and its parts may differ",
                       folder, shard_set_index_sha256(p->shards), run->name, index);
    if (split_sha256(hex, p->parts, p->shards, err) < 0)
        return -1;
    if (split && strcmp(split, hex) != 0)
        return err_set(
            err, ERR_CHECKSUM,
            "the %s of %s is %.12s, but %s was trained with %.12s: the table was changed", p->split,
            p->set, hex, run->name, split);
    return 0;
}

static int choose(struct part *p, struct err *err)
{
    const struct split *s = p->parts;

    if (!s) {
        p->n = shard_set_count(p->shards);
        p->all = malloc(p->n * sizeof *p->all);
        if (!p->all)
            return err_set(err, ERR_NOMEM, "%u pictures", p->n);
        for (uint32_t i = 0; i < p->n; i++)
            p->all[i] = i;
        p->ranks = p->all;
    } else if (strcmp(p->name, "train") == 0) {
        p->ranks = s->train;
        p->n = s->n_train;
    } else if (strcmp(p->name, "valid") == 0) {
        p->ranks = s->valid;
        p->n = s->n_valid;
    } else {
        p->ranks = s->test;
        p->n = s->n_test;
    }
    if (p->n == 0)
        return err_set(err, ERR_INPUT,
                       "--split %s: the %s of %s keeps no such pictures: a run whose data.split is "
                       "official (or csv) does",
                       p->name, p->split, p->set);
    return 0;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* Classes by name; those that no picture of the part has do not matter. */
static int match_classes(struct part *p, const json_t *vocab, const char *run, struct err *err)
{
    int32_t classes = shard_set_classes(p->shards);
    struct offenders unknown = {0};
    uint8_t *used = calloc((size_t)classes, 1);

    p->labels = malloc((size_t)classes * sizeof *p->labels);
    if (!used || !p->labels) {
        free(used);
        return err_set(err, ERR_NOMEM, "%d classes", classes);
    }
    for (uint32_t i = 0; i < p->n; i++)
        used[shard_set_picture(p->shards, p->ranks[i])->label] = 1;
    for (int32_t c = 0; c < classes; c++) {
        const char *name = shard_set_label(p->shards, c);
        size_t k = 0;

        while (k < json_array_size(vocab) && !is_text(json_array_get(vocab, k), name))
            k++;
        p->labels[c] = k < json_array_size(vocab) ? (int32_t)k : -1;
        if (p->labels[c] < 0 && used[c])
            offenders_add(&unknown, "%s", name);
    }
    free(used);
    if (unknown.n == 0)
        return 0;
    err_set(err, ERR_INPUT, "%s: %s knows %zu classes, not %u of this set's", p->set, run,
            json_array_size(vocab), unknown.n);
    return offenders_append(err, &unknown);
}

/* How many pictures of the part are among those of the other set's training part, by name and pixels:
 * both listings are sorted by path. */
static uint32_t count_seen(const struct part *p, const struct shard_set *own,
                           const struct split *split)
{
    uint8_t *trained = calloc(shard_set_count(own), 1),
            *asked = calloc(shard_set_count(p->shards), 1);
    uint32_t seen = 0, i = 0, k = 0;

    for (uint32_t t = 0; trained && t < split->n_train; t++)
        trained[split->train[t]] = 1;
    for (uint32_t t = 0; asked && t < p->n; t++)
        asked[p->ranks[t]] = 1;
    while (trained && asked && i < shard_set_count(own) && k < shard_set_count(p->shards)) {
        const struct shard_picture *a = shard_set_picture(own, i);
        const struct shard_picture *b = shard_set_picture(p->shards, k);
        int order = strcmp(a->path, b->path);

        seen += order == 0 && trained[i] && asked[k] && a->crc32c == b->crc32c;
        i += order <= 0;
        k += order >= 0;
    }
    free(trained);
    free(asked);
    return seen;
}

/* Says it when pictures of another set are such that the run was trained with, as far as its own set
 * is there to be compared. */
static void warn_of_seen(const struct part *p, const struct run_entry *run,
                         const struct data_options *own, const char *data)
{
    struct shard_set *shards = NULL;
    struct split *split = NULL;
    const char *index = run->facts.sha256.index;
    char folder[PATH_LEN];
    uint32_t seen = 0;

    if (path_format(folder, NULL, "%s/%s/shards-%d", data, own->set, (int)own->size) == 0 &&
        shard_set_open(&shards, folder, NULL) == 0 && index &&
        strcmp(index, shard_set_index_sha256(shards)) == 0 &&
        split_make(&split, own, shards, NULL) == 0)
        seen = count_seen(p, shards, split);
    if (seen > 0)
        log_warn("%u of these %u pictures of %s are pictures that %s was trained with: the error "
                 "rate is too good",
                 seen, p->n, p->set, run->name);
    split_free(split);
    shard_set_close(shards);
}

/* E's set and size become those to open. */
static int open_set(struct part *p, const struct request *r, struct experiment *e,
                    const struct checkpoint_record *record, char folder[PATH_LEN], struct err *err)
{
    if (r->set && (!r->set[0] || r->set[0] == '.' || strchr(r->set, '/')))
        return err_set(err, ERR_INPUT, "--set %s: the name of a prepared set", r->set);
    p->own = !r->set || strcmp(r->set, e->data.set) == 0;
    if (!p->own &&
        snprintf(e->data.set, sizeof e->data.set, "%s", r->set) >= (int)sizeof e->data.set)
        return err_set(err, ERR_INPUT, "--set %.40s...: a name too long", r->set);
    /* pictures as the network saw them, whatever else was prepared */
    e->data.size = record->presize;
    if (!p->own) { /* the table and the draws are of the run's own set */
        e->data.clean[0] = 0;
        e->data.plant = 0;
    }
    p->set = e->data.set;
    p->name = r->split ? r->split : p->own ? "valid" : "all";
    if (experiment_shards(folder, e, r->data, err) < 0)
        return -1;
    return shard_set_open(&p->shards, folder, err);
}

int part_open(struct part *p, const struct request *r, const struct run_entry *run,
              struct experiment *e, const struct checkpoint_record *record, struct err *err)
{
    struct data_options own = e->data;
    char folder[PATH_LEN];

    memset(p, 0, sizeof *p);
    if (checkpoint_record_predicts(record, err) < 0 || open_set(p, r, e, record, folder, err) < 0)
        goto fail;
    if (strcmp(p->name, "all") != 0) {
        if (split_make(&p->parts, &e->data, p->shards, err) < 0) {
            err_wrap(err, "%s", p->set);
            goto fail;
        }
        split_text(p->split, sizeof p->split, &e->data);
    }
    if (p->own && check_own(p, run, folder, err) < 0)
        goto fail;
    if (choose(p, err) < 0 || match_classes(p, record->vocab, run->name, err) < 0)
        goto fail;
    own.size = e->data.size;
    if (!p->own)
        warn_of_seen(p, run, &own, r->data);
    return 0;
fail:
    part_close(p);
    return -1;
}

void part_close(struct part *p)
{
    free(p->labels);
    free(p->all);
    split_free(p->parts);
    shard_set_close(p->shards);
    memset(p, 0, sizeof *p);
}
