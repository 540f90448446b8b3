/* pickle.c - the machine: a stack, marks, a memo.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 1 << 18, STACK_MAX = 1 << 20, MEMO_MAX = 1 << 20 };

int machine_refuse(const struct pickle_machine *m, const char *what)
{
    return err_set(m->err, ERR_FORMAT, "pickle, byte %zu: %s", (size_t)(m->at - m->data), what);
}

int machine_out_of_memory(const struct pickle_machine *m)
{
    return err_set(m->err, ERR_NOMEM, "pickle");
}

/* --- nodes, stack, memo ------------------------------------------------------------------------- */

/* A new node, -1 when there are too many. */
int machine_node_new(struct pickle_machine *m, enum node_kind kind)
{
    struct pickle *p = m->p;

    if (p->n_nodes == p->cap_nodes) {
        int room = p->cap_nodes ? 2 * p->cap_nodes : 1024;
        struct node *larger;

        if (room > NODES_MAX)
            return machine_refuse(m, "too many values");
        larger = realloc(p->nodes, (size_t)room * sizeof *larger);
        if (!larger)
            return machine_out_of_memory(m);
        p->nodes = larger;
        p->cap_nodes = room;
    }
    p->nodes[p->n_nodes] = (struct node){.kind = kind};
    return p->n_nodes++;
}

struct node *machine_node_at(const struct pickle_machine *m, int number)
{
    return &m->p->nodes[number];
}

int machine_push(struct pickle_machine *m, int node)
{
    if (node < 0)
        return -1;
    if (m->n_stack == m->cap_stack) {
        int room = m->cap_stack ? 2 * m->cap_stack : 256;
        int *larger;

        if (room > STACK_MAX)
            return machine_refuse(m, "stack too deep");
        larger = realloc(m->stack, (size_t)room * sizeof *larger);
        if (!larger)
            return machine_out_of_memory(m);
        m->stack = larger;
        m->cap_stack = room;
    }
    m->stack[m->n_stack++] = node;
    return 0;
}

/* The top of the stack, taken off; -1 when there is none above the last mark. */
int machine_pop(struct pickle_machine *m)
{
    int floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;

    if (m->n_stack <= floor)
        return machine_refuse(m, "nothing on the stack");
    return m->stack[--m->n_stack];
}

static int push_new(struct pickle_machine *m, enum node_kind kind, int64_t integer)
{
    int node = machine_node_new(m, kind);

    if (node >= 0)
        machine_node_at(m, node)->integer = integer;
    return machine_push(m, node);
}

int machine_add_items(struct pickle_machine *m, int container, const int *items, int n)
{
    struct node *c = machine_node_at(m, container);

    if (c->n_items + n > c->cap_items) {
        int room = c->n_items + n > 2 * c->cap_items ? c->n_items + n : 2 * c->cap_items;
        int *larger = realloc(c->items, (size_t)room * sizeof *larger);

        if (!larger)
            return machine_out_of_memory(m);
        c->items = larger;
        c->cap_items = room;
    }
    if (n > 0)
        memcpy(c->items + c->n_items, items, (size_t)n * sizeof *items);
    c->n_items += n;
    return 0;
}

/* Takes the last mark off; *first is the height of the stack there. */
static int pop_mark(struct pickle_machine *m, int *first)
{
    if (m->n_marks == 0)
        return machine_refuse(m, "no mark on the stack");
    *first = m->marks[--m->n_marks];
    return 0;
}

static int push_tuple(struct pickle_machine *m, int first)
{
    int n = m->n_stack - first, tuple = machine_node_new(m, NODE_TUPLE);

    if (tuple < 0 || machine_add_items(m, tuple, m->stack + first, n) < 0)
        return -1;
    m->n_stack = first;
    return machine_push(m, tuple);
}

static int small_tuple(struct pickle_machine *m, int n)
{
    int floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;

    if (m->n_stack - floor < n)
        return machine_refuse(m, "nothing on the stack");
    return push_tuple(m, m->n_stack - n);
}

/* The N values on top go into the container below them; an opaque one that takes such values is one. */
static int fill(struct pickle_machine *m, enum node_kind kind, int first)
{
    int floor = m->n_marks ? m->marks[m->n_marks - 1] : 0, n = m->n_stack - first;

    if (first > floor && machine_node_at(m, m->stack[first - 1])->kind == NODE_OPAQUE)
        machine_node_at(m, m->stack[first - 1])->kind = kind;
    if (first <= floor || machine_node_at(m, m->stack[first - 1])->kind != kind ||
        (kind == NODE_DICT && n % 2))
        return machine_refuse(m, "values for a container that is not there");
    if (machine_add_items(m, m->stack[first - 1], m->stack + first, n) < 0)
        return -1;
    m->n_stack = first;
    return 0;
}

static int memo_set(struct pickle_machine *m, uint32_t slot)
{
    int floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;

    if (m->n_stack <= floor)
        return machine_refuse(m, "nothing on the stack");
    if (slot >= MEMO_MAX)
        return machine_refuse(m, "memo too large");
    if ((int)slot >= m->cap_memo) {
        int room = 1024;
        int *larger;

        while (room <= (int)slot)
            room *= 2;
        larger = realloc(m->memo, (size_t)room * sizeof *larger);
        if (!larger)
            return machine_out_of_memory(m);
        memset(larger + m->cap_memo, 0, (size_t)(room - m->cap_memo) * sizeof *larger);
        m->memo = larger;
        m->cap_memo = room;
    }
    m->memo[slot] = m->stack[m->n_stack - 1] + 1;
    return 0;
}

static int memo_get(struct pickle_machine *m, uint32_t slot)
{
    if (slot >= (uint32_t)m->cap_memo || !m->memo[slot])
        return machine_refuse(m, "an empty place of the memo");
    return machine_push(m, m->memo[slot] - 1);
}

/* --- operands ----------------------------------------------------------------------------------- */

/* N bytes of the pickle, NULL when it ends before. */
static const uint8_t *take(struct pickle_machine *m, size_t n)
{
    const uint8_t *from = m->at;

    if ((size_t)(m->end - m->at) < n) {
        machine_refuse(m, "ends too early");
        return NULL;
    }
    m->at += n;
    return from;
}

/* A little-endian number of N <= 8 bytes. */
static int take_number(struct pickle_machine *m, size_t n, uint64_t *out)
{
    const uint8_t *b = take(m, n);

    if (!b)
        return -1;
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out |= (uint64_t)b[i] << 8 * i;
    return 0;
}

static int push_text(struct pickle_machine *m, enum node_kind kind, size_t size_bytes)
{
    const uint8_t *text;
    uint64_t size;
    int node;

    if (take_number(m, size_bytes, &size) < 0)
        return -1;
    if (size > (uint64_t)(m->end - m->at))
        return machine_refuse(m, "a string longer than the pickle");
    text = take(m, (size_t)size);
    node = machine_node_new(m, kind);
    if (node < 0)
        return -1;
    machine_node_at(m, node)->text = (const char *)text;
    machine_node_at(m, node)->size = (size_t)size;
    return machine_push(m, node);
}

/* LONG1: two's complement of any length. */
static int push_long(struct pickle_machine *m)
{
    uint64_t size, value = 0;
    const uint8_t *b;

    if (m->at<m->end && * m->at> 8)
        return push_text(m, NODE_BIG, 1);
    if (take_number(m, 1, &size) < 0 || !(b = take(m, (size_t)size)))
        return -1;
    for (size_t i = 0; i < 8; i++)
        value |= (uint64_t)(i < size ? b[i] : size > 0 && b[size - 1] & 0x80 ? 0xff : 0) << 8 * i;
    return push_new(m, NODE_INT, (int64_t)value);
}

/* A line of text without its end, as protocol 0 has them. */
static const char *take_line(struct pickle_machine *m, size_t *size)
{
    const uint8_t *from = m->at, *stop = memchr(m->at, '\n', (size_t)(m->end - m->at));

    if (!stop) {
        machine_refuse(m, "ends too early");
        return NULL;
    }
    *size = (size_t)(stop - from);
    m->at = stop + 1;
    return (const char *)from;
}

/* Values of no use here: their bytes are passed over. */
static int skip_text(struct pickle_machine *m, size_t size_bytes)
{
    if (push_text(m, NODE_BIG, size_bytes) < 0)
        return -1;
    machine_node_at(m, m->stack[m->n_stack - 1])->kind = NODE_OPAQUE;
    machine_node_at(m, m->stack[m->n_stack - 1])->text = NULL;
    return 0;
}

/* INT, LONG, FLOAT of protocol 0: 00 and 01 are bool. */
static int push_line(struct pickle_machine *m, uint8_t op)
{
    char digits[32];
    size_t size;
    const char *line = take_line(m, &size);

    if (!line)
        return -1;
    if (op == 'F' || size >= sizeof digits)
        return push_new(m, NODE_FLOAT, 0);
    memcpy(digits, line, size);
    digits[size] = 0;
    if (op == 'I' && size == 2 && digits[0] == '0')
        return push_new(m, NODE_BOOL, digits[1] == '1');
    return push_new(m, NODE_INT, strtoll(digits, NULL, 10));
}

/* --- opcodes ------------------------------------------------------------------------------------ */

/* What state dicts do not need, but what lies beside them in a file may. */
static int rare_op(struct pickle_machine *m, uint8_t op)
{
    int first = 0, class_of;
    size_t size;

    switch (op) {
    case '0': /* POP */
        return machine_pop(m) < 0 ? -1 : 0;
    case '1': /* POP_MARK */
        if (pop_mark(m, &first) < 0)
            return -1;
        m->n_stack = first;
        return 0;
    case '2': /* DUP */
        first = machine_pop(m);
        return machine_push(m, first) < 0 ? -1 : machine_push(m, first);
    case 'I':
    case 'L':
    case 'F':
        return push_line(m, op);
    case 'S': /* STRING, UNICODE: quoted or escaped, so no names of tensors */
    case 'V':
        return take_line(m, &size) ? torch_opaque(m, NULL, 0) : -1;
    case 'B': /* BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8, BINUNICODE8 */
        return skip_text(m, 4);
    case 'C':
        return skip_text(m, 1);
    case 0x8e:
    case 0x96:
        return skip_text(m, 8);
    case 0x8d:
        return push_text(m, NODE_STRING, 8);
    case 0x8b: /* LONG4 */
        return push_text(m, NODE_BIG, 4);
    case 0x8f: /* EMPTY_SET */
        return torch_opaque(m, NULL, 0);
    case 0x81: /* NEWOBJ: class, arguments */
        return torch_object(m);
    case 0x92: /* NEWOBJ_EX: class, arguments, keywords */
        return machine_pop(m) < 0 ? -1 : torch_object(m);
    case 'o': /* OBJ: mark, class, arguments */
        if (pop_mark(m, &first) < 0)
            return -1;
        if (first >= m->n_stack)
            return machine_refuse(m, "an object without a class");
        class_of = m->stack[first];
        m->n_stack = first;
        return torch_opaque(m, machine_node_at(m, class_of)->text,
                            machine_node_at(m, class_of)->size);
    default:
        return err_set(m->err, ERR_FORMAT,
                       "pickle, byte %zu: opcode 0x%02x has no place in weights",
                       (size_t)(m->at - m->data) - 1, op);
    }
}

/* Tuples, lists, dictionaries and sets. */
static int containers(struct pickle_machine *m, uint8_t op)
{
    int first = 0;

    switch (op) {
    case '(': /* MARK */
        if (m->n_marks == PICKLE_MARKS)
            return machine_refuse(m, "nested too deep");
        m->marks[m->n_marks++] = m->n_stack;
        return 0;
    case ')': /* EMPTY_TUPLE */
        return push_new(m, NODE_TUPLE, 0);
    case ']':
        return push_new(m, NODE_LIST, 0);
    case '}':
        return push_new(m, NODE_DICT, 0);
    case 't': /* TUPLE */
        return pop_mark(m, &first) < 0 ? -1 : push_tuple(m, first);
    case 0x85: /* TUPLE1 to TUPLE3 */
    case 0x86:
    case 0x87:
        return small_tuple(m, op - 0x84);
    case 'a': /* APPEND */
        return fill(m, NODE_LIST, m->n_stack - 1);
    case 'd': /* DICT, LIST */
    case 'l': {
        int node =
            pop_mark(m, &first) < 0 ? -1 : machine_node_new(m, op == 'd' ? NODE_DICT : NODE_LIST);

        if (node < 0 || (op == 'd' && (m->n_stack - first) % 2) ||
            machine_add_items(m, node, m->stack + first, m->n_stack - first) < 0)
            return node < 0 ? -1 : machine_refuse(m, "a dictionary of an odd number of values");
        m->n_stack = first;
        return machine_push(m, node);
    }
    case 0x91: /* FROZENSET */
        if (pop_mark(m, &first) < 0)
            return -1;
        m->n_stack = first;
        return torch_opaque(m, NULL, 0);
    case 0x90: /* ADDITEMS, to a set */
        if (pop_mark(m, &first) < 0)
            return -1;
        m->n_stack = first;
        return 0;
    case 's': /* SETITEM */
        return fill(m, NODE_DICT, m->n_stack - 2);
    case 'e': /* APPENDS */
        return pop_mark(m, &first) < 0 ? -1 : fill(m, NODE_LIST, first);
    case 'u': /* SETITEMS */
        return pop_mark(m, &first) < 0 ? -1 : fill(m, NODE_DICT, first);
    default:
        return rare_op(m, op);
    }
}

static int one_op(struct pickle_machine *m, uint8_t op)
{
    uint64_t n;

    switch (op) {
    case 0x80: /* PROTO */
        if (take_number(m, 1, &n) < 0)
            return -1;
        return n <= 5 ? 0 : machine_refuse(m, "a protocol above 5");
    case 0x95: /* FRAME */
        return take(m, 8) ? 0 : -1;
    case 'N':
        return push_new(m, NODE_NONE, 0);
    case 0x88:
    case 0x89:
        return push_new(m, NODE_BOOL, op == 0x88);
    case 'J': /* BININT, signed */
        return take_number(m, 4, &n) < 0 ? -1 : push_new(m, NODE_INT, (int32_t)(uint32_t)n);
    case 'K':
        return take_number(m, 1, &n) < 0 ? -1 : push_new(m, NODE_INT, (int64_t)n);
    case 'M':
        return take_number(m, 2, &n) < 0 ? -1 : push_new(m, NODE_INT, (int64_t)n);
    case 0x8a:
        return push_long(m);
    case 'G': /* BINFLOAT */
        return take(m, 8) ? push_new(m, NODE_FLOAT, 0) : -1;
    case 'X': /* BINUNICODE, BINSTRING; SHORT_BINUNICODE, SHORT_BINSTRING */
    case 'T':
        return push_text(m, NODE_STRING, 4);
    case 0x8c:
    case 'U':
        return push_text(m, NODE_STRING, 1);
    case 'q': /* BINPUT, LONG_BINPUT, MEMOIZE */
        return take_number(m, 1, &n) < 0 ? -1 : memo_set(m, (uint32_t)n);
    case 'r':
        return take_number(m, 4, &n) < 0 ? -1 : memo_set(m, (uint32_t)n);
    case 0x94:
        return memo_set(m, (uint32_t)m->n_memoized++);
    case 'h': /* BINGET, LONG_BINGET */
        return take_number(m, 1, &n) < 0 ? -1 : memo_get(m, (uint32_t)n);
    case 'j':
        return take_number(m, 4, &n) < 0 ? -1 : memo_get(m, (uint32_t)n);
    case 'c':
        return torch_global_lines(m);
    case 0x93:
        return torch_global_named(m);
    case 'R':
        return torch_reduce(m);
    case 'b':
        return torch_build(m);
    case 'Q':
        return torch_storage(m);
    default:
        return containers(m, op);
    }
}

static int run(struct pickle_machine *m)
{
    while (m->at < m->end) {
        uint8_t op = *m->at++;

        if (op == '.') {
            m->p->root = machine_pop(m);
            return m->p->root < 0 ? -1 : 0;
        }
        if (one_op(m, op) < 0)
            return -1;
    }
    return machine_refuse(m, "ends too early");
}

int pickle_load(struct pickle **out, const uint8_t *data, size_t size, size_t *used,
                struct err *err)
{
    struct pickle_machine *m = calloc(1, sizeof *m);
    int rc = -1;

    *out = NULL;
    if (!m)
        return err_set(err, ERR_NOMEM, "pickle");
    m->err = err;
    m->data = m->at = data;
    m->end = data + (size < PICKLE_MAX ? size : PICKLE_MAX);
    m->p = calloc(1, sizeof *m->p);
    if (!m->p)
        machine_out_of_memory(m);
    else
        rc = run(m);
    if (rc == 0) {
        *used = (size_t)(m->at - data);
        *out = m->p;
    } else {
        pickle_free(m->p);
    }
    free(m->stack);
    free(m->memo);
    free(m);
    return rc;
}

void pickle_free(struct pickle *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_nodes; i++)
        free(p->nodes[i].items);
    free(p->nodes);
    free(p->storages);
    free(p);
}

bool pickle_is_string(const struct pickle *p, int node, const char *text)
{
    const struct node *n = &p->nodes[node];

    return n->kind == NODE_STRING && n->size == strlen(text) && memcmp(n->text, text, n->size) == 0;
}

int pickle_get(const struct pickle *p, int dict, const char *key)
{
    const struct node *d = &p->nodes[dict];

    for (int i = 0; d->kind == NODE_DICT && i < d->n_items; i += 2)
        if (pickle_is_string(p, d->items[i], key))
            return d->items[i + 1];
    return -1;
}

int pickle_state(const struct pickle *p, int node)
{
    const struct node *n = &p->nodes[node];

    return n->kind == NODE_OPAQUE ? (int)n->integer - 1 : -1;
}
