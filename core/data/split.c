/* split.c - cut a set into training, validation and test pictures.
 * SPDX-License-Identifier: MIT */
#include "data/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/path.h"
#include "data/csv.h"
#include "data/offenders.h"

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

enum part { LEFT_OUT, TRAIN, VALID, TEST };

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
 * below VALID, whatever other pictures there are; so a set may grow and none changes sides. ORDER is
 * by hash. */
static int cut_by_hash(uint8_t *parts, uint32_t *order, const struct data_options *o,
                       const struct shard_set *s, struct err *err)
{
    uint32_t n = shard_set_count(s);
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

        memcpy(digits, keys[i].hex, 13);
        digits[13] = '\0';
        order[i] = keys[i].rank;
        parts[order[i]] = ldexp((double)strtoull(digits, NULL, 16), -52) < o->valid ? VALID : TRAIN;
    }
    free(keys);
    return 0;
}

static int cut_by_csv(uint8_t *parts, const struct data_options *o, const struct shard_set *s,
                      struct err *err)
{
    static const char *const names[] = {[TRAIN] = "train", [VALID] = "valid", [TEST] = "test"};
    struct offenders unknown = {0};
    struct csv csv;
    uint32_t found = 0;
    int rc = -1;

    if (!o->csv[0])
        return err_set(err, ERR_INPUT, "data.split is csv, so data.split_csv must name the table");
    if (csv_read(&csv, o->csv, "path", "split", err) < 0)
        return err_wrap(err, "data.split_csv");
    for (size_t i = 0; i < csv.n; i++) {
        const char *value = csv.rows[i].value;

        if (strcmp(value, "train") != 0 && strcmp(value, "valid") != 0 &&
            strcmp(value, "test") != 0) {
            err_set(err, ERR_INPUT,
                    "data.split_csv: %s: line %u: split is %s, not train, valid or "
                    "test",
                    o->csv, csv.rows[i].line, value);
            goto out;
        }
    }
    for (uint32_t i = 0; i < shard_set_count(s); i++) {
        const struct csv_row *row = csv_find(&csv, shard_set_picture(s, i)->path);

        for (uint8_t part = TRAIN; row && part <= TEST; part++)
            if (strcmp(row->value, names[part]) == 0)
                parts[i] = part;
        found += row != NULL;
    }
    for (size_t i = 0, at = 0; found < csv.n && i < csv.n; i++) {
        /* both are sorted bytewise by path */
        while (at < shard_set_count(s) &&
               strcmp(shard_set_picture(s, (uint32_t)at)->path, csv.rows[i].key) < 0)
            at++;
        if (at == shard_set_count(s) ||
            strcmp(shard_set_picture(s, (uint32_t)at)->path, csv.rows[i].key) != 0)
            offenders_add(&unknown, "%s", csv.rows[i].key);
    }
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

/* Fills PARTS (of each rank) and ORDER (all ranks in the split's own order). */
static int assign(uint8_t *parts, uint32_t *order, const struct data_options *o,
                  const struct shard_set *s, struct err *err)
{
    uint32_t n = shard_set_count(s), n_pool = 0;
    uint32_t *pool;
    int rc = 0;

    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    if (o->split == SPLIT_CSV)
        return cut_by_csv(parts, o, s, err);
    if (o->split == SPLIT_HASH)
        return cut_by_hash(parts, order, o, s, err);
    pool = malloc(n * sizeof *pool);
    if (!pool)
        return err_set(err, ERR_NOMEM, "split: out of memory");
    for (uint32_t i = 0; i < n; i++) {
        int32_t official = o->split == SPLIT_OFFICIAL ? shard_set_picture(s, i)->official : 0;

        if (official == 0)
            pool[n_pool++] = i;
        parts[i] = official == 1 ? TEST : LEFT_OUT;
    }
    if (n_pool == 0) {
        free(pool);
        return err_set(err, ERR_INPUT,
                       "data.split is official, but this set has no official lists; "
                       "use random, hash or csv");
    }
    permute(order, pool, n_pool, o->split_seed);
    if (o->stratify)
        rc = cut_stratified(parts, order, n_pool, o->valid, s, err);
    else
        cut(parts, order, n_pool, share(o->valid, n_pool));
    for (uint32_t i = 0, at = n_pool; i < n; i++) /* those outside the pool, sorted, behind it */
        if (o->split == SPLIT_OFFICIAL && shard_set_picture(s, i)->official != 0)
            order[at++] = i;
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
        }
    }
    qsort(p->test, p->n_test, sizeof *p->test, by_number);
    return 0;
}

/* A class with validation but no training pictures cannot be learnt and would only count as errors. */
static int check_classes(const struct split *p, const struct shard_set *s, struct err *err)
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
            "data.split_seed or a smaller data.valid help)",
            only.n, only.n == 1 ? "class is" : "classes are");
    return offenders_append(err, &only);
}

int split_make(struct split **out, const struct data_options *o, const struct shard_set *s,
               struct err *err)
{
    uint32_t n = shard_set_count(s);
    struct split *p = calloc(1, sizeof *p);
    uint8_t *parts = calloc(n, 1);
    uint32_t *order = malloc(n * sizeof *order);
    int rc = -1;

    *out = NULL;
    if (!p || !parts || !order) {
        err_set(err, ERR_NOMEM, "split: out of memory");
        goto out;
    }
    if (o->stratify && (o->split == SPLIT_HASH || o->split == SPLIT_CSV)) {
        err_set(err, ERR_INPUT, "data.stratify goes with data.split random and official only");
        goto out;
    }
    if (assign(parts, order, o, s, err) < 0 || collect(p, parts, order, n, err) < 0)
        goto out;
    if (p->n_train == 0 || p->n_valid == 0) {
        err_set(err, ERR_INPUT,
                "data.split: no pictures for the %s part (%u of %u train, %u "
                "validate, data.valid is %g)",
                p->n_train ? "validation" : "training", p->n_train, n, p->n_valid, o->valid);
        goto out;
    }
    if (check_classes(p, s, err) < 0)
        goto out;
    *out = p;
    p = NULL;
    rc = 0;
out:
    split_free(p);
    free(parts);
    free(order);
    return rc;
}

void split_free(struct split *s)
{
    if (!s)
        return;
    free(s->train);
    free(s->valid);
    free(s->test);
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

static const char *const split_names[] = {"random", "official", "hash", "csv", NULL};

void split_text(char *out, size_t size, const struct data_options *o)
{
    if (o->split == SPLIT_CSV)
        snprintf(out, size, "csv split %s", path_base(o->csv));
    else
        snprintf(out, size, "%s split (%lld%s)", split_names[o->split], (long long)o->split_seed,
                 o->stratify ? ", stratified" : "");
}

static const char *const verify_names[] = {"crc", "off", NULL};

#define S struct data_options
const struct key data_keys[] = {
    KEY_STR(S, set, "data.set", "pets", "name of the prepared set"),
    KEY_INT(S, size, "data.size", "0", 0, 8192, "px",
            "short side of the shards to read, 0: the largest there is"),
    KEY_CHOICE(S, split, "data.split", "random", split_names,
               "how pictures are told off for training and validation"),
    KEY_F64(S, valid, "data.valid", "0.2", 0, 1, "1", "share that validates"),
    KEY_INT(S, split_seed, "data.split_seed", "42", 0, 4294967295.0, "",
            "seed of the split, independent of seed"),
    KEY_BOOL(S, stratify, "data.stratify", "false",
             "the same share of every class (random and official)"),
    KEY_STR(S, csv, "data.split_csv", "",
            "table with the columns path and split (train, valid, test)"),
    KEY_STR(S, sample_weights, "data.sample_weights", "none",
            "training pictures drawn with replacement: none (each once an epoch), balanced (every "
            "class "
            "alike), or a FILE with the columns path and weight"),
    KEY_CHOICE(S, verify, "data.verify", "crc", verify_names,
               "check each picture's CRC-32C when it is read"),
    KEY_END,
};
#undef S
