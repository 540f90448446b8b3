/* pickle_torch.c - the globals the machine knows, and what they build: dictionaries, storages, tensors.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/pickle_machine.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_SHOWN = 100 };

static const struct {
    const char *name;
    enum pickle_global global;
    enum st_dtype dtype;
    unsigned bytes; /* of a storage's element */
} globals[] = {
    {"collections OrderedDict", GLOBAL_ORDERED_DICT, ST_OTHER, 0},
    {"torch._utils _rebuild_tensor", GLOBAL_REBUILD_TENSOR, ST_OTHER, 0},
    {"torch._utils _rebuild_tensor_v2", GLOBAL_REBUILD_TENSOR_V2, ST_OTHER, 0},
    {"torch._utils _rebuild_parameter", GLOBAL_REBUILD_PARAMETER, ST_OTHER, 0},
    {"torch._utils _rebuild_parameter_with_state", GLOBAL_REBUILD_PARAMETER, ST_OTHER, 0},
    {"torch._tensor _rebuild_from_type_v2", GLOBAL_REBUILD_FROM_TYPE, ST_OTHER, 0},
    {"torch FloatStorage", GLOBAL_STORAGE, ST_F32, 4},
    {"torch HalfStorage", GLOBAL_STORAGE, ST_F16, 2},
    {"torch BFloat16Storage", GLOBAL_STORAGE, ST_BF16, 2},
    {"torch DoubleStorage", GLOBAL_STORAGE, ST_F64, 8},
    {"torch LongStorage", GLOBAL_STORAGE, ST_I64, 8},
    {"torch IntStorage", GLOBAL_STORAGE, ST_I32, 4},
    {"torch ShortStorage", GLOBAL_STORAGE, ST_OTHER, 2},
    {"torch CharStorage", GLOBAL_STORAGE, ST_OTHER, 1},
    {"torch ByteStorage", GLOBAL_STORAGE, ST_U8, 1},
    {"torch BoolStorage", GLOBAL_STORAGE, ST_OTHER, 1},
    {"torch ComplexFloatStorage", GLOBAL_STORAGE, ST_OTHER, 8},
    {"torch ComplexDoubleStorage", GLOBAL_STORAGE, ST_OTHER, 16},
};
enum { N_GLOBALS = sizeof globals / sizeof globals[0] };

/* What no file of weights needs, and who writes a harmful one does: nothing of it is ever run, but the file is refused
 * for it. A module alone stands for all that is below it. */
static const char *const harmful[] = {
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "pty",
    "shutil",
    "socket",
    "runpy",
    "importlib",
    "ctypes",
    "webbrowser",
    "pickle",
    "_pickle",
    "marshal",
    "asyncio",
    "multiprocessing",
    "pip",
    "platform",
    "builtins eval",
    "builtins exec",
    "builtins compile",
    "builtins open",
    "builtins __import__",
    "__builtin__ eval",
    "__builtin__ exec",
    "__builtin__ execfile",
    "__builtin__ compile",
    "__builtin__ open",
    "__builtin__ __import__",
    "__builtin__ apply",
};

static bool is_harmful(const char *both)
{
    const size_t module = strcspn(both, " ."); /* the first package */

    for (size_t i = 0; i < sizeof harmful / sizeof *harmful; i++)
        if (strcmp(harmful[i], both) == 0 ||
            (!strchr(harmful[i], ' ') && strlen(harmful[i]) == module &&
             strncmp(harmful[i], both, module) == 0))
            return true;
    return false;
}

int torch_opaque(struct pickle_machine *m, const char *name, size_t size)
{
    const int node = machine_node_new(m, NODE_OPAQUE);

    if (node < 0)
        return -1;
    machine_node_at(m, node)->text = name;
    machine_node_at(m, node)->size = name ? size : 0;
    return machine_push(m, node);
}

static int torch_global(struct pickle_machine *m, const char *module, size_t module_size,
                        const char *name, size_t name_size)
{
    char both[2 * NAME_MAX_SHOWN + 2];
    size_t n;
    int node;

    snprintf(both, sizeof both, "%.*s %.*s",
             (int)(module_size < NAME_MAX_SHOWN ? module_size : NAME_MAX_SHOWN), module,
             (int)(name_size < NAME_MAX_SHOWN ? name_size : NAME_MAX_SHOWN), name);
    for (n = 0; n < N_GLOBALS; n++)
        if (strcmp(globals[n].name, both) == 0)
            break;
    if (n == N_GLOBALS && is_harmful(both)) {
        for (char *c = both; *c; c++)
            if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
                *c = '?';
        *strchr(both, ' ') = '.';
        return err_set(m->err, ERR_FORMAT, "refused: the file asks for %s, which no weights need",
                       both);
    }
    if (n == N_GLOBALS) /* named by its module: that is what tells a fastai export */
        return torch_opaque(m, module, module_size);
    node = machine_node_new(m, NODE_GLOBAL);
    if (node < 0)
        return -1;
    machine_node_at(m, node)->global = globals[n].global;
    machine_node_at(m, node)->dtype = globals[n].dtype;
    machine_node_at(m, node)->bytes = globals[n].bytes;
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
    if (storage->kind == NODE_OPAQUE)
        return torch_opaque(m, NULL, 0);
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

/* (function, type, arguments, state) of a tensor subclass, or of a tensor with attributes: that tensor. */
static int rebuild_from_type(struct pickle_machine *m, const struct node *args)
{
    const struct node *function = args->n_items > 2 ? machine_node_at(m, args->items[0]) : NULL;
    struct node inner;

    if (!function || function->kind != NODE_GLOBAL ||
        machine_node_at(m, args->items[2])->kind != NODE_TUPLE)
        return torch_opaque(m, NULL, 0);
    inner = *machine_node_at(m, args->items[2]);
    switch (function->global) {
    case GLOBAL_REBUILD_TENSOR:
    case GLOBAL_REBUILD_TENSOR_V2:
        return build_tensor(m, &inner);
    case GLOBAL_REBUILD_PARAMETER:
        if (inner.n_items > 0 && machine_node_at(m, inner.items[0])->kind == NODE_TENSOR)
            return machine_push(m, inner.items[0]);
        break;
    default:
        break;
    }
    return torch_opaque(m, NULL, 0);
}

static int call(struct pickle_machine *m, int callee, int args)
{
    const struct node a =
        *machine_node_at(m, args); /* nodes may move when one is added; items do not */
    const struct node c = *machine_node_at(m, callee);

    if (c.kind == NODE_OPAQUE)
        return torch_opaque(m, c.text, c.size);
    if (c.kind != NODE_GLOBAL || a.kind != NODE_TUPLE)
        return machine_refuse(m, "a call of something that cannot be called");
    switch (c.global) {
    case GLOBAL_ORDERED_DICT:
        return build_dict(m, &a);
    case GLOBAL_REBUILD_TENSOR:
    case GLOBAL_REBUILD_TENSOR_V2:
        return build_tensor(m, &a);
    case GLOBAL_REBUILD_PARAMETER:
        if (a.n_items < 1 || machine_node_at(m, a.items[0])->kind != NODE_TENSOR)
            return machine_refuse(m, "a parameter that is no tensor");
        return machine_push(m, a.items[0]);
    case GLOBAL_REBUILD_FROM_TYPE:
        return rebuild_from_type(m, &a);
    case GLOBAL_STORAGE:
        break;
    }
    return machine_refuse(m, "a call of a storage");
}

int torch_reduce(struct pickle_machine *m)
{
    int args = machine_pop(m), callee = args < 0 ? -1 : machine_pop(m);

    return callee < 0 ? -1 : call(m, callee, args);
}

int torch_object(struct pickle_machine *m)
{
    int args = machine_pop(m), class_of = args < 0 ? -1 : machine_pop(m);

    if (class_of < 0)
        return -1;
    if (machine_node_at(m, class_of)->kind == NODE_GLOBAL &&
        machine_node_at(m, class_of)->global == GLOBAL_STORAGE) /* a bare type */
        return torch_opaque(m, NULL, 0);
    return call(m, class_of, args);
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
    if (type->kind == NODE_OPAQUE) /* of numbers that are read as none: float8, uint16, quantised */
        return torch_opaque(m, NULL, 0);
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
                                                        .bytes = type->bytes,
                                                        .n = (uint64_t)n->integer};
    }
    node = machine_node_new(m, NODE_STORAGE);
    if (node >= 0)
        machine_node_at(m, node)->integer = s;
    return machine_push(m, node);
}

/* The state of an OrderedDict is torch's _metadata: versions of modules, not needed. An object's is its attributes. */
int torch_build(struct pickle_machine *m)
{
    int state = machine_pop(m), object = state < 0 ? -1 : machine_pop(m);
    struct node *n;

    if (object < 0)
        return -1;
    n = machine_node_at(m, object);
    if (n->kind == NODE_OPAQUE)
        n->integer = state + 1;
    else if (n->kind != NODE_DICT && n->kind != NODE_LIST && n->kind != NODE_TENSOR)
        return machine_refuse(m, "state for something that has none");
    return machine_push(m, object);
}
