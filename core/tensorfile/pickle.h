/* pickle.h - a pickle machine that builds what a state dict needs and nothing else.
 *
 * It never calls anything. A global is one of the few below; another one, what a call of it would give, and what is
 * put into that, is an opaque node, which nobody looks into but for a module's parts (pickle_state()). A global that
 * only a harmful file needs is refused, naming it. Values are nodes in one array, referred to by number; numbers of
 * nodes, stack, memo and sizes are bounded. Opcodes: CPython's Lib/pickletools.py, protocols 0 to 5. Private to
 * tensorfile.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_PICKLE_H
#define PRESIZE_TENSORFILE_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tensorfile/safetensors.h"

enum { PICKLE_DIMS = 8, PICKLE_MAX = 64 << 20 /* bytes of one pickle */ };

enum node_kind {
    NODE_NONE,
    NODE_BOOL,
    NODE_INT,
    NODE_FLOAT, /* its value is not kept */
    NODE_BIG,   /* an int beyond 64 bits */
    NODE_STRING,
    NODE_GLOBAL,
    NODE_TUPLE,
    NODE_LIST,
    NODE_DICT, /* items: key, value, key, value ... in order */
    NODE_STORAGE,
    NODE_TENSOR,
    NODE_OPAQUE, /* text: its global's name, or NULL */
};

enum pickle_global {
    GLOBAL_ORDERED_DICT,
    GLOBAL_REBUILD_TENSOR,
    GLOBAL_REBUILD_TENSOR_V2,
    GLOBAL_REBUILD_PARAMETER,
    GLOBAL_REBUILD_FROM_TYPE, /* of (function, type, arguments, state): a tensor with attributes */
    GLOBAL_STORAGE,           /* its dtype and bytes in the node */
};

struct storage {     /* numbers that tensors look at */
    const char *key; /* not terminated; borrowed from the pickle's bytes */
    size_t key_size;
    enum st_dtype dtype;
    unsigned bytes; /* of an element */
    uint64_t n;     /* elements */
};

struct node {
    enum node_kind kind;
    enum pickle_global global;
    enum st_dtype dtype;
    unsigned bytes; /* GLOBAL_STORAGE: of an element */
    /* INT, BOOL; STORAGE and TENSOR: number of the storage; OPAQUE: state + 1, 0: none */
    int64_t integer;
    const char *text; /* STRING, BIG (little endian), OPAQUE: borrowed from the pickle's bytes */
    size_t size;      /* of text */
    int *items;       /* TUPLE, LIST, DICT: nodes; TENSOR: none */
    int n_items, cap_items;
    uint64_t offset; /* TENSOR: first element in its storage */
    int n_dims;
    uint64_t dims[PICKLE_DIMS], strides[PICKLE_DIMS];
};

struct pickle {
    struct node *nodes;
    int n_nodes, cap_nodes;
    struct storage *storages;
    int n_storages, cap_storages;
    int root; /* what STOP returned */
};

/* Runs the pickle at the start of DATA; *used is its length. DATA must stay as long as the result.
 * ERR_FORMAT names what was refused; ERR_NOMEM. */
int pickle_load(struct pickle **out, const uint8_t *data, size_t size, size_t *used,
                struct err *err) MUST_USE;
void pickle_free(struct pickle *p); /* NULL is fine */

/* The value of KEY in dict node DICT; -1: none, or no dict. */
int pickle_get(const struct pickle *p, int dict, const char *key);
/* What BUILD gave the opaque node NODE, of which an object's attributes can be read; -1: nothing, or no such node. */
int pickle_state(const struct pickle *p, int node);
bool pickle_is_string(const struct pickle *p, int node, const char *text);

#endif
