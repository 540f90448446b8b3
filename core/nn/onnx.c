/* onnx.c - the messages of onnx.proto (field numbers: github.com/onnx/onnx, onnx/onnx.proto) that a ResNet needs.
 *
 * The graph's nodes and the heads of its weights are built in memory. The length of the whole is then known. Where the
 * model holds the values of the weights, these are read, folded and written tensor by tensor.
 * SPDX-License-Identifier: MIT */
#include "nn/onnx.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/protobuf.h"

enum { IR_VERSION = 8 /* the one of opset 17's release, ONNX 1.12 */, OPSET = 17 };
enum { /* field numbers by message */
       MODEL_IR_VERSION = 1,
       MODEL_PRODUCER_NAME = 2,
       MODEL_PRODUCER_VERSION = 3,
       MODEL_GRAPH = 7,
       MODEL_OPSET_IMPORT = 8,
       MODEL_METADATA = 14,
       OPSET_VERSION = 2,
       ENTRY_KEY = 1,
       ENTRY_VALUE = 2,
       GRAPH_NODE = 1,
       GRAPH_NAME = 2,
       GRAPH_INITIALIZER = 5,
       GRAPH_INPUT = 11,
       GRAPH_OUTPUT = 12,
       NODE_INPUT = 1,
       NODE_OUTPUT = 2,
       NODE_NAME = 3,
       NODE_OP_TYPE = 4,
       NODE_ATTRIBUTE = 5,
       ATTRIBUTE_NAME = 1,
       ATTRIBUTE_FLOAT = 2,
       ATTRIBUTE_INT = 3,
       ATTRIBUTE_INTS = 8,
       ATTRIBUTE_TYPE = 20,
       TENSOR_DIMS = 1,
       TENSOR_DATA_TYPE = 2,
       TENSOR_NAME = 8,
       TENSOR_RAW_DATA = 9,
       TENSOR_EXTERNAL_DATA = 13,
       TENSOR_DATA_LOCATION = 14,
       VALUE_NAME = 1,
       VALUE_TYPE = 2,
       TYPE_TENSOR = 1,
       TENSOR_TYPE_ELEMENT = 1,
       TENSOR_TYPE_SHAPE = 2,
       SHAPE_DIM = 1,
       DIM_VALUE = 1,
       DIM_PARAM = 2
};
enum { ATTRIBUTE_IS_FLOAT = 1, ATTRIBUTE_IS_INT = 2, ATTRIBUTE_IS_INTS = 7, ELEMENT_FLOAT = 1 };
enum { LOCATION_EXTERNAL = 1 };
enum { NAME = 64, MOST_INPUTS = 5 };

/* A tensor of weights: PARAM's values, or what is folded from them. */
struct initial {
    const struct param *param;
    const char *norm;     /* of a convolution: the batch norm that is folded in; NULL: none */
    bool bias;            /* the bias that folding gives, one value per filter */
    struct protobuf head; /* TensorProto up to its values */
    uint64_t bytes;       /* of the values behind HEAD; 0: they lie in the file beside the model */
};

struct graph {
    const struct network *n;
    const struct safetensors *weights;
    const char *beside;    /* name of the file that the tensors point into; NULL: none */
    struct protobuf nodes; /* GraphProto's fields but the initializers */
    struct initial *initials;
    size_t n_initials, room;
    char (*norms)[NAME]; /* names that initials point to; as many as there are parameters */
    size_t n_norms;
    struct err *err;
    int rc; /* -1: ERR is set */
};

static void graph_free(struct graph *g)
{
    for (size_t i = 0; i < g->n_initials; i++)
        protobuf_free(&g->initials[i].head);
    free(g->initials);
    free(g->norms);
    protobuf_free(&g->nodes);
}

/* --- nodes: a node's output has the node's name ------------------------------------------------- */

static void put_attribute(struct protobuf *node, const char *name, struct protobuf *value, int type)
{
    protobuf_text(value, ATTRIBUTE_NAME, name);
    protobuf_int(value, ATTRIBUTE_TYPE, (uint64_t)type);
    protobuf_message(node, NODE_ATTRIBUTE, value);
}

static void put_int(struct protobuf *node, const char *name, int number)
{
    struct protobuf value = {0};

    protobuf_int(&value, ATTRIBUTE_INT, (uint64_t)number);
    put_attribute(node, name, &value, ATTRIBUTE_IS_INT);
}

static void put_ints(struct protobuf *node, const char *name, int n, int number)
{
    struct protobuf value = {0};

    for (int i = 0; i < n; i++)
        protobuf_int(&value, ATTRIBUTE_INTS, (uint64_t)number);
    put_attribute(node, name, &value, ATTRIBUTE_IS_INTS);
}

/* What a convolution and a pooling window have. */
static void put_window(struct protobuf *node, int side, int stride)
{
    put_ints(node, "kernel_shape", 2, side);
    put_ints(node, "strides", 2, stride);
    put_ints(node, "pads", 4, side / 2);
}

/* NODE, which may have attributes already, becomes NAME = OP(INPUTS), a list that ends with NULL. */
static void add_node(struct graph *g, struct protobuf *node, const char *op, const char *name,
                     const char *const *inputs)
{
    for (; *inputs; inputs++)
        protobuf_text(node, NODE_INPUT, *inputs);
    protobuf_text(node, NODE_OUTPUT, name);
    protobuf_text(node, NODE_NAME, name);
    protobuf_text(node, NODE_OP_TYPE, op);
    protobuf_message(&g->nodes, GRAPH_NODE, node);
}

static void add_plain(struct graph *g, const char *op, const char *name, const char *x)
{
    add_node(g, &(struct protobuf){0}, op, name, (const char *[]){x, NULL});
}

/* OP with an axis of 1. */
static void add_on_axis(struct graph *g, const char *op, const char *name, const char *x,
                        const char *y)
{
    struct protobuf node = {0};

    put_int(&node, "axis", 1);
    add_node(g, &node, op, name, (const char *[]){x, y, NULL});
}

/* --- weights -------------------------------------------------------------------------------------- */

static const struct param *find_param(const struct graph *g, const char *prefix, const char *part)
{
    char name[NAME];

    snprintf(name, sizeof name, "%s.%s", prefix, part);
    return network_param(g->n, name);
}

/* The parameter NAME of N in the file; NULL: ERR is set. */
static const struct st_tensor *find_tensor(const struct network *n,
                                           const struct safetensors *weights, const char *name,
                                           struct err *err)
{
    const struct param *p = network_param(n, name);
    const struct st_tensor *t = safetensors_find(weights, name);
    bool fits = p && t && t->n_dims == p->n_dims;

    for (int d = 0; fits && d < p->n_dims; d++)
        fits = t->dims[d] == (uint64_t)p->dims[d];
    if (fits)
        return t;
    err_set(err, ERR_FORMAT, "tensor %s is %s", name, t ? "of another shape" : "missing");
    return NULL;
}

static void put_entry(struct protobuf *to, unsigned field, const char *key, const char *value)
{
    struct protobuf entry = {0};

    protobuf_text(&entry, ENTRY_KEY, key);
    protobuf_text(&entry, ENTRY_VALUE, value);
    protobuf_message(to, field, &entry);
}

/* Where P's values lie in the file beside the model, into HEAD. */
static int put_place(struct protobuf *head, const struct graph *g, const struct param *p)
{
    const struct st_tensor *t = find_tensor(g->n, g->weights, p->name, g->err);
    char offset[24], bytes[24];

    if (!t)
        return -1;
    if (t->dtype != ST_F32)
        return err_set(g->err, ERR_FORMAT, "tensor %s is of another type; expected fp32", p->name);
    snprintf(offset, sizeof offset, "%" PRIu64, t->offset);
    snprintf(bytes, sizeof bytes, "%" PRIu64, t->bytes);
    put_entry(head, TENSOR_EXTERNAL_DATA, "location", g->beside);
    put_entry(head, TENSOR_EXTERNAL_DATA, "offset", offset);
    put_entry(head, TENSOR_EXTERNAL_DATA, "length", bytes);
    protobuf_int(head, TENSOR_DATA_LOCATION, LOCATION_EXTERNAL);
    return 0;
}

/* A tensor NAME of the values that P, NORM and BIAS mean (struct initial). */
static void add_initial(struct graph *g, const char *name, const struct param *p, const char *norm,
                        bool bias)
{
    const int n_dims = bias ? 1 : p->n_dims;
    size_t room = g->room ? 2 * g->room : 64;
    struct initial *i;

    if (g->n_initials == g->room) {
        i = realloc(g->initials, room * sizeof *i);
        if (!i) {
            g->rc = err_set(g->err, ERR_NOMEM, "ONNX model");
            return;
        }
        g->initials = i;
        g->room = room;
    }
    i = &g->initials[g->n_initials++];
    *i = (struct initial){.param = p, .norm = norm, .bias = bias};
    for (int d = 0; d < n_dims; d++)
        protobuf_int(&i->head, TENSOR_DIMS, (uint64_t)p->dims[d]);
    protobuf_int(&i->head, TENSOR_DATA_TYPE, ELEMENT_FLOAT);
    protobuf_text(&i->head, TENSOR_NAME, name);
    if (g->beside) {
        if (g->rc == 0)
            g->rc = put_place(&i->head, g, p);
        return;
    }
    i->bytes = 4 * (uint64_t)(bias ? (size_t)p->dims[0] : p->n);
    protobuf_head(&i->head, TENSOR_RAW_DATA, i->bytes);
}

static void add_norm(struct graph *g, const char *prefix, const char *x)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    const char *inputs[MOST_INPUTS + 1] = {x};
    struct protobuf node = {0}, epsilon = {0};

    for (int i = 0; i < 4; i++) {
        const struct param *p = find_param(g, prefix, parts[i]);

        BUG_IF(!p);
        add_initial(g, p->name, p, NULL, false);
        inputs[i + 1] = p->name;
    }
    protobuf_float(&epsilon, ATTRIBUTE_FLOAT, (float)BN_EPS);
    put_attribute(&node, "epsilon", &epsilon, ATTRIBUTE_IS_FLOAT);
    add_node(g, &node, "BatchNormalization", prefix, inputs);
}

/* Convolution R of X with its batch norm, whose result is called Y: a node with the norm folded in, or two. */
static void add_conv(struct graph *g, const struct resnet_conv *r, const char *x, char y[NAME])
{
    const struct param *p = find_param(g, r->name, "weight");
    char bias[NAME] = "", *kept = g->norms[g->n_norms++];
    struct protobuf node = {0};

    BUG_IF(!p || p->n_dims != 4);
    snprintf(kept, NAME, "%s", r->norm);
    add_initial(g, p->name, p, g->beside ? NULL : kept, false);
    if (!g->beside) {
        snprintf(bias, sizeof bias, "%s.bias", r->name);
        add_initial(g, bias, p, kept, true);
    }
    put_window(&node, r->side, r->stride);
    put_int(&node, "group", r->groups);
    add_node(g, &node, "Conv", r->name,
             (const char *[]){x, p->name, g->beside ? NULL : bias, NULL});
    if (g->beside)
        add_norm(g, kept, r->name);
    snprintf(y, NAME, "%s", g->beside ? kept : r->name);
}

static void add_linear(struct graph *g, const char *prefix, const char *x)
{
    const struct param *p = find_param(g, prefix, "weight");
    struct protobuf node = {0};

    BUG_IF(!p);
    add_initial(g, p->name, p, NULL, false);
    put_int(&node, "transB", 1);
    add_node(g, &node, "Gemm", prefix, (const char *[]){x, p->name, NULL});
}

/* --- the network --------------------------------------------------------------------------------- */

/* Block PREFIX of X, whose name becomes the block's output. */
static void add_block(struct graph *g, const char *prefix, const struct resnet_block *r,
                      char x[NAME])
{
    char relu[NAME], sum[NAME], y[NAME], down[NAME];

    snprintf(y, NAME, "%s", x);
    for (int i = 0; i < r->n_convs; i++) {
        add_conv(g, &r->convs[i], y, y);
        if (i == r->n_convs - 1)
            break;
        snprintf(relu, sizeof relu, "%s.relu%d", prefix, i + 1);
        add_plain(g, "Relu", relu, y);
        snprintf(y, NAME, "%s", relu);
    }
    if (r->has_down)
        add_conv(g, &r->down, x, down);
    snprintf(sum, NAME, "%s.add", prefix);
    add_node(g, &(struct protobuf){0}, "Add", sum,
             (const char *[]){y, r->has_down ? down : x, NULL});
    snprintf(x, NAME, "%s", prefix);
    add_plain(g, "Relu", x, sum);
}

static void add_network(struct graph *g)
{
    struct protobuf pool = {0};
    struct resnet_conv first;
    struct resnet_block r;
    char x[NAME] = "relu", y[NAME], prefix[32];
    const bool pooled = resnet_stem(&first, g->n->arch);

    add_conv(g, &first, "image", y);
    add_plain(g, "Relu", x, y);
    if (pooled) {
        snprintf(x, sizeof x, "maxpool");
        put_window(&pool, 3, 2);
        add_node(g, &pool, "MaxPool", x, (const char *[]){"relu", NULL});
    }
    for (int layer = 1; layer <= RESNET_LAYERS; layer++)
        for (int block = 0; block < resnet_of(g->n->arch)->blocks[layer - 1]; block++) {
            resnet_block(&r, g->n->arch, layer, block);
            snprintf(prefix, sizeof prefix, "layer%d.%d", layer, block);
            add_block(g, prefix, &r, x);
        }
    add_plain(g, "GlobalMaxPool", "head.max", x);
    add_plain(g, "GlobalAveragePool", "head.average", x);
    add_on_axis(g, "Concat", "head.pool", "head.max", "head.average");
    add_on_axis(g, "Flatten", "head.flat", "head.pool", NULL);
    add_norm(g, "head.0", "head.flat");
    add_linear(g, "head.1", "head.0");
    add_plain(g, "Relu", "head.relu", "head.1");
    add_norm(g, "head.2", "head.relu");
    add_linear(g, "head.3", "head.2");
    add_on_axis(g, "Softmax", "probabilities", "head.3", NULL);
}

/* A value of the graph's surface: dims[0] is the batch, whatever it says. */
static void add_value(struct graph *g, unsigned field, const char *name, int n_dims,
                      const int *dims)
{
    struct protobuf shape = {0}, tensor = {0}, type = {0}, value = {0};

    for (int i = 0; i < n_dims; i++) {
        struct protobuf dim = {0};

        if (i == 0)
            protobuf_text(&dim, DIM_PARAM, "batch");
        else
            protobuf_int(&dim, DIM_VALUE, (uint64_t)dims[i]);
        protobuf_message(&shape, SHAPE_DIM, &dim);
    }
    protobuf_int(&tensor, TENSOR_TYPE_ELEMENT, ELEMENT_FLOAT);
    protobuf_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
    protobuf_message(&type, TYPE_TENSOR, &tensor);
    protobuf_text(&value, VALUE_NAME, name);
    protobuf_message(&value, VALUE_TYPE, &type);
    protobuf_message(&g->nodes, field, &value);
}

/* --- values of the weights ------------------------------------------------------------------------ */

/* Values of the parameter NAME of N, from the file; owned by the caller. */
static float *read_param(const struct network *n, const struct safetensors *weights,
                         const char *name, struct err *err)
{
    const struct st_tensor *t = find_tensor(n, weights, name, err);
    float *values;

    if (!t)
        return NULL;
    values = malloc(network_param(n, name)->n * sizeof *values);
    if (!values)
        err_set(err, ERR_NOMEM, "the values of %s", name);
    else if (safetensors_read_f32(weights, t, values, err) < 0) {
        free(values);
        values = NULL;
    }
    return values;
}

/* With s = weight / sqrt(running_var + eps), a norm gives s * y + (bias - s * running_mean) of what a convolution gave:
 * the filters times s, and a bias. */
static int fold(float **values, const struct initial *i, const struct network *n,
                const struct safetensors *weights, struct err *err)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    const size_t filters = (size_t)i->param->dims[0], each = i->param->n / filters;
    float *norm[4] = {0}, *out = NULL;
    char name[2 * NAME];
    int rc = 0;

    for (int k = 0; k < 4 && rc == 0; k++) {
        snprintf(name, sizeof name, "%s.%s", i->norm, parts[k]);
        norm[k] = read_param(n, weights, name, err);
        rc = norm[k] ? 0 : -1;
    }
    if (rc == 0) {
        out = i->bias ? malloc(filters * sizeof *out) : read_param(n, weights, i->param->name, err);
        rc = out ? 0 : i->bias ? err_set(err, ERR_NOMEM, "%s: bias", i->param->name) : -1;
    }
    for (size_t f = 0; f < filters && rc == 0; f++) {
        const double s = norm[0][f] / sqrt(norm[3][f] + BN_EPS);

        if (i->bias)
            out[f] = (float)(norm[1][f] - s * norm[2][f]);
        for (size_t k = 0; k < each && !i->bias; k++)
            out[f * each + k] = (float)(s * out[f * each + k]);
    }
    for (int k = 0; k < 4; k++)
        free(norm[k]);
    *values = out;
    return rc;
}

static int put_bytes(FILE *file, const struct protobuf *m, struct err *err)
{
    if (m->failed)
        return err_set(err, ERR_NOMEM, "ONNX model");
    if (fwrite(m->bytes, 1, m->n, file) != m->n)
        return err_errno(err, "cannot write the ONNX model");
    return 0;
}

static int write_initial(FILE *file, const struct graph *g, const struct initial *i,
                         struct err *err)
{
    struct protobuf key = {0};
    float *values = NULL;
    int rc = 0;

    protobuf_head(&key, GRAPH_INITIALIZER, i->head.n + i->bytes);
    if (i->norm)
        rc = fold(&values, i, g->n, g->weights, err);
    else if (i->bytes > 0 && !(values = read_param(g->n, g->weights, i->param->name, err)))
        rc = -1;
    if (rc == 0 && (put_bytes(file, &key, err) < 0 || put_bytes(file, &i->head, err) < 0))
        rc = -1;
    if (rc == 0 && values &&
        fwrite(values, 1, i->bytes, file) != i->bytes) /* little-endian, as all here */
        rc = err_errno(err, "cannot write the ONNX model");
    protobuf_free(&key);
    free(values);
    return rc;
}

/* --- the model ------------------------------------------------------------------------------------ */

/* ModelProto's fields but the graph. */
static int put_model(struct protobuf *m, const json_t *metadata, struct err *err)
{
    struct protobuf opset = {0};
    json_t *value;
    const char *key;

    protobuf_int(m, MODEL_IR_VERSION, IR_VERSION);
    protobuf_text(m, MODEL_PRODUCER_NAME, "presize");
    protobuf_text(m, MODEL_PRODUCER_VERSION, PRESIZE_VERSION);
    protobuf_int(&opset, OPSET_VERSION, OPSET);
    protobuf_message(m, MODEL_OPSET_IMPORT, &opset);
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_text(value, 0);

        if (!text)
            return err_set(err, ERR_NOMEM, "ONNX metadata");
        put_entry(m, MODEL_METADATA, key, text);
        free(text);
    }
    return 0;
}

static int write_model(FILE *file, const struct graph *g, struct protobuf *model, struct err *err)
{
    uint64_t size = g->nodes.n;
    bool failed = g->nodes.failed;

    for (size_t i = 0; i < g->n_initials; i++) {
        const struct initial *of = &g->initials[i];
        struct protobuf key = {0};

        protobuf_head(&key, GRAPH_INITIALIZER, of->head.n + of->bytes);
        size += key.n + of->head.n + of->bytes;
        failed |= key.failed || of->head.failed;
        protobuf_free(&key);
    }
    if (failed)
        return err_set(err, ERR_NOMEM, "ONNX model");
    protobuf_head(model, MODEL_GRAPH, size);
    if (put_bytes(file, model, err) < 0 || put_bytes(file, &g->nodes, err) < 0)
        return -1;
    for (size_t i = 0; i < g->n_initials; i++)
        if (write_initial(file, g, &g->initials[i], err) < 0)
            return -1;
    return 0;
}

int onnx_write(FILE *file, const struct network *n, const struct safetensors *weights,
               const char *beside, int size, const json_t *metadata, struct err *err)
{
    struct graph g = {.n = n,
                      .weights = weights,
                      .beside = beside,
                      .norms = calloc((size_t)n->n_params, NAME),
                      .err = err};
    struct protobuf model = {0};
    int rc = -1;

    if (!g.norms)
        return err_set(err, ERR_NOMEM, "ONNX model");
    add_network(&g);
    protobuf_text(&g.nodes, GRAPH_NAME, arch_name(n->arch));
    add_value(&g, GRAPH_INPUT, "image", 4, (int[]){0, 3, size, size});
    add_value(&g, GRAPH_OUTPUT, "probabilities", 2, (int[]){0, n->classes});
    if (g.rc == 0 && put_model(&model, metadata, err) == 0)
        rc = write_model(file, &g, &model, err);
    protobuf_free(&model);
    graph_free(&g);
    return rc;
}
