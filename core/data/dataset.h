/* dataset.h - a folder of pictures with labels: description, listing, vocabulary.
 *
 * prep/datasets/NAME.yaml describes a set (keys: dataset_keys). Pictures are listed recursively,
 * hidden files skipped, sorted bytewise by path; the vocabulary is sorted bytewise. What is left out or looks odd is
 * collected as remarks.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_DATASET_H
#define PRESIZE_DATA_DATASET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/key.h"
#include "base/remark.h"

enum label_from { LABEL_REGEX, LABEL_FOLDER, LABEL_CSV };
enum label_missing { MISSING_FAIL, MISSING_SKIP };
enum decode_exif { EXIF_IGNORE, EXIF_APPLY };
enum decode_on_error { ON_ERROR_FAIL, ON_ERROR_SKIP };
enum shard_storage { STORAGE_RAW, STORAGE_ZSTD, STORAGE_JPEG };
extern const char *const dataset_storage_names[]; /* by enum shard_storage, then NULL */

struct dataset_group { /* classes that belong together (cat, dog): a PCRE2 pattern on the label */
    char name[64], regex[256];
};

struct dataset_options {
    char title[128], source[64], licence[256];
    char images[256];      /* picture root below the tree, "" for the tree itself */
    char root[1024];       /* a folder of one's own instead of DATA/NAME/tree; "" */
    int label_from;        /* enum label_from */
    char label_regex[512]; /* PCRE2 searched in the file name; group 1 is the label */
    char label_csv[256];   /* file below the tree: path,label */
    char label_path_column[128], label_column[128]; /* of label_csv; "": the usual names */
    int label_missing; /* enum label_missing: a picture without a label */
    char skip[512];    /* PCRE2 on the path: files that are not pictures of the set (\.mat$) */
    char official_trainval[256], official_test[256]; /* list files below the tree, Oxford form */
    int exif, on_error;
    int64_t size;                /* presize.size, short side in pixels */
    double max_aspect;           /* presize.max_aspect */
    int64_t shard_pictures;      /* shard.pictures */
    int storage;                 /* shard.storage */
    int64_t quality;             /* shard.quality, of storage jpeg */
    struct key_list groups_list; /* n, then groups */
    struct dataset_group groups[KEY_LIST_MAX];
};
extern const struct key dataset_keys[];

/* Reads datasets/NAME.yaml (path_find_share SHARE_DATASETS), or a FILE.yaml when NAME ends in .yaml,
 * then applies OVERRIDES (n words KEY=VALUE). */
int dataset_read(struct dataset_options *o, const char *name, char *const *overrides, int n,
                 struct err *err) MUST_USE;

struct dataset_item {
    char *path;       /* below the picture root, '/' separated; the picture's id */
    int32_t label;    /* index into the vocabulary */
    int32_t official; /* 0 trainval, 1 test, -1 not named by the official lists */
};

struct dataset {
    char root[4096];            /* folder the paths are below */
    struct dataset_item *items; /* sorted bytewise by path */
    uint32_t n;
    char **vocab; /* sorted bytewise */
    int32_t n_classes;
    int32_t *group;         /* of each class: index into options->groups, -1 none */
    uint32_t n_skipped;     /* files left out by `skip` or no pictures */
    struct remarks remarks; /* what was left out, and what looks odd */
};

/* Lists and labels. TREE is the set's folder (DATA/NAME/tree). IS_PICTURE(path) says by bytes and ending
 * (data does not know image): 1 picture, 0 not, -1 unreadable. ERR_INPUT: a pattern that does not
 * compile (with the position), matches no file (with three examples), a label missing for some file
 * (all named, up to 20), no pictures at all. Release with dataset_free(). */
int dataset_list(struct dataset **out, const struct dataset_options *o, const char *tree,
                 int (*is_picture)(const char *path), struct err *err) MUST_USE;
void dataset_free(struct dataset *d); /* NULL is fine */

void data_libraries(FILE *file); /* for base/version.h */

/* by the ending of its name: .zip, .tar, .tgz, .7z, ... */
bool dataset_is_archive(const char *path);

/* PCRE2 for `skip`: what lies in folders that systems make for themselves (thumbnails, waste baskets). */
#define DATASET_SYSTEM_FOLDERS                                                                     \
    "(^|/)(@eaDir|@Recycle|@Recently-Snapshot|#recycle|#snapshot|__MACOSX|lost\\+found|"           \
    "\\$RECYCLE\\.BIN|System Volume Information)/"

#endif
