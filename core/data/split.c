/* split.c - cut a set into training, validation and test pictures.
 * SPDX-License-Identifier: MIT */
#include "data/split_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "base/path.h"
#include "data/csv.h"
#include "data/offenders.h"
#include "data/part_folder.h"
#include "data/twins.h"

/* --- torch.randperm ----------------------------------------------------------------------------- */

enum { MT_N = 624, MT_M = 397 };

struct mt19937 { /* Matsumoto, Nishimura 1998, initialised as in 2002 */
    uint32_t state[MT_N];
    int next;
};

static void mt_seed(struct mt19937 *g, uint32_t seed)
{
    g->state[0] = seed;
    for (uint32_t i = 1; i < MT_N; i++)
        g->state[i] = 1812433253U * (g->state[i - 1] ^ (g->state[i - 1] >> 30)) + i;
    g->next = MT_N;
}

static void mt_refill(struct mt19937 *g)
{
    for (int i = 0; i < MT_N; i++) {
        uint32_t y = (g->state[i] & 0x80000000U) | (g->state[(i + 1) % MT_N] & 0x7fffffffU);

        g->state[i] = g->state[(i + MT_M) % MT_N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfU : 0);
    }
    g->next = 0;
}

static uint32_t mt_u32(struct mt19937 *g)
{
    uint32_t y;

    if (g->next == MT_N)
        mt_refill(g);
    y = g->state[g->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

void torch_randperm(uint32_t *out, uint32_t n, uint32_t seed)
{
    struct mt19937 g;

    BUG_IF(n >= UINT32_MAX / 20); /* torch takes another way from here on */
    mt_seed(&g, seed);
    for (uint32_t i = 0; i < n; i++)
        out[i] = i;
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t j = i + mt_u32(&g) % (n - i), swap = out[i];

        out[i] = out[j];
        out[j] = swap;
    }
}

/* --- the kinds ---------------------------------------------------------------------------------- */

/* Python's int(valid * n): what torch-side splitters compute, in double. */
static uint32_t share(double valid, uint32_t n)
{
    return (uint32_t)(valid * n);
}

/* Puts POOL (n ranks) into the parts: its first share validates. */
static void cut(uint8_t *parts, const uint32_t *pool, uint32_t n, uint32_t n_valid)
{
    for (uint32_t i = 0; i < n; i++)
        parts[pool[i]] = i < n_valid ? VALID : TRAIN;
}

/* ORDER: the N ranks of POOL (sorted) as torch would permute them. */
static void permute(uint32_t *order, const uint32_t *pool, uint32_t n, int64_t seed)
{
    torch_randperm(order, n, (uint32_t)seed); /* torch keeps the low 32 bits for MT19937 */
    for (uint32_t i = 0; i < n; i++)
        order[i] = pool[order[i]];
}

/* Stratified: of each class its share, rounded so that the shares add up to that of the whole; the
 * pictures of a class are taken in the order of ORDER. */
static int cut_stratified(uint8_t *parts, const uint32_t *order, uint32_t n, double valid,
                          const struct shard_set *s, struct err *err)
{
    size_t classes = (size_t)shard_set_classes(s);
    uint32_t *total = calloc(classes, sizeof *total), *left = calloc(classes, sizeof *left);
    double carried = 0;

    if (!total || !left) {
        free(total);
        free(left);
        return err_set(err, ERR_NOMEM, "split: out of memory");
    }
    for (uint32_t i = 0; i < n; i++)
        total[shard_set_picture(s, order[i])->label]++;
    for (size_t c = 0; c < classes; c++) {
        double wanted = valid * total[c] + carried;

        left[c] = wanted > 0 ? (uint32_t)floor(wanted + 1e-9) : 0;
        if (total[c] > 0 && left[c] >= total[c]) /* a class must be trained with */
            left[c] = total[c] - 1;
        carried = wanted - left[c];
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *l = &left[shard_set_picture(s, order[i])->label];

        parts[order[i]] = *l > 0 ? VALID : TRAIN;
        *l -= *l > 0;
    }
    free(total);
    free(left);
    return 0;
}

struct keyed {
    char hex[SHA256_HEX];
    uint32_t rank;
};

static int by_hash(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int order = strcmp(x->hex, y->hex);

    return order != 0 ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

/* By SHA-256 of "SEED/PATH": a picture validates where the first 52 bits, as a fraction of one, are
 * below VALID (with folds: lie in those of the fold), whatever other pictures there are; so a set may grow and none
 * changes sides. ORDER is by hash. */
static int cut_by_hash(uint8_t *parts, uint32_t *order, const struct data_options *o,
                       const struct shard_set *s, struct err *err)
{
    uint32_t n = shard_set_count(s);
    const double from = o->folds > 0 ? (double)(o->fold - 1) / (double)o->folds : 0;
    const double to = o->folds > 0 ? (double)o->fold / (double)o->folds : o->valid;
    struct keyed *keys = malloc(n * sizeof *keys);

    if (!keys)
        return err_set(err, ERR_NOMEM, "split: out of memory");
    for (uint32_t i = 0; i < n; i++) {
        char text[5000];
        int length = snprintf(text, sizeof text, "%lld/%s", (long long)o->split_seed,
                              shard_set_picture(s, i)->path);

        sha256_of(text, (size_t)length, keys[i].hex);
        keys[i].rank = i;
    }
    qsort(keys, n, sizeof *keys, by_hash);
    for (uint32_t i = 0; i < n; i++) {
        char digits[14];
        double place;

        memcpy(digits, keys[i].hex, 13);
        digits[13] = '\0';
        place = ldexp((double)strtoull(digits, NULL, 16), -52);
        order[i] = keys[i].rank;
        parts[order[i]] = place >= from && place < to ? VALID : TRAIN;
    }
    free(keys);
    return 0;
}

/* The part that a table's VALUE names, in the column COLUMN; -1: none. */
static int part_of_value(const char *value, const char *column)
{
    static const uint8_t of[] = {LEFT_OUT, TRAIN, VALID, TEST}; /* by enum part_folder */
    const enum part_folder part = part_folder_of_name(value, strlen(value));

    if (strcasecmp(column, "is_valid") == 0) { /* fastai's column of truth values */
        if (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0)
            return VALID;
        return strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0 ? TRAIN : -1;
    }
    return part == PART_NONE ? -1 : of[part];
}

static int cut_by_csv(uint8_t *parts, const struct data_options *o, const struct shard_set *s,
                      struct err *err)
{
    struct offenders unknown = {0};
    struct csv csv;
    int rc = -1;

    if (!o->csv[0])
        return err_set(err, ERR_INPUT, "data.split is csv, so data.split_csv must name the table");
    if (csv_read(&csv, o->csv,
                 &(struct csv_columns){CSV_PATH_COLUMNS, CSV_SPLIT_COLUMNS, .paths = true},
                 err) < 0)
        return err_wrap(err, "data.split_csv");
    for (size_t i = 0; i < csv.n; i++)
        if (part_of_value(csv.rows[i].value, csv.value) < 0) {
            err_set(err, ERR_INPUT,
                    "data.split_csv: %s: line %u: %s is %s, not train, valid or test", o->csv,
                    csv.rows[i].line, csv.value, csv.rows[i].value);
            goto out;
        }
    for (uint32_t i = 0; i < shard_set_count(s); i++) {
        struct csv_row *row = csv_find_picture(&csv, shard_set_picture(s, i)->path);

        if (!row)
            continue;
        parts[i] = (uint8_t)part_of_value(row->value, csv.value);
        row->used = true;
    }
    for (size_t i = 0; i < csv.n; i++)
        if (!csv.rows[i].used)
            offenders_add(&unknown, "%s", csv.rows[i].key);
    if (unknown.n > 0) {
        err_set(err, ERR_INPUT, "data.split_csv: %s names %u pictures that are not in the set",
                o->csv, unknown.n);
        offenders_append(err, &unknown);
    } else {
        rc = 0;
    }
out:
    csv_free(&csv);
    return rc;
}

/* By the folders of the paths. *CUT: no folder is for validation, so that a share of the training pictures is. */
static int cut_by_folder(uint8_t *parts, bool *share_due, const struct shard_set *s,
                         struct err *err)
{
    static const uint8_t of[] = {LEFT_OUT, TRAIN, VALID, TEST}; /* by enum part_folder */
    uint32_t n[TEST + 1] = {0};

    for (uint32_t i = 0; i < shard_set_count(s); i++) {
        parts[i] = of[part_folder_of_path(shard_set_picture(s, i)->path, NULL, NULL)];
        n[parts[i]]++;
    }
    *share_due = n[VALID] == 0;
    if (n[TRAIN] > 0)
        return 0;
    return err_set(
        err, ERR_INPUT,
        "data.split is folder, but no picture lies in a folder called train (the first is "
        "%s); use random, hash or csv",
        shard_set_picture(s, 0)->path);
}

/* The ranks of POOL (N of them) are permuted as torch does, and the first share or a fold of them validates. */
static int cut_pool(uint8_t *parts, uint32_t *order, const uint32_t *pool, uint32_t n,
                    const uint32_t *twin, const struct data_options *o, const struct shard_set *s,
                    struct err *err)
{
    permute(order, pool, n, o->split_seed);
    if (o->folds > 0)
        return split_cut_folds(parts, order, n, twin, o, s, err);
    if (o->stratify)
        return cut_stratified(parts, order, n, o->valid, s, err);
    cut(parts, order, n, share(o->valid, n));
    return 0;
}

/* Whether the picture of RANK is one of those that a share is cut from. PARTS has what is known already. */
static bool in_pool(const uint8_t *parts, const struct data_options *o, const struct shard_set *s,
                    uint32_t rank)
{
    return o->split == SPLIT_RANDOM ||
           (o->split == SPLIT_FOLDER ? parts[rank] == TRAIN
                                     : shard_set_picture(s, rank)->official == 0);
}

/* Fills PARTS (of each rank) and ORDER (all ranks in the split's own order). */
static int assign(uint8_t *parts, uint32_t *order, const uint32_t *twin,
                  const struct data_options *o, const struct shard_set *s, struct err *err)
{
    uint32_t n = shard_set_count(s), n_pool = 0;
    bool share_due = true;
    uint32_t *pool;
    int rc;

    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    if (o->split == SPLIT_CSV)
        return cut_by_csv(parts, o, s, err);
    if (o->split == SPLIT_HASH)
        return cut_by_hash(parts, order, o, s, err);
    if (o->split == SPLIT_FOLDER && cut_by_folder(parts, &share_due, s, err) < 0)
        return -1;
    if (!share_due && o->folds > 0)
        return err_set(err, ERR_INPUT,
                       "data.folds goes with data.split folder only where no folder is called "
                       "valid, val or validation; data.split=random cuts all pictures");
    if (!share_due)
        return 0;
    pool = malloc(n * sizeof *pool);
    if (!pool)
        return err_set(err, ERR_NOMEM, "split: out of memory");
    for (uint32_t i = 0; i < n; i++) {
        if (in_pool(parts, o, s, i))
            pool[n_pool++] = i;
        else if (o->split == SPLIT_OFFICIAL)
            parts[i] = shard_set_picture(s, i)->official == 1 ? TEST : LEFT_OUT;
    }
    if (n_pool == 0) {
        free(pool);
        return err_set(err, ERR_INPUT,
                       "data.split is official, but this set has no official lists; "
                       "use random, hash or csv");
    }
    for (uint32_t i = 0, at = n_pool, k = 0; i < n;
         i++) { /* those outside, sorted, behind the pool */
        if (k < n_pool && pool[k] == i)
            k++;
        else
            order[at++] = i;
    }
    rc = cut_pool(parts, order, pool, n_pool, twin, o, s, err);
    free(pool);
    return rc;
}

/* --- the result --------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int collect(struct split *p, const uint8_t *parts, const uint32_t *order, uint32_t n,
                   struct err *err)
{
    p->train = malloc(n * sizeof *p->train);
    p->valid = malloc(n * sizeof *p->valid);
    p->test = malloc(n * sizeof *p->test);
    if (!p->train || !p->valid || !p->test)
        return err_set(err, ERR_NOMEM, "split: out of memory");
    for (uint32_t i = 0; i < n; i++) {
        switch ((enum part)parts[order[i]]) {
        case TRAIN:
            p->train[p->n_train++] = order[i];
            break;
        case VALID:
            p->valid[p->n_valid++] = order[i];
            break;
        case TEST:
            p->test[p->n_test++] = order[i];
            break;
        case LEFT_OUT:
            p->n_left_out++;
            break;
        case DROPPED:
            break;
        }
    }
    qsort(p->test, p->n_test, sizeof *p->test, by_number);
    return 0;
}

/* A class with validation but no training pictures cannot be learnt and would only count as errors. */
static int check_classes(const struct split *p, const struct data_options *o,
                         const struct shard_set *s, struct err *err)
{
    size_t classes = (size_t)shard_set_classes(s);
    uint8_t *seen = calloc(classes, 1);
    struct offenders only = {0};

    if (!seen)
        return err_set(err, ERR_NOMEM, "split: out of memory");
    for (uint32_t i = 0; i < p->n_valid; i++)
        seen[shard_set_picture(s, p->valid[i])->label] = 1;
    for (uint32_t i = 0; i < p->n_train; i++)
        seen[shard_set_picture(s, p->train[i])->label] = 2;
    for (size_t c = 0; c < classes; c++)
        if (seen[c] == 1)
            offenders_add(&only, "%s", shard_set_label(s, (int32_t)c));
    free(seen);
    if (only.n == 0)
        return 0;
    err_set(err, ERR_INPUT,
            "data.split: %u %s only in the validation part (data.stratify, another "
            "data.split_seed or %s help)",
            only.n, only.n == 1 ? "class is" : "classes are",
            o->folds > 0 ? "more data.folds" : "a smaller data.valid");
    return offenders_append(err, &only);
}

static int check_parts(const struct split *p, const struct data_options *o, uint32_t n,
                       struct err *err)
{
    const uint32_t moved = p->remarks.of[REMARK_COPIES_TO_TRAINING].n;

    if (p->n_train > 0 && p->n_valid > 0)
        return 0;
    err_set(err, ERR_INPUT,
            "data.split: no pictures for the %s part (%u of %u train, %u validate, %s is %g)",
            p->n_train ? "validation" : "training", p->n_train, n, p->n_valid,
            o->folds > 0 ? "data.folds" : "data.valid", o->folds > 0 ? (double)o->folds : o->valid);
    if (moved > 0)
        err_append(err,
                   "; %u pictures have duplicates in training and train, too: "
                   "data.duplicates=as_split leaves them where they are",
                   moved);
    if (p->remarks.of[REMARK_DROPPED].n > 0)
        err_append(err, "; data.clean drops %u pictures", p->remarks.of[REMARK_DROPPED].n);
    return -1;
}

int split_make(struct split **out, const struct data_options *o, struct shard_set *s,
               struct err *err)
{
    uint32_t n = shard_set_count(s);
    struct split *p = calloc(1, sizeof *p);
    uint8_t *parts = calloc(n, 1);
    uint32_t *order = malloc(n * sizeof *order), *twin = malloc(n * sizeof *twin);
    int rc = -1;

    *out = NULL;
    if (!p || !parts || !order || !twin) {
        err_set(err, ERR_NOMEM, "split: out of memory");
        goto out;
    }
    if (o->stratify && (o->split == SPLIT_HASH || o->split == SPLIT_CSV)) {
        err_set(err, ERR_INPUT,
                "data.stratify goes with data.split random, official and folder only");
        goto out;
    }
    for (uint32_t i = 0; i < n; i++) /* an earlier split may have cleaned or planted */
        shard_set_relabel(s, i, shard_set_picture(s, i)->stored_label);
    if (split_check_folds(o, err) < 0 || twins_find(twin, s, err) < 0 ||
        assign(parts, order, twin, o, s, err) < 0)
        goto out;
    if (o->duplicates == DUPLICATES_TOGETHER && o->split == SPLIT_RANDOM && o->folds == 0 &&
        split_keep_together(p, parts, twin, s, err) < 0)
        goto out;
    if (split_clean(p, parts, o, s, err) < 0 || split_plant(p, parts, o, s, err) < 0 ||
        collect(p, parts, order, n, err) < 0 || check_parts(p, o, n, err) < 0)
        goto out;
    if (check_classes(p, o, s, err) < 0 || split_remark(p, o, parts, twin, s, err) < 0)
        goto out;
    *out = p;
    p = NULL;
    rc = 0;
out:
    split_free(p);
    free(parts);
    free(order);
    free(twin);
    return rc;
}

void split_free(struct split *s)
{
    if (!s)
        return;
    free(s->train);
    free(s->valid);
    free(s->test);
    free(s->leaks);
    free(s->cleaning.planted);
    free(s);
}

static void hash_part(struct sha256 *sha, const char *part, const uint32_t *ranks, uint32_t n,
                      const struct shard_set *s)
{
    sha256_update(sha, part, strlen(part) + 1);
    for (uint32_t i = 0; i < n; i++) {
        const char *path = shard_set_picture(s, ranks[i])->path;

        sha256_update(sha, path, strlen(path) + 1);
    }
}

int split_sha256(char hex[SHA256_HEX], const struct split *p, const struct shard_set *s,
                 struct err *err)
{
    struct sha256 *sha;

    if (sha256_new(&sha, err) < 0)
        return -1;
    hash_part(sha, "/train", p->train, p->n_train, s);
    hash_part(sha, "/valid", p->valid, p->n_valid, s); /* no path begins so */
    hash_part(sha, "/test", p->test, p->n_test, s);
    sha256_hex(sha, hex);
    sha256_free(sha);
    return 0;
}

static const char *const split_names[] = {"random", "official", "hash", "csv", "folder", NULL};
static const char *const duplicates_names[] = {"together", "as_split", NULL};

void split_text(char *out, size_t size, const struct data_options *o)
{
    char fold[64] = "";
    size_t used;

    if (o->folds > 0)
        snprintf(fold, sizeof fold, ", fold %lld of %lld", (long long)o->fold, (long long)o->folds);
    if (o->split == SPLIT_CSV)
        snprintf(out, size, "csv split %s", path_base(o->csv));
    else
        snprintf(out, size, "%s split (%lld%s%s)", split_names[o->split], (long long)o->split_seed,
                 o->stratify ? ", stratified" : "", fold);
    used = strlen(out);
    if (o->clean[0])
        snprintf(out + used, size - used, ", cleaned by %s", path_base(o->clean));
    used = strlen(out);
    if (o->plant > 0)
        snprintf(out + used, size - used, ", %g %% of labels wrong on purpose", 100 * o->plant);
}

static const char *const verify_names[] = {"crc", "off", NULL};

#define S struct data_options
const struct key data_keys[] = {
    KEY_STR(S, set, "data.set", "pets", "name of the prepared set"),
    KEY_INT(S, size, "data.size", "0", 0, 8192, "px",
            "short side of the shards to read; 0: the largest available"),
    KEY_CHOICE(S, split, "data.split", "random", split_names,
               "how pictures are split into training and validation"),
    KEY_F64(S, valid, "data.valid", "0.2", 0, 1, "1", "share of the pictures that validates"),
    KEY_INT(S, split_seed, "data.split_seed", "42", 0, 4294967295.0, "",
            "seed of the split, independent of seed", .flags = KEY_REPEAT),
    KEY_BOOL(S, stratify, "data.stratify", "false",
             "take the same share of every class (random, official and folder)"),
    KEY_INT(S, folds, "data.folds", "0", 0, 1000, "",
            "cross-validation: number of folds, of which one validates (data.valid is not read "
            "then); 0: no folds",
            .since = 2),
    KEY_INT(S, fold, "data.fold", "1", 1, 1000, "", "the fold that validates, 1 to data.folds",
            .flags = KEY_REPEAT, .since = 2),
    KEY_CHOICE(
        S, duplicates, "data.duplicates", "together", duplicates_names,
        "copies and near duplicates. With together, a random split keeps them in training, and "
        "data.folds in one fold (official and folder, too). With as_split, they stay where the "
        "split puts them",
        .since = 2, .implied = "as_split"),
    KEY_STR(S, csv, "data.split_csv", "",
            "table with the columns path and split (train, valid, test)"),
    KEY_STR(S, sample_weights, "data.sample_weights", "none",
            "training pictures drawn with replacement: none (each once an epoch), balanced (every "
            "class "
            "alike), or a FILE with the columns path and weight"),
    KEY_STR(S, clean, "data.clean", "",
            "table with the columns path, action (keep, drop, relabel) and label, applied after "
            "the split",
            .since = 2),
    KEY_F64(S, plant, "data.plant", "0", 0, 0.5, "1",
            "share of the training and validation pictures whose labels are made wrong, by "
            "data.split_seed, to measure eval --issues",
            .since = 2),
    KEY_CHOICE(S, verify, "data.verify", "crc", verify_names,
               "check each picture's CRC-32C when it is read", .flags = KEY_NO_RESULT),
    KEY_END,
};
#undef S
