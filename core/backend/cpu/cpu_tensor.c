/* cpu_tensor.c - persistent tensors with the copies that primitives read; values in and out in
 * plain layout. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"

int cpu_place(struct be *b, struct persistent *t, struct err *err)
{
    void *data = NULL;
    const int rc = heap_take(&data, &b->heap, t->n * sizeof(float), t->name, err);

    t->data = data;
    return rc;
}

int weight_copy_new(struct weight_copy **out, struct be *b, struct persistent *w, size_t bytes,
                    struct err *err)
{
    struct weight_copy **spare = &b->spares, *c;

    *out = NULL;
    while (*spare && (*spare)->bytes != bytes)
        spare = &(*spare)->next;
    c = *spare;
    if (c) {
        *spare = c->next;
        *c = (struct weight_copy){.data = c->data};
    } else {
        c = calloc(1, sizeof *c);
        if (!c)
            return err_set(err, ERR_NOMEM, "%s", w->name);
        if (heap_take(&c->data, &b->heap, bytes, w->name, err) < 0) {
            free(c);
            return -1;
        }
    }
    c->of = w;
    c->parts = 1;
    c->bytes = bytes;
    c->next = w->copies;
    w->copies = c;
    *out = c;
    return 0;
}

static void copy_fill(struct be_program *p, const struct weight_copy *c, int part, int worker)
{
    (void)worker;
    conv_format_fill(&c->format, part, c->of->data, c->data, p->be->isa);
}

int weight_copy_get(struct weight_copy **out, struct be *b, struct persistent *w,
                    const struct conv_format *format, struct err *err)
{
    struct weight_copy *c = w->copies;

    while (c && (c->reorder || !conv_format_equal(&c->format, format)))
        c = c->next;
    if (!c) {
        if (weight_copy_new(&c, b, w, conv_format_bytes(format), err) < 0)
            return -1;
        c->format = *format;
        c->parts = conv_format_strips(format);
        c->fill = copy_fill;
    }
    *out = c;
    return 0;
}

void weight_copies_sweep(struct be *b)
{
    for (struct persistent *t = b->persistents.first; t; t = t->next)
        for (struct weight_copy **at = &t->copies, *c; (c = *at);)
            if (c->users == 0) {
                *at = c->next;
                dnn_copy_free(c->reorder);
                c->reorder = NULL;
                c->next = b->spares;
                b->spares = c;
            } else {
                at = &c->next;
            }
}

static void copies_free(struct weight_copy *c)
{
    for (struct weight_copy *next; c; c = next) {
        next = c->next;
        dnn_copy_free(c->reorder);
        free(c);
    }
}

static void drop(struct persistent *t)
{
    copies_free(t->copies);
}

void cpu_drop(struct be *b)
{
    persistents_free(&b->persistents, drop);
    copies_free(b->spares);
}

/* ---- from and to outside ---- */

int cpu_put(struct be *b, const char *name, const float *src, struct err *err)
{
    struct persistent *t = persistents_find(&b->persistents, name, err);

    if (!t)
        return -1;
    machine_meeting(b->options.ranks); /* all have read what they wanted of the old values */
    if (machine_rank(b->options.ranks) == 0)
        memcpy(t->data, src, t->n * sizeof *src);
    machine_meeting(b->options.ranks);
    t->version++;
    return 0;
}

int cpu_get(struct be *b, const char *name, float *dst, struct err *err)
{
    const struct persistent *t = persistents_find(&b->persistents, name, err);

    if (!t)
        return -1;
    memcpy(dst, t->data, t->n * sizeof *dst);
    return 0;
}

/* Calls for every element of TENSOR: exactly one of GET and PUT is given, in plain NCHW order. */
static void exchange(struct be_program *p, int tensor, float *get, const float *put)
{
    const struct tensor *t = op_tensor(p, tensor);
    const size_t n = tensor_elements(t), c = (size_t)t->dims[1],
                 pixels = (size_t)t->dims[2] * (size_t)t->dims[3],
                 lanes = t->dtype == DTYPE_BITS ? LANES / 8 : LANES;
    char *data = t->role == TENSOR_ACT ? act_data(p, tensor, 0, 0) : p->data[tensor];
    const bool plain = t->role != TENSOR_ACT || pixels == 1 || (p->be->blocked && c % lanes);
    const size_t block = p->be->blocked ? lanes * pixels : lanes, step = p->be->blocked ? lanes : c;

    for (size_t i = 0; i < n; i++) {
        const size_t picture = i / (c * pixels), channel = i / pixels % c, pixel = i % pixels;
        const size_t k =
            plain ? i
                  : picture * c * pixels + channel / lanes * block + pixel * step + channel % lanes;

        if (get)
            get[i] = dtype_get(data, k, t->dtype);
        else
            dtype_put(data, k, t->dtype, put[i]);
    }
}

int cpu_read(struct be_program *p, int tensor, float *dst, struct err *err)
{
    (void)err;
    BUG_IF(tensor < 1 || tensor >= p->list->n_tensors ||
           tensor_is_persistent(op_tensor(p, tensor)));
    exchange(p, tensor, dst, NULL);
    return 0;
}

int cpu_write(struct be_program *p, int tensor, const float *src, struct err *err)
{
    (void)err;
    BUG_IF(tensor < 1 || tensor >= p->list->n_tensors ||
           tensor_is_persistent(op_tensor(p, tensor)));
    exchange(p, tensor, NULL, src);
    return 0;
}
