/* mend.c - --repair: find the shards that are damaged, make those again, in place.
 *
 * A shard's bytes follow from the pictures, the description and the libraries, and index.json has their SHA-256: what
 * is made again is right when it has that hash, and takes its place only then. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "data/index_record.h"
#include "data/shard_check.h"
#include "data/shard_write.h"
#include "prep.h"

static void say(const char *what)
{
    log_info("damaged: %s", what);
}

/* The names in an array as the keys of an object, which finds each at once. NULL: out of memory. */
static json_t *as_set(const json_t *names)
{
    json_t *set = json_object(), *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        if (json_is_string(name) &&
            json_object_set_new_nocheck(set, json_string_value(name), json_true()) < 0) {
            json_decref(set);
            return NULL;
        }
    }
    return set;
}

int mend_fill(const struct shard_mending *m, uint8_t *of, const struct prep *p,
              const struct shard_writer *w, struct err *err)
{
    json_t *skipped = as_set(m->skipped);
    uint32_t in = 0; /* pictures that are in shards, so far */

    if (!skipped)
        return err_set(err, ERR_NOMEM, "%u pictures: out of memory", p->dataset->n);
    for (uint32_t i = 0; i < p->dataset->n; i++) {
        if (json_object_get(skipped, p->dataset->items[shard_writer_order(w, i)].path)) {
            of[i] = MEND_LEAVE_OUT;
        } else {
            const uint32_t shard = in++ / (uint32_t)p->options.shard_pictures;

            of[i] = shard < m->n_shards && !m->damaged[shard] ? MEND_PASS : MEND_MAKE;
        }
    }
    json_decref(skipped);
    return 0;
}

static int mend(struct prep *p, const bool *damaged, uint32_t n, uint32_t n_damaged,
                const json_t *json, struct err *err)
{
    struct index_record index;
    uint32_t n_made = 0;
    struct shard_mending m = {.damaged = damaged, .n_shards = n, .n_made = &n_made};
    char why[256];
    int rc;

    fields_read(index_fields, SHARD_INDEX_VERSION, &index, json, NULL);
    m.shards = index.shards;
    m.skipped = index.skipped;
    if (prep_index_differs(p, &index, why))
        return err_set(err, ERR_CHECKSUM, "%s cannot be repaired: %s; `prep %s` rebuilds it",
                       p->folder, why, p->typed);
    rc = shardset_make(p, &m, err);
    if (rc == 0 && n_made != n_damaged)
        rc = err_set(err, ERR_CHECKSUM,
                     "%u of %u damaged shards could be rebuilt: the pictures differ now", n_made,
                     n_damaged);
    if (rc < 0 && err->kind == ERR_CHECKSUM)
        err_append(err, "; `prep %s` rebuilds the shards", p->typed);
    if (rc < 0)
        return err_wrap(err, "%s", p->folder);
    for (uint32_t i = 0; i < n; i++)
        if (damaged[i]) {
            struct index_shard shard;

            fields_read(index_shard_fields, SHARD_INDEX_VERSION, &shard,
                        json_array_get(index.shards, i), NULL);
            printf("repaired %s\n", shard.file);
        }
    log_info("%s: %u of %u shard%s repaired", p->folder, n_made, n, PLURAL(n));
    return 0;
}

int prep_repair(struct prep *p, struct err *err)
{
    bool *damaged = NULL;
    json_t *index = NULL;
    uint32_t n = 0, n_damaged = 0;
    int rc = 0;

    if (!path_is_dir(p->folder))
        return err_set(err, ERR_INPUT, "%s: no finished shards there; run `prep %s` first",
                       p->folder, p->typed);
    if (shard_find_damaged(&damaged, &n, &index, p->folder, say, err) < 0) {
        if (err->kind == ERR_NOMEM)
            return -1;
        log_warn("%s; all shards are rebuilt", err->msg);
        p->force = true;
        return prep_write(p, err);
    }
    for (uint32_t i = 0; i < n; i++)
        n_damaged += damaged[i];
    if (n_damaged == 0)
        log_info("%s: nothing to repair: %u shard%s with the bytes that index.json names",
                 p->folder, n, PLURAL(n));
    else if (prep_list(p, err) < 0 || prep_hash(p, err) < 0)
        rc = err_wrap(err, "%u damaged shard%s cannot be repaired", n_damaged, PLURAL(n_damaged));
    else
        rc = mend(p, damaged, n, n_damaged, index, err);
    json_decref(index);
    free(damaged);
    return rc;
}
