/* persistent.h - the tensors that outlive a list: PARAM and STATE, by name, for all lists of an open backend.
 *
 * Each backend has one such store and says where a tensor's values lie. They are zeros at first.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_PERSISTENT_H
#define PRESIZE_BACKEND_PERSISTENT_H

#include "backend/op.h"

struct persistent {
    struct persistent *next;
    char name[64];
    int dims[4];
    size_t n;         /* elements */
    uint64_t version; /* counts changes from 1; what was made from an older one is stale */
    /* Where the values lie, in plain layout, each backend in its own way: */
    float *data;                /* cpu */
    struct weight_copy *copies; /* cpu: what convolutions read */
    double *values;             /* ref */
    size_t at;                  /* cuda: in the device's memory for them, in elements */
};

struct be;
struct persistents {
    struct persistent *first;
    struct be *be;
    /* Gives a new tensor its place, filled with zeros. ERR_NOMEM. */
    int (*place)(struct be *b, struct persistent *t, struct err *err);
};

/* The tensor NAME; NULL with ERR_INPUT: no prepared list has it. */
struct persistent *persistents_find(const struct persistents *s, const char *name, struct err *err);
/* The tensor of T's name, made where there is none. ERR_INPUT: it has another shape; ERR_NOMEM. */
int persistents_get(struct persistent **out, struct persistents *s, const struct tensor *t,
                    struct err *err) MUST_USE;
/* The same of each input of op O in L that is persistent; NULL for the others. */
int persistents_of_op(struct persistent *out[OP_MAX_IN], struct persistents *s,
                      const struct op_list *l, const struct op *o, struct err *err) MUST_USE;
/* DROP, where it is not NULL, frees what the backend gave each. */
void persistents_free(struct persistents *s, void (*drop)(struct persistent *t));

#endif
