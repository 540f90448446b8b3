/* key.h - key tables: one row parses, bounds, prints, documents and records one key.
 *
 * A module describes its options struct by a const table of rows; an experiment (or a data set
 * description) joins tables of several modules into one struct. Values come from YAML files and
 * KEY=VALUE words, both as JSON trees of strings (yaml.h), so the two cannot differ.
 *
 *   static const struct key sgd_keys[] = {
 *       KEY_F64(struct sgd, lr, "optim.lr", 0.1, 0, 10, "1", "learning rate"),
 *       KEY_CHOICE(struct sgd, kind, "optim.name", ADAM, optim_names, "optimiser"),
 *   };
 *   const struct key_table sgd_table = KEY_TABLE(sgd_keys);
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_KEY_H
#define PRESIZE_BASE_KEY_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum key_type {
    KEY_TYPE_BOOL,   /* bool                       true false yes no on off */
    KEY_TYPE_INT,    /* int64_t                    */
    KEY_TYPE_F64,    /* double                     */
    KEY_TYPE_STR,    /* char[size], 0-terminated   */
    KEY_TYPE_CHOICE, /* int, index into choices    */
    KEY_TYPE_F64S,   /* struct key_f64s            one number or a list of at most 8 */
    KEY_TYPE_LIST,   /* struct key_list            list of maps with a table of their own */
};

struct key_f64s {
    int n; /* 0: not given */
    double v[8];
};

enum { KEY_LIST_MAX = 16 };
struct key_list { /* how many of the KEY_LIST_MAX elements of the array beside it are in use */
    int n;
};

enum key_flag {
    /* Cannot change a bit of the weights, in any version: a key that gets this flag or loses it gives every older
     * record another hash. It is in no hash, may be set by --resume, and does not tell recipes apart. */
    KEY_NO_RESULT = 1,
    KEY_REPEAT = 2, /* says which repeat of a recipe a run is */
};

struct key {
    const char *name; /* dotted, as in the file and on the command line: "train.batch" */
    enum key_type type;
    size_t offset;              /* in the module's struct */
    const char *preset;         /* default as text, not held to the range ("-1": unset) */
    double min, max;            /* inclusive, for INT, F64, F64S */
    const char *unit;           /* "px", "1", "epochs", ...; "" for the others */
    const char *help;           /* one line, no full stop */
    const char *const *choices; /* CHOICE: NULL-terminated names */
    size_t size;                /* STR: bytes of the array; LIST: bytes of one element */
    const struct key *items;    /* LIST: rows of an element, names relative to it; ends with {0} */
    size_t items_offset;        /* LIST: of the array, in the module's struct */
    unsigned flags;             /* of enum key_flag */

    /* The key's history; 0 and NULL: it was there always, and is. */
    int since;           /* first version of the keys that has it */
    const char *implied; /* its value in records of older versions, as text; NULL: the preset */
    int retired; /* first version that lacks it; row, field and name stay, for older records */
    const char *instead; /* of a retired key: what to write today, "set a.b instead" */
};

/* A module's rows and where its struct lies in the joined one. ROWS ends with {0}. */
struct key_table {
    const struct key *rows;
    size_t offset;
};

/* The last argument is the help text; the members of its history may follow:
 *   KEY_BOOL(struct sgd, fast, "optim.fast", "true", "fewer sums", .since = 2, .implied = "false") */
#define KEY_BOOL(s, m, key, value, ...)                                                            \
    {                                                                                              \
        .name = key, .type = KEY_TYPE_BOOL, .offset = offsetof(s, m), .preset = value, .unit = "", \
        .help = __VA_ARGS__                                                                        \
    }
#define KEY_NUMBER(kind, s, m, key, value, low, high, u, ...)                                      \
    {                                                                                              \
        .name = key, .type = kind, .offset = offsetof(s, m), .preset = value, .min = low,          \
        .max = high, .unit = u, .help = __VA_ARGS__                                                \
    }
#define KEY_INT(...) KEY_NUMBER(KEY_TYPE_INT, __VA_ARGS__)
#define KEY_F64(...) KEY_NUMBER(KEY_TYPE_F64, __VA_ARGS__)
#define KEY_F64S(...) KEY_NUMBER(KEY_TYPE_F64S, __VA_ARGS__)
#define KEY_STR(s, m, key, value, ...)                                                             \
    {                                                                                              \
        .name = key, .type = KEY_TYPE_STR, .offset = offsetof(s, m), .preset = value, .unit = "",  \
        .size = sizeof(((s *)0)->m), .help = __VA_ARGS__                                           \
    }
#define KEY_CHOICE(s, m, key, value, names, ...)                                                   \
    {                                                                                              \
        .name = key, .type = KEY_TYPE_CHOICE, .offset = offsetof(s, m), .preset = value,           \
        .unit = "", .choices = names, .help = __VA_ARGS__                                          \
    }
/* COUNT is the struct key_list, ARRAY the member with KEY_LIST_MAX elements. */
#define KEY_LIST(s, count, array, key, rows, ...)                                                  \
    {                                                                                              \
        .name = key, .type = KEY_TYPE_LIST, .offset = offsetof(s, count), .unit = "",              \
        .size = sizeof(((s *)0)->array[0]), .items = rows, .items_offset = offsetof(s, array),     \
        .help = __VA_ARGS__                                                                        \
    }
#define KEY_END                                                                                    \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* TABLES below is an array of N tables over one joined struct OBJ. VERSION is that of the keys by
 * which OBJ is read or written: versions count from 1, each key added or retired after a release
 * makes a new one, and what was recorded under a version keeps that version's rules. */
enum { KEYS_NEWEST = INT_MAX }; /* where nothing is recorded */

/* The newest version that a row names, at least 1. */
int keys_version(const struct key_table *tables, size_t n);

/* Every key to its default; those that are younger than VERSION to what VERSION implies. */
void keys_default(const struct key_table *tables, size_t n, int version, void *obj);
/* TARGET, ROW's own field, likewise. */
void key_default(const struct key *row, int version, void *target);

/* Sets in OBJ what TREE gives; what it does not name stays. List elements start from their rows'
 * defaults. ERR_INPUT, one message: an unknown key ("did you mean"), one that VERSION has retired (with
 * what to write instead), a value of the wrong type or out of range (with the range and unit), a choice
 * that does not exist (with the choices). ORIGIN is the file, put before the message;
 * NULL: the command line, ERR_USAGE.
 * Keys younger than VERSION are taken, too. */
int keys_apply(const struct key_table *tables, size_t n, int version, void *obj, const json_t *tree,
               const char *origin, struct err *err) MUST_USE;

/* ERR_INPUT when VERSION has retired NAME, "a.b.0.c" or the word "a.b.0.c=VALUE", with what to write
 * instead. */
int keys_check_name(const struct key_table *tables, size_t n, int version, const char *name,
                    struct err *err) MUST_USE;

/* TREE := TREE with "a.b.0.c=VALUE" set (maps made on the way; VALUE is parsed as YAML, so
 * "[1e-5, 1e-3]" is a list; a list index may be at most the list's length). ERR_INPUT. */
int keys_override(json_t *tree, const char *word, struct err *err) MUST_USE;

/* OVER's maps merged into BASE, its lists and scalars replacing. */
int keys_merge(json_t *base, const json_t *over, struct err *err) MUST_USE;

/* TREE's maps and lists of maps as one map of dotted names, {"train.phases.0.epochs": ...}; what is flat stays. Owned
 * by the caller; NULL: out of memory. */
json_t *keys_flatten(json_t *tree);

/* Every key of VERSION with its value, nested, in table order, and of younger keys those that are not
 * as VERSION implies; numbers as the shortest text that reads back equal. Owned by the caller; NULL when
 * out of memory. FLAT gives {"train.batch": ...} instead. */
json_t *keys_tree(const struct key_table *tables, size_t n, int version, const void *obj,
                  bool flat);
/* Of the keys that VERSION has and the newest version has not, those that are not at their default,
 * flat. Owned by the caller; NULL when out of memory. */
json_t *keys_outdated(const struct key_table *tables, size_t n, int version, const void *obj);

/* Whether the row NAME, of no list, has FLAG; a NAME without a row has none. */
bool keys_flagged(const struct key_table *tables, size_t n, const char *name, enum key_flag flag);

/* The tables as Markdown: | key | default | range or choices | unit | meaning |; then what was retired. */
void keys_document(FILE *file, const struct key_table *tables, size_t n);
/* SAY for each key that is not retired, a list's items behind the list as "train.phases.N.lr". RANGE is as in the table
 * of keys_document(): "0 to 1", "true, false", "text". */
void keys_each(const struct key_table *tables, size_t n,
               void (*say)(void *to, const char *name, const char *range, const struct key *row),
               void *to);

/* The key that people mean who type TYPED ("bs", "batch-size", "lr"), where it EXISTS; NULL: none that is known. */
const char *key_typed(const char *typed, bool (*exists)(void *ctx, const char *key), void *ctx);

/* Whether TYPED is short for a key that EXISTS, its value meaning the same ("bs", not "fp16"). */
bool key_is_short(const char *typed, bool (*exists)(void *ctx, const char *key), void *ctx);
/* keys_override() with a WORD that people typed: keys_check_name() first, and "bs=32" is train.batch=32, which is said.
 * Where a short word is of a list ("epochs=3") and the list has several items, ERR_INPUT names the key. */
int keys_set_word(json_t *tree, const struct key_table *tables, size_t n, const char *word,
                  struct err *err) MUST_USE;

/* Of COUNT names the only one that WORD begins (three letters or more), else the nearest by edit distance; NULL when
 * none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
