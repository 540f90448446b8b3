/* split.h - which pictures train, validate and test.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SPLIT_H
#define PRESIZE_DATA_SPLIT_H

#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/key.h"
#include "base/path.h"
#include "base/remark.h"
#include "data/shard.h"

struct csv;

enum split_kind { SPLIT_RANDOM, SPLIT_OFFICIAL, SPLIT_HASH, SPLIT_CSV, SPLIT_FOLDER };
enum data_duplicates { DUPLICATES_TOGETHER, DUPLICATES_AS_SPLIT };
enum data_verify { VERIFY_CRC, VERIFY_OFF };

/* Keys data.*. */
struct data_options {
    char set[256];      /* data.set: name of the set */
    int64_t size;       /* data.size: presized short side to read, 0: the largest there is */
    int split;          /* enum split_kind */
    double valid;       /* fraction of the pictures (official: of trainval) */
    int64_t split_seed; /* 42, the chapter's; independent of seed */
    bool stratify;
    int64_t folds, fold; /* 0: no folds; else fold 1 to folds validates, and valid is not read */
    int duplicates;      /* enum data_duplicates; records from before the key imply AS_SPLIT */
    char csv[1024];      /* data.split_csv: path,split (train, valid, test) */
    int verify;          /* enum data_verify */
    char sample_weights[1024]; /* none, balanced, or a FILE: weighting.h */
    char clean[1024];          /* data.clean: path,action,label; "": none */
    char clean_copy[PATH_LEN]; /* no key: a run's own copy of that table, read in its place; "" */
    double plant;              /* data.plant: share of labels that are made wrong; 0: none */
};
extern const struct key data_keys[];

struct planted { /* a label that is wrong on purpose */
    uint32_t rank;
    int32_t right, wrong;
};

/* What data.clean and data.plant did, in pictures of the training, validation and test part. */
struct cleaning {
    uint32_t kept, dropped[3], relabelled[3]; /* kept: marked as right */
    struct planted *planted;                  /* by rank, owned */
    uint32_t n_planted, planted_valid;        /* of them in the validation part */
};

struct split {
    /* ranks; train and valid in the split's own order, test sorted */
    uint32_t *train, *valid, *test;
    uint32_t n_train, n_valid, n_test, n_left_out;
    uint8_t *leaks; /* of each rank: a validation or test picture with a duplicate in training */
    uint32_t n_leaks;
    struct cleaning cleaning;
    struct remarks remarks;
};

/* random: torch.randperm(n) under manual_seed(split_seed), the first int(valid * n) validate, as fastai does; with
 * duplicates TOGETHER, validation pictures that have a duplicate in training then train. folder: by the first folder
 * of the path that is named like a part (part_folder.h), and where none is called valid, a share of the training
 * folder validates. hash: by SHA-256 of path and seed. With folds, each picture that could validate does so in exactly
 * one of them (split_private.h). Then come data.clean and data.plant, which move no picture to another part and give
 * some of S another label (shard_set_relabel(); labels as stored come first). ERR_INPUT: a class that only the
 * validation part has (all named), an empty part, a CSV that names what is not there. */
int split_make(struct split **out, const struct data_options *o, struct shard_set *s,
               struct err *err) MUST_USE;
void split_free(struct split *s);

/* SHA-256 of the split itself: which paths train, validate and test, in the split's order. ERR_NOMEM. */
int split_sha256(char hex[SHA256_HEX], const struct split *p, const struct shard_set *s,
                 struct err *err) MUST_USE;
/* What run.json says of cleaning and planting (cleaning_record.h); null where both are off. Owned by the caller; NULL:
 * out of memory. */
json_t *split_cleaning_json(const struct split *p, const struct data_options *o);
/* The table that data.clean names: the run's copy where there is one; "": none. */
const char *split_clean_file(const struct data_options *o);
extern const struct csv_columns split_clean_columns; /* of such a table */
/* Whether each row of a table of data.clean has an action and the label that it needs, and no two contradict one
 * another. ERR_INPUT names file and line. REMARKS, NULL is fine: rows that come again. */
int split_check_rows(const char *file, const struct csv *csv, struct remarks *remarks,
                     struct err *err) MUST_USE;
/* How O cuts a set, as it stands beside figures: "random split (42)", "official split (42, fold 2 of 5)", "csv
 * split NAME.csv"; the number is split_seed. Then "cleaned by NAME.csv" and "3 % of labels wrong on purpose". */
void split_text(char *out, size_t size, const struct data_options *o);

/* torch.randperm(n) on the CPU under torch.manual_seed(seed): MT19937 (Matsumoto, Nishimura 1998),
 * for i in [0, n - 1): swap(r[i], r[i + next % (n - i)]). n < 2^32 / 20. */
void torch_randperm(uint32_t *out, uint32_t n, uint32_t seed);

#endif
