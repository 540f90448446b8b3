/* persistent.c - a list of named tensors; a network has some hundred.
 * SPDX-License-Identifier: MIT */
#include "backend/persistent.h"

#include <stdlib.h>
#include <string.h>

struct persistent *persistents_find(const struct persistents *s, const char *name, struct err *err)
{
    for (struct persistent *t = s->first; t; t = t->next)
        if (strcmp(t->name, name) == 0)
            return t;
    err_set(err, ERR_INPUT, "%s: no prepared list has such a tensor", name);
    return NULL;
}

int persistents_get(struct persistent **out, struct persistents *s, const struct tensor *t,
                    struct err *err)
{
    struct persistent *p = persistents_find(s, t->name, NULL);

    *out = p;
    if (p && memcmp(p->dims, t->dims, sizeof p->dims) != 0)
        return err_set(err, ERR_INPUT, "%s has another shape than before", t->name);
    if (p)
        return 0;
    p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_NOMEM, "%s", t->name);
    memcpy(p->name, t->name, sizeof p->name);
    memcpy(p->dims, t->dims, sizeof p->dims);
    p->n = tensor_elements(t);
    p->version = 1;
    if (s->place(s->be, p, err) < 0) {
        free(p);
        return -1;
    }
    p->next = s->first;
    *out = s->first = p;
    return 0;
}

int persistents_of_op(struct persistent *out[OP_MAX_IN], struct persistents *s,
                      const struct op_list *l, const struct op *o, struct err *err)
{
    for (int i = 0; i < OP_MAX_IN; i++) {
        const struct tensor *t = &l->tensors[o->in[i]];

        out[i] = NULL;
        if (tensor_is_persistent(t) && persistents_get(&out[i], s, t, err) < 0)
            return -1;
    }
    return 0;
}

void persistents_free(struct persistents *s, void (*drop)(struct persistent *t))
{
    for (struct persistent *t = s->first, *next; t; t = next) {
        next = t->next;
        if (drop)
            drop(t);
        free(t);
    }
    s->first = NULL;
}
