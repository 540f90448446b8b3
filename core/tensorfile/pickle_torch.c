/* pickle_torch.c - the globals the machine knows, and what they build: dictionaries, storages, tensors.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/pickle_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_SHOWN = 100 };

static const struct {
    const char *name;
    enum pickle_global global;
    enum st_dtype dtype;
} globals[] = {
    {"collections OrderedDict", GLOBAL_ORDERED_DICT, ST_OTHER},
    {"torch._utils _rebuild_tensor", GLOBAL_REBUILD_TENSOR, ST_OTHER},
    {"torch._utils _rebuild_tensor_v2", GLOBAL_REBUILD_TENSOR_V2, ST_OTHER},
    {"torch._utils _rebuild_parameter", GLOBAL_REBUILD_PARAMETER, ST_OTHER},
    {"torch FloatStorage", GLOBAL_STORAGE, ST_F32},
    {"torch HalfStorage", GLOBAL_STORAGE, ST_F16},
    {"torch BFloat16Storage", GLOBAL_STORAGE, ST_BF16},
    {"torch LongStorage", GLOBAL_STORAGE, ST_I64},
};

static int torch_global(struct pickle_machine *m, const char *module, size_t module_size,
                        const char *name, size_t name_size)
{
    char both[2 * NAME_MAX_SHOWN + 2];
    size_t n;
    int node;

    snprintf(both, sizeof both, "%.*s %.*s",
             (int)(module_size < NAME_MAX_SHOWN ? module_size : NAME_MAX_SHOWN), module,
             (int)(name_size < NAME_MAX_SHOWN ? name_size : NAME_MAX_SHOWN), name);
    for (n = 0; n < sizeof globals / sizeof globals[0]; n++)
        if (strcmp(globals[n].name, both) == 0)
            break;
    if (n == sizeof globals / sizeof globals[0]) {
        for (char *c = both; *c; c++)
            if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
                *c = '?';
        *strchr(both, ' ') = '.';
        return err_set(m->err, ERR_FORMAT,
                       "refused: the file asks for %s, which is no part of plain weights", both);
    }
    node = machine_node_new(m, NODE_GLOBAL);
    if (node < 0)
        return -1;
    machine_node_at(m, node)->global = globals[n].global;
    machine_node_at(m, node)->dtype = globals[n].dtype;
    return machine_push(m, node);
}

/* GLOBAL: two lines of text. */
int torch_global_lines(struct pickle_machine *m)
{
    const char *line[2];
    size_t size[2];

    for (int i = 0; i < 2; i++) {
        const uint8_t *stop = memchr(m->at, '\n', (size_t)(m->end - m->at));

        if (!stop)
            return machine_refuse(m, "ends too early");
        line[i] = (const char *)m->at;
        size[i] = (size_t)(stop - m->at);
        m->at = stop + 1;
    }
    return torch_global(m, line[0], size[0], line[1], size[1]);
}

int torch_global_named(struct pickle_machine *m)
{
    int name = machine_pop(m), module = name < 0 ? -1 : machine_pop(m);

    if (module < 0)
        return -1;
    if (machine_node_at(m, name)->kind != NODE_STRING ||
        machine_node_at(m, module)->kind != NODE_STRING)
        return machine_refuse(m, "the name of a global is no string");
    return torch_global(m, machine_node_at(m, module)->text, machine_node_at(m, module)->size,
                        machine_node_at(m, name)->text, machine_node_at(m, name)->size);
}

/* The numbers of tuple NODE, none negative. */
static int get_sizes(const struct pickle_machine *m, int number, uint64_t out[PICKLE_DIMS], int *n)
{
    const struct node *t = machine_node_at(m, number);

    if (t->kind != NODE_TUPLE || t->n_items > PICKLE_DIMS)
        return machine_refuse(m, "a tensor's shape is no tuple of at most 8 numbers");
    *n = t->n_items;
    for (int i = 0; i < t->n_items; i++) {
        const struct node *d = machine_node_at(m, t->items[i]);

        if (d->kind != NODE_INT || d->integer < 0)
            return machine_refuse(m, "a tensor's shape has something else than sizes in it");
        out[i] = (uint64_t)d->integer;
    }
    return 0;
}

/* Every element must lie in the storage, and there may be no more of them than it holds. */
static int check_view(const struct pickle_machine *m, const struct node *t)
{
    uint64_t n = m->p->storages[t->integer].n, elements = 1, last = t->offset;

    for (int i = 0; i < t->n_dims; i++)
        if (t->dims[i] == 0)
            return t->offset <= n ? 0 : machine_refuse(m, "a tensor reaches beyond its storage");
    for (int i = 0; i < t->n_dims; i++) {
        uint64_t reach;

        if (__builtin_mul_overflow(elements, t->dims[i], &elements) ||
            __builtin_mul_overflow(t->dims[i] - 1, t->strides[i], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return machine_refuse(m, "a tensor reaches beyond its storage");
    }
    if (last >= n || elements > n)
        return machine_refuse(m, "a tensor reaches beyond its storage");
    return 0;
}

static int build_tensor(struct pickle_machine *m, const struct node *args)
{
    struct node t = {.kind = NODE_TENSOR};
    const struct node *storage, *offset;
    int n_strides, node;

    if (args->n_items < 4)
        return machine_refuse(m, "a tensor without shape");
    storage = machine_node_at(m, args->items[0]);
    offset = machine_node_at(m, args->items[1]);
    if (storage->kind != NODE_STORAGE || offset->kind != NODE_INT || offset->integer < 0)
        return machine_refuse(m, "a tensor without storage");
    t.integer = storage->integer;
    t.offset = (uint64_t)offset->integer;
    if (get_sizes(m, args->items[2], t.dims, &t.n_dims) < 0 ||
        get_sizes(m, args->items[3], t.strides, &n_strides) < 0)
        return -1;
    if (n_strides != t.n_dims)
        return machine_refuse(m, "a tensor's shape and strides differ in length");
    if (check_view(m, &t) < 0)
        return -1;
    node = machine_node_new(m, NODE_TENSOR);
    if (node < 0)
        return -1;
    *machine_node_at(m, node) = t;
    return machine_push(m, node);
}

/* OrderedDict(), or as Python 2 wrote it: OrderedDict([[key, value], ...]). */
static int build_dict(struct pickle_machine *m, const struct node *args)
{
    int pairs = args->n_items == 1 ? args->items[0] : -1, dict;

    if (args->n_items > 1 || (pairs >= 0 && machine_node_at(m, pairs)->kind != NODE_LIST))
        return machine_refuse(m, "OrderedDict of something else than pairs");
    dict = machine_node_new(m, NODE_DICT);
    if (dict < 0)
        return -1;
    for (int i = 0; pairs >= 0 && i < machine_node_at(m, pairs)->n_items; i++) {
        const struct node *pair = machine_node_at(m, machine_node_at(m, pairs)->items[i]);

        if ((pair->kind != NODE_LIST && pair->kind != NODE_TUPLE) || pair->n_items != 2)
            return machine_refuse(m, "OrderedDict of something else than pairs");
        if (machine_add_items(m, dict, pair->items, 2) < 0)
            return -1;
    }
    return machine_push(m, dict);
}

int torch_reduce(struct pickle_machine *m)
{
    int args = machine_pop(m), callee = args < 0 ? -1 : machine_pop(m);
    struct node a, *c;

    if (callee < 0)
        return -1;
    a = *machine_node_at(m, args); /* nodes may move when one is added; its items do not */
    c = machine_node_at(m, callee);
    if (c->kind != NODE_GLOBAL || a.kind != NODE_TUPLE)
        return machine_refuse(m, "a call of something that cannot be called");
    switch (c->global) {
    case GLOBAL_ORDERED_DICT:
        return build_dict(m, &a);
    case GLOBAL_REBUILD_TENSOR:
    case GLOBAL_REBUILD_TENSOR_V2:
        return build_tensor(m, &a);
    case GLOBAL_REBUILD_PARAMETER:
        if (a.n_items < 1 || machine_node_at(m, a.items[0])->kind != NODE_TENSOR)
            return machine_refuse(m, "a parameter that is no tensor");
        return machine_push(m, a.items[0]);
    case GLOBAL_STORAGE:
        break;
    }
    return machine_refuse(m, "a call of a storage");
}

/* ("storage", type, key, location, elements): the storage of that key, known or new. */
int torch_storage(struct pickle_machine *m)
{
    int id = machine_pop(m), node;
    const struct node *t, *type, *key, *n;
    struct pickle *p = m->p;
    int s;

    if (id < 0)
        return -1;
    t = machine_node_at(m, id);
    if (t->kind != NODE_TUPLE || t->n_items < 5 || !pickle_is_string(p, t->items[0], "storage"))
        return machine_refuse(m, "a reference to something else than a storage");
    type = machine_node_at(m, t->items[1]);
    key = machine_node_at(m, t->items[2]);
    n = machine_node_at(m, t->items[4]);
    if (type->kind != NODE_GLOBAL || type->global != GLOBAL_STORAGE || key->kind != NODE_STRING ||
        n->kind != NODE_INT || n->integer < 0)
        return machine_refuse(m, "a storage without type, key or size");
    if (t->n_items > 5 && machine_node_at(m, t->items[5])->kind != NODE_NONE)
        return machine_refuse(m, "a storage that is part of another");
    for (s = 0; s < p->n_storages; s++)
        if (p->storages[s].key_size == key->size &&
            memcmp(p->storages[s].key, key->text, key->size) == 0)
            break;
    if (s < p->n_storages &&
        (p->storages[s].dtype != type->dtype || p->storages[s].n != (uint64_t)n->integer))
        return machine_refuse(m, "a storage with two types or sizes");
    if (s == p->n_storages) {
        if (s == p->cap_storages) {
            int room = s ? 2 * s : 64;
            struct storage *larger = realloc(p->storages, (size_t)room * sizeof *larger);

            if (!larger)
                return machine_out_of_memory(m);
            p->storages = larger;
            p->cap_storages = room;
        }
        p->storages[p->n_storages++] = (struct storage){.key = key->text,
                                                        .key_size = key->size,
                                                        .dtype = type->dtype,
                                                        .n = (uint64_t)n->integer};
    }
    node = machine_node_new(m, NODE_STORAGE);
    if (node >= 0)
        machine_node_at(m, node)->integer = s;
    return machine_push(m, node);
}

/* The state of an OrderedDict is torch's _metadata: versions of modules, not needed. */
int torch_build(struct pickle_machine *m)
{
    int state = machine_pop(m), object = state < 0 ? -1 : machine_pop(m);

    if (object < 0)
        return -1;
    if (machine_node_at(m, object)->kind != NODE_DICT)
        return machine_refuse(m, "state for something else than an OrderedDict");
    return machine_push(m, object);
}
