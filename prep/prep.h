/* prep.h - private to the tool: one data set being prepared, and what each option of prep does with it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_PREP_H
#define PRESIZE_PREP_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/path.h"
#include "data/dataset.h"
#include "data/index_record.h"
#include "image/decode.h"
#include "image/resize.h"

struct prep {
    const char *name;     /* as on the command line: NAME, or a FILE.yaml */
    const char *data;     /* --data as it was typed, NULL: not at all */
    char set[256];        /* NAME without folder and .yaml */
    char typed[PATH_LEN]; /* --data, NAME and keys as they were typed, for "run `prep ...`" */
    struct dataset_options options;
    char tree[PATH_LEN];              /* the set's folder: DATA/NAME/tree, or the key root */
    char folder[PATH_LEN];            /* DATA/NAME/shards-SIZE */
    char manifest[PATH_LEN];          /* DATA/NAME/manifest.jsonl; "" where the key root is given */
    struct dataset *dataset;          /* NULL until prep_list() */
    char manifest_sha256[SHA256_HEX]; /* "" until prep_hash() */
    bool fetched;                     /* it is the manifest's, not a listing's */
    unsigned formats;                 /* bits of the formats in the listing, by their first bytes */
    int workers;
    bool force, json;
    struct group *group; /* of several processes; NULL: alone */
    int rank;            /* in it, or 0 */
};

/* --- scan.c: from a name to a listing ------------------------------------------------------------- */

/* Reads the description and says where things are; touches no picture. ERR_INPUT. */
int prep_open(struct prep *p, const char *data, char *const *overrides, int n,
              struct err *err) MUST_USE;
/* Lists and labels the pictures. */
int prep_list(struct prep *p, struct err *err) MUST_USE;
/* Names and versions of what decodes the pictures of the listing. */
const char *prep_decoder(const struct prep *p);
/* Of a fetched set the SHA-256 of its manifest, when its files are as that has them (ERR_CHECKSUM names those that are
 * not); where there is none (key root), of one line "PATH SIZE SHA256" per picture, in the order of the listing. Reads
 * all files. */
int prep_hash(struct prep *p, struct err *err) MUST_USE;
void prep_close(struct prep *p);

/* One picture on its way: everything a worker reuses from one to the next. Start from all zero. */
struct picture {
    char *bytes; /* of the file */
    size_t size;
    struct image image;
    struct presize plan;
    uint8_t *pixels; /* presized (plan.height, plan.width, 3) */
    size_t capacity;
    struct resizer resizer;
    uint8_t *packed; /* as a shard stores it, packed_size bytes; unused with storage raw */
    size_t packed_size, packed_capacity;
};
/* Reads item I's file into *bytes, the caller's. */
int picture_read(char **bytes, size_t *size, const struct prep *p, uint32_t i,
                 struct err *err) MUST_USE;
/* Decodes ->bytes, read from item I, and opens no file; the message begins with the picture's path. */
int picture_decode_bytes(struct picture *c, const struct prep *p, uint32_t i,
                         struct err *err) MUST_USE;
/* Reads and decodes item I. */
int picture_decode(struct picture *c, const struct prep *p, uint32_t i, struct err *err) MUST_USE;
/* Resizes what was decoded into ->pixels. ERR_NOMEM. */
int picture_presize(struct picture *c, struct err *err) MUST_USE;
/* Presized pixels to what a shard stores, in ->packed; with storage raw nothing is done. With jpeg, ->pixels become
 * those that a reader will decode. ERR_NOMEM; ERR_INPUT: sides that this storage cannot have. */
int picture_pack(struct picture *c, const struct prep *p, struct err *err) MUST_USE;
static inline size_t picture_bytes(const struct picture *c)
{
    return (size_t)c->plan.height * (size_t)c->plan.width * 3;
}
static inline size_t picture_stored(const struct picture *c, const struct prep *p)
{
    return p->options.storage == STORAGE_RAW ? picture_bytes(c) : c->packed_size;
}
void picture_free(struct picture *c);

/* --- what the options do ---------------------------------------------------------------------------- */

/* Decodes, presizes and writes the shards; does nothing where they are there and up to date. */
int prep_write(struct prep *p, struct err *err) MUST_USE;     /* shardset.c */
int prep_check(struct prep *p, struct err *err) MUST_USE;     /* inspect.c: --check */
int prep_vocab(struct prep *p, struct err *err) MUST_USE;     /* inspect.c: --vocab */
int prep_quality(struct prep *p, struct err *err) MUST_USE;   /* worth.c: --quality */
int prep_croissant(struct prep *p, struct err *err) MUST_USE; /* croissant.c: --croissant */
int prep_plan(struct prep *p, struct err *err) MUST_USE;      /* estimate.c: --plan */
int prep_summary(struct prep *p, struct err *err) MUST_USE;   /* steps.c: --summary */
int prep_show(struct prep *p, const char *png, struct err *err) MUST_USE; /* contact.c: --show */
/* propose.c: --init. Prints the proposed description of FOLDER (NAME is NULL), or saves it as prep/datasets/NAME.yaml,
 * in a folder that is there, and prints that path. DATA: a folder DATA/NAME/tree needs no key root. ERR_INPUT: no
 * proposal, or the file is there already. */
int prep_propose(const char *folder, const char *name, const char *data, struct err *err) MUST_USE;
/* What was done and remarked, as JSON on stdout, from the finished index.json. */
int prep_print_json(const struct prep *p, struct err *err) MUST_USE; /* inspect.c: --json */

/* Makes again the shards whose bytes are not those that index.json names; everything where index.json itself is
 * damaged. ERR_CHECKSUM: a shard that was made again differs, or the set is another one now. */
int prep_repair(struct prep *p, struct err *err) MUST_USE; /* mend.c: --repair */

struct group;
struct shard_writer;
struct duplicate_item;

enum mend {
    MEND_MAKE,
    MEND_PASS,
    MEND_LEAVE_OUT
}; /* in a damaged shard; in a sound one; in none */
struct shard_mending {
    const bool *damaged; /* of each shard */
    uint32_t n_shards;
    const json_t *shards, *skipped; /* of index.json */
    uint32_t *n_made;               /* how many shards were made again */
};
/* mend.c: enum mend OF each picture, in the order of W. ERR_NOMEM. */
int mend_fill(const struct shard_mending *m, uint8_t *of, const struct prep *p,
              const struct shard_writer *w, struct err *err) MUST_USE;
/* shardset.c: makes all shards, or those that MENDING (may be NULL) names. After prep_hash(). */
int shardset_make(struct prep *p, struct shard_mending *mending, struct err *err) MUST_USE;
/* remarked.c: what all pictures together show. Finds duplicates among IDS (one per item of the listing), proposes a
 * size from SIDES (short sides as decoded, 0: left out), names classes of which KEPT is 0, and records remarks and
 * duplicates in index.json. */
int shardset_remark(struct shard_writer *w, const struct prep *p, struct remarks *r,
                    const struct duplicate_item *ids, const int *sides, const uint32_t *kept,
                    struct err *err) MUST_USE;
/* The short side that all but a tenth of the N SIDES reach (those of 0 are passed over), at least 8. */
int size_to_propose(const int *sides, uint32_t n);

/* True when the finished shards in p->folder were made from this manifest with these settings by these
 * decoders; else WHY says what differs ("" when there are none). */
bool prep_is_current(const struct prep *p, char why[256]);
/* The first way in which what index.json says of pictures, settings and decoders differs from now. */
bool prep_index_differs(const struct prep *p, const struct index_record *index, char why[256]);

#endif
