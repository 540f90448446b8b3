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
};

/* A module's rows and where its struct lies in the joined one. ROWS ends with {0}. */
struct key_table {
    const struct key *rows;
    size_t offset;
};

#define KEY_BOOL(s, m, name, preset, help)                                                         \
    {                                                                                              \
        name, KEY_TYPE_BOOL, offsetof(s, m), preset, 0, 0, "", help, NULL, 0, NULL, 0              \
    }
#define KEY_INT(s, m, name, preset, min, max, unit, help)                                          \
    {                                                                                              \
        name, KEY_TYPE_INT, offsetof(s, m), preset, min, max, unit, help, NULL, 0, NULL, 0         \
    }
#define KEY_F64(s, m, name, preset, min, max, unit, help)                                          \
    {                                                                                              \
        name, KEY_TYPE_F64, offsetof(s, m), preset, min, max, unit, help, NULL, 0, NULL, 0         \
    }
#define KEY_STR(s, m, name, preset, help)                                                          \
    {                                                                                              \
        name, KEY_TYPE_STR, offsetof(s, m), preset, 0, 0, "", help, NULL, sizeof(((s *)0)->m),     \
            NULL, 0                                                                                \
    }
#define KEY_CHOICE(s, m, name, preset, choices, help)                                              \
    {                                                                                              \
        name, KEY_TYPE_CHOICE, offsetof(s, m), preset, 0, 0, "", help, choices, 0, NULL, 0         \
    }
#define KEY_F64S(s, m, name, preset, min, max, unit, help)                                         \
    {                                                                                              \
        name, KEY_TYPE_F64S, offsetof(s, m), preset, min, max, unit, help, NULL, 0, NULL, 0        \
    }
/* COUNT is the struct key_list, ARRAY the member with KEY_LIST_MAX elements. */
#define KEY_LIST(s, count, array, name, rows, help)                                                \
    {                                                                                              \
        name, KEY_TYPE_LIST, offsetof(s, count), NULL, 0, 0, "", help, NULL,                       \
            sizeof(((s *)0)->array[0]), rows, offsetof(s, array)                                   \
    }
#define KEY_END                                                                                    \
    {                                                                                              \
        NULL, KEY_TYPE_BOOL, 0, NULL, 0, 0, NULL, NULL, NULL, 0, NULL, 0                           \
    }

/* TABLES below is an array of N tables over one joined struct OBJ. */

/* Every key to its default. */
void keys_default(const struct key_table *tables, size_t n, void *obj);

/* Sets in OBJ what TREE gives; what it does not name stays. List elements start from their rows'
 * defaults. ERR_INPUT, one message: an unknown key ("did you mean"), a value of the wrong type or out
 * of range (with the range and unit), a choice that does not exist (with the choices). ORIGIN is the
 * file or "command line", put before the message. */
int keys_apply(const struct key_table *tables, size_t n, void *obj, const json_t *tree,
               const char *origin, struct err *err) MUST_USE;

/* TREE := TREE with "a.b.0.c=VALUE" set (maps made on the way; VALUE is parsed as YAML, so
 * "[1e-5, 1e-3]" is a list; a list index may be at most the list's length). ERR_INPUT. */
int keys_override(json_t *tree, const char *word, struct err *err) MUST_USE;

/* OVER's maps merged into BASE, its lists and scalars replacing. */
int keys_merge(json_t *base, const json_t *over, struct err *err) MUST_USE;

/* Every key with its value, nested, in table order; numbers as the shortest text that reads back
 * equal. Owned by the caller; NULL when out of memory. FLAT gives {"train.batch": ...} instead. */
json_t *keys_tree(const struct key_table *tables, size_t n, const void *obj, bool flat);

/* The tables as Markdown: | key | default | range or choices | unit | meaning |. */
void keys_document(FILE *file, const struct key_table *tables, size_t n);

/* The key that people mean who type TYPED ("bs", "batch-size", "lr"), where it EXISTS; NULL: none that is known. */
const char *key_typed(const char *typed, bool (*exists)(void *ctx, const char *key), void *ctx);

/* The nearest of COUNT names to WORD by edit distance, NULL when none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
