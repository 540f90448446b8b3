/* torchfile_find.c - the tensors in what a pickle gave, under the keys that lead to them.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorfile/torchfile_private.h"
#include "base/text.h"

enum { TENSORS_MAX = 1 << 16, NAME_BYTES_MAX = 1000, DEPTH_MAX = 12, VISITS_MAX = 1 << 18 };

struct walk { /* through what the pickle gave */
    struct torchfile *f;
    size_t cap, visits;
    char name[NAME_BYTES_MAX + 1]; /* of the node that is looked at: its keys, joined by dots */
    struct err *err;
};

static int add_view(struct walk *w, const struct node *tensor)
{
    struct torchfile *f = w->f;
    uint64_t elements = 1;
    struct view *v;

    if (f->n == w->cap) {
        const size_t room = w->cap ? 2 * w->cap : 256;
        struct view *larger = room <= TENSORS_MAX ? realloc(f->views, room * sizeof *larger) : NULL;

        if (!larger)
            return room <= TENSORS_MAX
                       ? err_set(w->err, ERR_NOMEM, "tensors")
                       : err_set(w->err, ERR_FORMAT, "more than %d tensors", TENSORS_MAX / 2);
        f->views = larger;
        w->cap = room;
    }
    v = &f->views[f->n];
    *v = (struct view){.node = tensor};
    v->st.name = strdup(w->name);
    if (!v->st.name)
        return err_set(w->err, ERR_NOMEM, "tensors");
    f->n++;
    if (tensor->kind !=
        NODE_TENSOR) /* something else under a parameter's name: no numbers of it can be read */
        return v->st.dtype = ST_OTHER, 0;
    v->st.dtype = f->pickle->storages[tensor->integer].dtype;
    v->st.n_dims = tensor->n_dims;
    for (int i = 0; i < tensor->n_dims; i++) {
        v->st.dims[i] = tensor->dims[i];
        elements *= tensor->dims[i]; /* bounded by the storage's in pickle.c, or 0 */
        if (tensor->dims[i] == 0)
            elements = 0;
    }
    v->st.bytes = elements * torchfile_element_bytes(f, tensor);
    return 0;
}

static bool is_parameter(const char *name)
{
    static const char *const parts[] = {".weight", ".bias", ".running_mean", ".running_var"};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (text_ends_in(name, parts[i]))
            return true;
    return false;
}

static int look_at(struct walk *w, int node, int depth);

/* The items of dictionary NODE under their keys. */
static int look_into(struct walk *w, int node, int depth)
{
    const struct node *d = &w->f->pickle->nodes[node];
    const size_t length = strlen(w->name);

    for (int i = 0; i + 1 < d->n_items; i += 2) {
        const struct node *key = &w->f->pickle->nodes[d->items[i]];
        int rc;

        if (key->kind != NODE_STRING || memchr(key->text, 0, key->size))
            continue; /* a number of an optimiser's state */
        if (length + key->size + 2 > sizeof w->name)
            return err_set(w->err, ERR_FORMAT, "a tensor's name is longer than %d bytes",
                           NAME_BYTES_MAX);
        snprintf(w->name + length, sizeof w->name - length, "%s%.*s", length ? "." : "",
                 (int)key->size, key->text);
        rc = look_at(w, d->items[i + 1], depth);
        w->name[length] = 0;
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* A whole module, saved with its class: its parameters, buffers and the modules below. */
static int look_into_module(struct walk *w, int state, int depth)
{
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const int part = pickle_get(w->f->pickle, state, parts[i]);

        if (part >= 0 && look_into(w, part, depth) < 0)
            return -1;
    }
    return 0;
}

static int look_at(struct walk *w, int node, int depth)
{
    const struct node *n = &w->f->pickle->nodes[node];
    const int state = pickle_state(w->f->pickle, node);

    if (depth == 0 || ++w->visits > VISITS_MAX)
        return 0;
    if (n->kind == NODE_TENSOR || (n->kind == NODE_OPAQUE && is_parameter(w->name)))
        return add_view(w, n);
    if (n->kind == NODE_DICT)
        return look_into(w, node, depth - 1);
    return state >= 0 ? look_into_module(w, state, depth - 1) : 0;
}

/* Names of F's tensors must differ; sorts copies. */
static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;

    return strcmp(*x, *y);
}

static int check_names(const struct torchfile *f, struct err *err)
{
    const char **names = malloc((f->n + 1) * sizeof(*names));
    int rc = 0;

    if (!names)
        return err_set(err, ERR_NOMEM, "tensors");
    for (size_t i = 0; i < f->n; i++)
        names[i] = f->views[i].st.name;
    qsort((void *)names, f->n, sizeof *names, by_name);
    for (size_t i = 1; i < f->n && rc == 0; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            rc = err_set(err, ERR_FORMAT, "tensor %s is in it twice", names[i]);
    free((void *)names);
    return rc;
}

/* Why a file without tensors has none. */
static int say_none(const struct torchfile *f, struct err *err)
{
    const struct node *root = &f->pickle->nodes[f->pickle->root];

    if (root->kind == NODE_OPAQUE && root->size >= 6 && memcmp(root->text, "fastai", 6) == 0)
        return err_set(err, ERR_FORMAT,
                       "a fastai export (learn.export), not weights: take what learn.save('NAME') "
                       "writes, models/NAME.pth");
    if (root->kind == NODE_OPAQUE && root->size >= 9 && memcmp(root->text, "__torch__", 9) == 0)
        return err_set(err, ERR_FORMAT, TORCHSCRIPT);
    if (root->kind == NODE_OPAQUE && root->text)
        return err_set(err, ERR_FORMAT, "an object of %.*s that holds no tensors by name",
                       (int)(root->size < 60 ? root->size : 60), root->text);
    return err_set(err, ERR_FORMAT, "holds no tensors by name");
}

int torchfile_find(struct torchfile *f, struct err *err)
{
    const struct pickle *p = f->pickle;
    struct walk *w = calloc(1, sizeof *w);
    int rc;

    f->storages = calloc((size_t)p->n_storages + 1, sizeof(*f->storages));
    f->owned = calloc((size_t)p->n_storages + 1, sizeof(*f->owned));
    if (!w || !f->storages || !f->owned) {
        free(w);
        return err_set(err, ERR_NOMEM, "tensors");
    }
    w->f = f;
    w->err = err;
    rc = look_at(w, p->root, DEPTH_MAX);
    free(w);
    if (rc < 0)
        return -1;
    return f->n > 0 ? check_names(f, err) : say_none(f, err);
}
