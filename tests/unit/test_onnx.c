/* test_onnx.c - ONNX models: the structure of each architecture, folded values, values in another file, bad weights, a
 * full disk.
 *
 * What a model computes is checked with onnxruntime by tests/oracle/onnx_probabilities.py.
 * SPDX-License-Identifier: MIT */
#include "nn/onnx.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "base/protobuf.h"

enum { CLASSES = 3, SIZE = 32, MOST = 1024 };

static char folder[64], file[PATH_LEN];

/* --- a reader of protobuf's wire format, of its own ----------------------------------------------- */

struct field {
    unsigned number;
    uint64_t value; /* of an integer; length of bytes */
    const uint8_t *bytes;
};

static uint64_t take_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;

    for (int shift = 0;; shift += 7) {
        assert_true(*at < end && shift < 64);
        value |= (uint64_t)(**at & 0x7f) << shift;
        if (!(*(*at)++ & 0x80))
            return value;
    }
}

static bool take_field(struct field *f, const uint8_t **at, const uint8_t *end)
{
    uint64_t key;

    if (*at == end)
        return false;
    key = take_varint(at, end);
    *f = (struct field){.number = (unsigned)(key >> 3)};
    switch (key & 7) {
    case 0:
        f->value = take_varint(at, end);
        return true;
    case 2:
        f->value = take_varint(at, end);
        break;
    case 1:
    case 5:
        f->value = (key & 7) == 1 ? 8 : 4;
        break;
    default:
        fail_msg("wire type %u", (unsigned)(key & 7));
    }
    f->bytes = *at;
    assert_true(f->value <= (uint64_t)(end - *at));
    *at += f->value;
    return true;
}

static bool is_text(const struct field *f, const char *text)
{
    return f->value == strlen(text) && memcmp(f->bytes, text, strlen(text)) == 0;
}

/* --- a model, taken apart ------------------------------------------------------------------------- */

struct parts {
    uint64_t ir, opset;
    int nodes, convs, relus, adds, norms, initials, metadata;
    int unknown;         /* inputs of nodes that are no weights, no input and no earlier output */
    int grouped, groups; /* convolutions with several groups; the groups of all */
    uint64_t floats;
    int outside; /* initials in a file beside; PLACES: where there */
    struct {
        struct field location;
        uint64_t offset, bytes;
    } places[MOST];
    struct field names[2 * MOST]; /* that a node may read */
    int n_names;
    struct field inputs[4 * MOST]; /* with how many names there were before: number */
    int n_inputs;
    struct field values[MOST]; /* of initials, in the order of their names */
    struct field value_names[MOST];
};

static void take_attribute(struct parts *p, const struct field *attribute)
{
    const uint8_t *at = attribute->bytes, *end = at + attribute->value;
    struct field f, name = {0};
    int value = 0;

    while (take_field(&f, &at, end))
        if (f.number == 1)
            name = f;
        else if (f.number == 3)
            value = (int)f.value;
    if (!is_text(&name, "group"))
        return;
    p->groups += value;
    p->grouped += value > 1;
}

static void take_node(struct parts *p, const struct field *node)
{
    const uint8_t *at = node->bytes, *end = at + node->value;
    struct field f, output = {0};

    while (take_field(&f, &at, end)) {
        if (f.number == 1) {
            p->inputs[p->n_inputs] = f;
            p->inputs[p->n_inputs++].number = (unsigned)p->n_names;
        } else if (f.number == 2)
            output = f;
        else if (f.number == 5)
            take_attribute(p, &f);
        else if (f.number == 4) {
            p->convs += is_text(&f, "Conv");
            p->relus += is_text(&f, "Relu");
            p->adds += is_text(&f, "Add");
            p->norms += is_text(&f, "BatchNormalization");
        }
    }
    p->names[p->n_names++] = output;
    p->nodes++;
}

static uint64_t number_of(const struct field *text)
{
    char digits[24] = "";

    assert_true(text->value < sizeof digits);
    memcpy(digits, text->bytes, text->value);
    return strtoull(digits, NULL, 10);
}

/* One of the pairs that say where an initial's values lie. */
static void take_place(struct parts *p, const struct field *pair)
{
    const uint8_t *at = pair->bytes, *end = at + pair->value;
    struct field f, key = {0}, value = {0};

    while (take_field(&f, &at, end))
        *(f.number == 1 ? &key : &value) = f;
    if (is_text(&key, "location"))
        p->places[p->initials].location = value;
    else if (is_text(&key, "offset"))
        p->places[p->initials].offset = number_of(&value);
    else if (is_text(&key, "length"))
        p->places[p->initials].bytes = number_of(&value);
    else
        fail_msg("an unknown key of external data");
}

static void take_initial(struct parts *p, const struct field *tensor)
{
    bool outside = false;
    const uint8_t *at = tensor->bytes, *end = at + tensor->value;
    uint64_t n = 1;
    struct field f, raw = {0};

    while (take_field(&f, &at, end)) {
        if (f.number == 1)
            n *= f.value;
        else if (f.number == 2)
            assert_int_equal(f.value, 1);
        else if (f.number == 8)
            p->value_names[p->initials] = f;
        else if (f.number == 9)
            raw = f;
        else if (f.number == 13)
            take_place(p, &f);
        else if (f.number == 14)
            outside = f.value == 1;
    }
    assert_int_equal(outside ? p->places[p->initials].bytes : raw.value, 4 * n);
    assert_int_equal(outside, raw.value == 0);
    p->outside += outside;
    p->values[p->initials++] = raw;
    p->floats += n;
}

static void take_graph(struct parts *p, const struct field *graph)
{
    const uint8_t *at = graph->bytes, *end = at + graph->value;
    struct field f;

    p->names[p->n_names++] = (struct field){.value = 5, .bytes = (const uint8_t *)"image"};
    while (take_field(&f, &at, end)) {
        if (f.number == 1)
            take_node(p, &f);
        else if (f.number == 5)
            take_initial(p, &f);
    }
}

static bool is_known(const struct parts *p, const struct field *input)
{
    bool known = false;

    for (int k = 0; k < p->initials && !known; k++)
        known = p->value_names[k].value == input->value &&
                memcmp(p->value_names[k].bytes, input->bytes, input->value) == 0;
    for (unsigned k = 0; k < input->number && !known; k++)
        known = p->names[k].value == input->value &&
                memcmp(p->names[k].bytes, input->bytes, input->value) == 0;
    return known;
}

static void take_model(struct parts *p, const char *bytes, size_t size)
{
    const uint8_t *at = (const uint8_t *)bytes, *end = at + size, *inner;
    struct field f, g;

    memset(p, 0, sizeof *p);
    while (take_field(&f, &at, end)) {
        if (f.number == 1)
            p->ir = f.value;
        else if (f.number == 7)
            take_graph(p, &f);
        else if (f.number == 14)
            p->metadata++;
        else if (f.number == 8)
            for (inner = f.bytes; take_field(&g, &inner, f.bytes + f.value);)
                p->opset = g.number == 2 ? g.value : p->opset;
    }
    for (int i = 0; i < p->n_inputs; i++)
        p->unknown += !is_known(p, &p->inputs[i]);
}

/* --- weights and models --------------------------------------------------------------------------- */

static struct network *network_of(int arch, int classes)
{
    const struct model_options o = {.arch = arch};
    struct network *n;
    struct err err = {0};

    if (network_new(&n, &o, classes, &err) < 0)
        fail_msg("%s", err.msg);
    return n;
}

/* A file with N's tensors, all but SKIPPED: value k of tensor i is 0.25 + (7 i + k) % 16 / 8. */
static struct safetensors *weights_of(const struct network *n, int skipped)
{
    struct safetensors_writer *w;
    struct safetensors *s;
    struct err err = {0};

    assert_int_equal(safetensors_create(&w, file, &err), 0);
    for (int i = 0; i < n->n_params; i++) {
        const struct param *p = &n->params[i];
        uint64_t dims[4];

        for (int d = 0; d < p->n_dims; d++)
            dims[d] = (uint64_t)p->dims[d];
        if (i != skipped)
            assert_int_equal(safetensors_declare(w, p->name, ST_F32, p->n_dims, dims, &err), 0);
    }
    for (int i = 0; i < n->n_params; i++) {
        const struct param *p = &n->params[i];
        float *values = malloc(p->n * sizeof *values);

        assert_non_null(values);
        for (size_t k = 0; k < p->n; k++)
            values[k] = 0.25f + (float)((7 * (size_t)i + k) % 16) / 8;
        if (i != skipped)
            assert_int_equal(safetensors_write(w, values, p->n * sizeof *values, &err), 0);
        free(values);
    }
    if (safetensors_finish(w, &err) < 0 || safetensors_open(&s, file, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

static char *model_of(size_t *size, const struct network *n, const struct safetensors *s,
                      const char *beside)
{
    json_t *metadata = json_pack("{s:s, s:[s, s, s]}", "set", "pets", "classes", "a", "b", "c");
    char *bytes;
    FILE *out = open_memstream(&bytes, size);
    struct err err = {0};

    assert_non_null(out);
    if (onnx_write(out, n, s, beside, SIZE, metadata, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(fclose(out), 0);
    json_decref(metadata);
    return bytes;
}

static void structure(void **state)
{
    static const struct {
        int arch, convs, relus, adds, nodes, grouped;
    } rows[] = {{RESNET18, 20, 18, 8, 56, 0},
                {RESNET34, 36, 34, 16, 96, 0},
                {RESNET50, 53, 50, 16, 129, 0},
                {RESNEXT50_32X4D, 53, 50, 16, 129, 16},
                {RESNET20, 21, 20, 9, 59, 0}};
    struct parts *p = malloc(sizeof *p);

    (void)state;
    assert_non_null(p);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct network *n = network_of(rows[i].arch, CLASSES);
        struct safetensors *s = weights_of(n, -1);
        uint64_t floats = 0;
        size_t size;
        char *bytes = model_of(&size, n, s, NULL), *planted;

        take_model(p, bytes, size);
        assert_int_equal(p->ir, 8);
        assert_int_equal(p->opset, 17);
        assert_int_equal(p->metadata, 2);
        assert_int_equal(p->convs, rows[i].convs);
        assert_int_equal(p->relus, rows[i].relus);
        assert_int_equal(p->adds, rows[i].adds);
        assert_int_equal(p->nodes, rows[i].nodes);
        assert_int_equal(p->grouped, rows[i].grouped);
        assert_int_equal(p->groups, p->convs - p->grouped + 32 * p->grouped);
        assert_int_equal(p->norms, 2);
        assert_int_equal(p->initials, 2 * rows[i].convs + 2 * 4 + 2);
        assert_int_equal(p->unknown, 0);
        assert_int_equal(p->outside, 0);
        for (int k = 0; k < n->n_params; k++) /* four vectors of a body's norm become one */
            floats += strncmp(n->params[k].name, "head", 4) == 0 || n->params[k].n_dims == 4
                          ? n->params[k].n
                          : n->params[k].n / 4;
        assert_int_equal(p->floats, floats);
        planted = memmem(bytes, size, "image", 5); /* control: an input that nobody makes */
        assert_non_null(planted);
        planted[0] = 'I';
        take_model(p, bytes, size);
        assert_true(p->unknown > 0);
        free(bytes);
        safetensors_close(s);
        network_free(n);
    }
    free(p);
}

static float at(const struct network *n, const struct safetensors *s, const char *name, size_t k)
{
    const struct param *p = network_param(n, name);
    float *values, one;

    assert_non_null(p);
    values = malloc(p->n * sizeof *values);
    assert_non_null(values);
    assert_int_equal(safetensors_read_f32(s, safetensors_find(s, name), values, NULL), 0);
    one = values[k];
    free(values);
    return one;
}

static float value_in(const struct parts *p, const char *name, size_t k)
{
    float value;

    for (int i = 0; i < p->initials; i++)
        if (is_text(&p->value_names[i], name)) {
            memcpy(&value, p->values[i].bytes + 4 * k, 4);
            return value;
        }
    fail_msg("no %s", name);
    return 0;
}

static void folded(void **state)
{
    struct network *n = network_of(RESNET18, CLASSES);
    struct safetensors *s = weights_of(n, -1);
    struct parts *p = malloc(sizeof *p);
    const size_t filter = 5, k = filter * 64 * 9 + 17;
    size_t size;
    char *bytes = model_of(&size, n, s, NULL);
    double scale, bias;

    (void)state;
    assert_non_null(p);
    take_model(p, bytes, size);
    scale = at(n, s, "layer1.1.bn2.weight", filter) /
            sqrt(at(n, s, "layer1.1.bn2.running_var", filter) + 1e-5);
    bias = at(n, s, "layer1.1.bn2.bias", filter) -
           scale * at(n, s, "layer1.1.bn2.running_mean", filter);
    assert_true(fabs(value_in(p, "layer1.1.conv2.weight", k) -
                     scale * at(n, s, "layer1.1.conv2.weight", k)) < 1e-6);
    assert_true(fabs(value_in(p, "layer1.1.conv2.bias", filter) - bias) < 1e-6);
    assert_true(fabs(value_in(p, "layer1.1.conv2.bias", filter + 1) - bias) > 1e-3); /* control */
    assert_true(value_in(p, "head.3.weight", 700) == at(n, s, "head.3.weight", 700));
    free(bytes);
    free(p);
    safetensors_close(s);
    network_free(n);
}

/* Values in the file of the weights: each tensor of the network once, where that file has it. Batch norms are nodes. */
static void point_into_file(void **state)
{
    struct network *n = network_of(RESNEXT50_32X4D, CLASSES);
    struct safetensors *s = weights_of(n, -1);
    struct parts *p = malloc(sizeof *p);
    size_t size;
    char *bytes = model_of(&size, n, s, "weights.safetensors");
    char name[64];

    (void)state;
    assert_non_null(p);
    take_model(p, bytes, size);
    assert_int_equal(p->convs, 53);
    assert_int_equal(p->norms, 53 + 2);
    assert_int_equal(p->nodes, 129 + 53);
    assert_int_equal(p->unknown, 0);
    assert_int_equal(p->initials, n->n_params);
    assert_int_equal(p->outside, n->n_params);
    assert_true(size < 100000);
    for (int i = 0; i < p->initials; i++) {
        const struct st_tensor *t;

        snprintf(name, sizeof name, "%.*s", (int)p->value_names[i].value,
                 (const char *)p->value_names[i].bytes);
        t = safetensors_find(s, name);
        assert_non_null(t);
        assert_int_equal(p->places[i].offset, t->offset);
        assert_int_equal(p->places[i].bytes, t->bytes);
        assert_true(is_text(&p->places[i].location, "weights.safetensors"));
    }
    free(bytes);
    free(p);
    safetensors_close(s);
    network_free(n);
}

static void refused(const struct network *n, const struct safetensors *s, const char *beside,
                    const char *path, enum err_kind kind, const char *text)
{
    FILE *out = fopen(path, "w");
    json_t *metadata = json_object();
    struct err err = {0};
    int rc;

    assert_non_null(out);
    rc = onnx_write(out, n, s, beside, SIZE, metadata, &err);
    if (rc == 0 && fflush(out) != 0)
        rc = err_errno(&err, "cannot write");
    assert_int_equal(rc, -1);
    assert_int_equal(err.kind, kind);
    if (!strstr(err.msg, text))
        fail_msg("\"%s\" is not in: %s", text, err.msg);
    fclose(out);
    json_decref(metadata);
}

static void bad_weights(void **state)
{
    struct network *n = network_of(RESNET18, CLASSES), *more = network_of(RESNET18, CLASSES + 1);
    struct safetensors *s = weights_of(n, 1);

    (void)state;
    refused(n, s, NULL, "/dev/null", ERR_FORMAT, "tensor bn1.weight is missing");
    refused(n, s, "beside", "/dev/null", ERR_FORMAT, "tensor bn1.weight is missing");
    safetensors_close(s);
    s = weights_of(n, -1);
    refused(more, s, NULL, "/dev/null", ERR_FORMAT, "tensor head.3.weight is of another shape");
    refused(more, s, "beside", "/dev/null", ERR_FORMAT, "tensor head.3.weight is of another shape");
    refused(n, s, NULL, "/dev/full", ERR_FULL, "cannot write");
    safetensors_close(s);
    network_free(n);
    network_free(more);
}

/* Against bytes by hand, from protobuf.dev, "Encoding": 150 is 96 01, "testing" in field 2 is 12 07 .... */
static void wire(void **state)
{
    static const uint8_t expected[] = {
        0x08, 0x96, 0x01, 0x12, 0x07, 't',  'e',  's', 't', 'i', 'n', 'g', 0x1a, 0x03, 0x08, 0x96,
        0x01, 0x25, 0,    0,    0x80, 0x3f, 0x29, 0,   0,   0,   0,   0,   0,    0xf0, 0x3f};
    struct protobuf m = {0}, inner = {0};

    (void)state;
    protobuf_int(&m, 1, 150);
    protobuf_text(&m, 2, "testing");
    protobuf_int(&inner, 1, 150);
    protobuf_message(&m, 3, &inner);
    protobuf_float(&m, 4, 1);
    protobuf_double(&m, 5, 1);
    assert_false(m.failed);
    assert_int_equal(m.n, sizeof expected);
    assert_memory_equal(m.bytes, expected, sizeof expected);
    protobuf_free(&m);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_onnx.XXXXXX");
    return mkdtemp(folder) && path_format(file, NULL, "%s/w.safetensors", folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return path_remove_tree(folder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"fields have protobuf's bytes", wire, NULL, NULL, NULL},
        {"each architecture has its nodes and weights", structure, NULL, NULL, NULL},
        {"tensors point into a file beside the model", point_into_file, NULL, NULL, NULL},
        {"batch norms are folded into the convolutions", folded, NULL, NULL, NULL},
        {"weights that do not fit and a full disk are errors", bad_weights, NULL, NULL, NULL},
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
