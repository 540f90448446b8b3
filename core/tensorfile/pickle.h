/* pickle.h - a pickle machine that knows what a state dict needs and nothing else.
 *
 * It never calls anything: a global is one of the few below or the file is refused, naming it. Values
 * are nodes in one array, referred to by number; numbers of nodes, stack, memo and sizes are bounded.
 * Opcodes: CPython's Lib/pickletools.py, protocols 0 to 4 as torch.save writes them. Private to
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
};

enum pickle_global {
    GLOBAL_ORDERED_DICT,
    GLOBAL_REBUILD_TENSOR,
    GLOBAL_REBUILD_TENSOR_V2,
    GLOBAL_REBUILD_PARAMETER,
    GLOBAL_STORAGE, /* its dtype in the node */
};

struct storage {     /* numbers that tensors look at */
    const char *key; /* not terminated; borrowed from the pickle's bytes */
    size_t key_size;
    enum st_dtype dtype;
    uint64_t n; /* elements */
};

struct node {
    enum node_kind kind;
    enum pickle_global global;
    enum st_dtype dtype;
    int64_t integer;  /* INT, BOOL; STORAGE and TENSOR: number of the storage */
    const char *text; /* STRING, BIG (little endian): borrowed from the pickle's bytes */
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
bool pickle_is_string(const struct pickle *p, int node, const char *text);

#endif
