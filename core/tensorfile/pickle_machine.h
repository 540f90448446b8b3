/* pickle_machine.h - shared by pickle.c (opcodes) and pickle_torch.c (what they build) alone.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_PICKLE_MACHINE_H
#define PRESIZE_TENSORFILE_PICKLE_MACHINE_H

#include "tensorfile/pickle.h"

enum { PICKLE_MARKS = 1000 };

struct pickle_machine {
    struct pickle *p;
    const uint8_t *data, *at, *end;
    int *stack;
    int n_stack, cap_stack;
    int marks[PICKLE_MARKS], n_marks; /* heights of the stack */
    int *memo;                        /* node + 1; 0: not set */
    int cap_memo, n_memoized;
    struct err *err;
};

/* All return -1 with m->err set when they cannot. */
int machine_refuse(const struct pickle_machine *m, const char *what);
int machine_out_of_memory(const struct pickle_machine *m);
int machine_node_new(struct pickle_machine *m, enum node_kind kind);
/* until the next node_new */
struct node *machine_node_at(const struct pickle_machine *m, int number);
int machine_push(struct pickle_machine *m, int node); /* -1 is handed on */
int machine_pop(struct pickle_machine *m); /* the node on top, nothing below the last mark */
int machine_add_items(struct pickle_machine *m, int container, const int *items, int n);

int torch_global_lines(struct pickle_machine *m); /* GLOBAL: module and name, a line each */
int torch_global_named(struct pickle_machine *m); /* STACK_GLOBAL */
int torch_reduce(struct pickle_machine *m);       /* REDUCE */
int torch_build(struct pickle_machine *m);        /* BUILD */
int torch_storage(struct pickle_machine *m);      /* BINPERSID */
int torch_object(struct pickle_machine *m);       /* NEWOBJ: as REDUCE */
/* a new opaque node, pushed */
int torch_opaque(struct pickle_machine *m, const char *name, size_t size);

#endif
