/* test_weights.c - initial values, files of weights and moments, the hash.
 * SPDX-License-Identifier: MIT */
#include "nn/weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "tensorfile/safetensors.h"

static char folder[64], file[PATH_LEN];

struct world { /* a resnet18 with 3 classes in an open backend */
    struct device d;
    struct network *n;
};

static struct world opened(int classes, bool training, int freeze_to)
{
    const struct model_options o = {.arch = RESNET18};
    const struct exec_options exec = {.backend = BACKEND_CPU, .threads = 1};
    const struct network_shape shape = {.batch = 2, .size = 16, .freeze_to = freeze_to};
    struct world w = {0};
    struct be_program *p;
    struct op_list *l;
    struct err err = {0};

    if (network_new(&w.n, &o, classes, &err) < 0 || device_open(&w.d, &exec, &err) < 0 ||
        (training ? network_train_list : network_infer_list)(&l, w.n, &shape, &err) < 0 ||
        w.d.kind->prepare(&p, w.d.be, l, &err) < 0)
        fail_msg("%s", err.msg);
    w.d.kind->release(p); /* its parameters stay */
    op_list_free(l);
    return w;
}

static void closed(struct world *w)
{
    device_close(&w->d);
    network_free(w->n);
}

static void init(const struct world *w, uint64_t seed, bool head_only)
{
    struct err err = {0};

    if (weights_init(&w->d, w->n, seed, head_only, &err) < 0)
        fail_msg("%s", err.msg);
}

static void hash(const struct world *w, char hex[SHA256_HEX])
{
    struct err err = {0};

    if (weights_sha256(hex, &w->d, w->n, &err) < 0)
        fail_msg("%s", err.msg);
}

static float *value(const struct world *w, const char *name, size_t *n)
{
    const struct param *p = network_param(w->n, name);
    struct err err = {0};
    float *v;

    assert_non_null(p);
    *n = p->n;
    v = malloc(p->n * sizeof *v);
    assert_non_null(v);
    if (w->d.kind->get(w->d.be, name, v, &err) < 0)
        fail_msg("%s", err.msg);
    return v;
}

static int begin(void **state)
{
    struct err err = {0};

    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_weights.XXXXXX");
    return mkdtemp(folder) ? path_format(file, &err, "%s/w.safetensors", folder) : -1;
}

static int end(void **state)
{
    struct err err = {0};

    (void)state;
    return path_remove_tree(folder, &err);
}

/* Mean 0 and standard deviation STD, within 5 standard errors; and the tail of a normal. */
static void assert_normal(const struct world *w, const char *name, double std)
{
    size_t n, beyond = 0;
    float *v = value(w, name, &n);
    double sum = 0, squares = 0, share;

    for (size_t i = 0; i < n; i++) {
        sum += v[i];
        squares += (double)v[i] * v[i];
        beyond += fabs(v[i]) > 2 * std;
    }
    assert_true(fabs(sum / (double)n) < 5 * std / sqrt((double)n));
    assert_true(fabs(sqrt(squares / (double)n) / std - 1) < 5 / sqrt(2.0 * (double)n));
    share = (double)beyond / (double)n; /* 0.0455 of a normal */
    assert_true(fabs(share - 0.0455) < 5 * sqrt(0.0455 / (double)n));
    free(v);
}

static bool near(float got, double want)
{
    return fabs(got - want) <= 1e-6 * fabs(want);
}

static void assert_all(const struct world *w, const char *name, float expected)
{
    size_t n;
    float *v = value(w, name, &n);

    for (size_t i = 0; i < n; i++)
        if (!(v[i] == expected))
            fail_msg("%s[%zu] is %g", name, i, (double)v[i]);
    free(v);
}

static void initial_values_are_torchs(void **state)
{
    struct world w = opened(37, false, 0);

    (void)state;
    init(&w, 42, false);
    assert_normal(&w, "conv1.weight", sqrt(2.0 / (64 * 49)));
    assert_normal(&w, "layer2.0.downsample.0.weight", sqrt(2.0 / 128));
    assert_normal(&w, "layer4.1.conv2.weight", sqrt(2.0 / (512 * 9)));
    assert_normal(&w, "head.1.weight", .0441942);
    assert_normal(&w, "head.3.weight", .0625);
    assert_all(&w, "bn1.weight", 1);
    assert_all(&w, "bn1.bias", 0);
    assert_all(&w, "layer4.1.bn2.weight", 1);
    assert_all(&w, "layer3.0.bn1.running_mean", 0);
    assert_all(&w, "layer3.0.bn1.running_var", 1);
    assert_all(&w, "head.0.bias", 1e-3f);
    assert_all(&w, "head.2.bias", 1e-3f);
    assert_all(&w, "head.0.weight", 1);
    closed(&w);
}

/* A tensor's number and the seed decide: values of tests/oracle/initial_values.py. */
static void initial_values_are_fixed(void **state)
{
    struct world w = opened(3, false, 0);
    size_t n;
    float *v;

    (void)state;
    init(&w, 42, false);
    v = value(&w, "conv1.weight", &n);
    assert_true(near(v[0], -0.00184811221) && near(v[1], 0.00351375248));
    assert_true(near(v[2], -0.0279475115) && near(v[9407], -0.032819055));
    free(v);
    assert_ptr_equal(network_param(w.n, "head.3.weight"), &w.n->params[109]);
    v = value(&w, "head.3.weight", &n);
    assert_true(near(v[0], -0.0854225084) && near(v[5], -0.0220295377));
    free(v);
    closed(&w);
}

static void hash_follows_the_seed(void **state)
{
    struct world w = opened(3, false, 0);
    char first[SHA256_HEX], again[SHA256_HEX], other[SHA256_HEX], head[SHA256_HEX];

    (void)state;
    init(&w, 42, false);
    hash(&w, first);
    init(&w, 43, false);
    hash(&w, other);
    init(&w, 42, true); /* the head of 42 on the body of 43 */
    hash(&w, head);
    init(&w, 42, false);
    hash(&w, again);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    assert_string_not_equal(first, head);
    assert_string_not_equal(other, head);
    closed(&w);
}

static void saved_and_loaded_again(void **state)
{
    struct world w = opened(3, false, 0);
    char saved[SHA256_HEX], loaded[SHA256_HEX], one[SHA256_HEX], two[SHA256_HEX];
    struct safetensors *s;
    const struct st_tensor *t;
    struct err err = {0};
    uint64_t batches = 0;
    int64_t tracked;

    (void)state;
    init(&w, 1, false);
    hash(&w, saved);
    if (weights_save(file, &w.d, w.n, 77, NULL, &err) < 0 ||
        sha256_file(file, one, NULL, &err) < 0 ||
        weights_save(file, &w.d, w.n, 77, NULL, &err) < 0 || sha256_file(file, two, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(one, two);
    init(&w, 2, false);
    if (weights_load(file, "", &w.d, w.n, false, &batches, &err) < 0)
        fail_msg("%s", err.msg);
    hash(&w, loaded);
    assert_string_equal(saved, loaded);
    assert_int_equal(batches, 77);
    /* what others read in the file */
    assert_int_equal(safetensors_open(&s, file, &err), 0);
    assert_string_equal(safetensors_metadata(s, "format"), "pt");
    t = safetensors_find(s, "layer4.1.bn2.num_batches_tracked");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 0);
    assert_int_equal(t->offset % 8, 0);
    assert_int_equal(safetensors_read_i64(s, t, &tracked, &err), 0);
    assert_int_equal(tracked, 77);
    t = safetensors_find(s, "conv1.weight");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 4);
    assert_int_equal(t->dims[3], 7);
    assert_int_equal(safetensors_count(s), w.n->n_params + 22); /* 20 norms of the body, 2 */
    safetensors_close(s);
    closed(&w);
}

static void a_body_fits_another_head(void **state)
{
    struct world w = opened(3, false, 0), other = opened(5, false, 0);
    char before[SHA256_HEX], after[SHA256_HEX];
    struct err err = {0};
    size_t n, m;
    float *a, *b;

    (void)state;
    init(&w, 1, false);
    init(&other, 2, false);
    if (weights_save(file, &w.d, w.n, 0, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    hash(&other, before);
    assert_true(weights_load(file, "", &other.d, other.n, false, NULL, &err) < 0);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "misshapen head.3.weight (3x512, expected 5x512)"));
    hash(&other, after);
    assert_string_equal(before, after); /* nothing was loaded */
    if (weights_load(file, "", &other.d, other.n, true, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    a = value(&w, "layer4.1.conv2.weight", &n);
    b = value(&other, "layer4.1.conv2.weight", &m);
    assert_memory_equal(a, b, n * sizeof *a);
    free(a);
    free(b);
    init(&w, 2, false);
    a = value(&w, "head.1.weight", &n);
    b = value(&other, "head.1.weight", &m);
    assert_memory_equal(a, b, n * sizeof *a); /* the head was left alone */
    free(a);
    free(b);
    closed(&w);
    closed(&other);
}

static void misfits_are_listed(void **state)
{
    static const uint64_t dims[] = {4};
    static const float zeros[4] = {0};
    struct world w = opened(3, false, 0);
    struct safetensors_writer *f;
    struct err err = {0};

    (void)state;
    if (safetensors_create(&f, file, &err) < 0 ||
        safetensors_declare(f, "bn1.weight", ST_F32, 1, dims, &err) < 0 ||
        safetensors_declare(f, "classifier.weight", ST_F32, 1, dims, &err) < 0 ||
        safetensors_write(f, zeros, sizeof zeros, &err) < 0 ||
        safetensors_write(f, zeros, sizeof zeros, &err) < 0 || safetensors_finish(f, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(weights_load(file, "", &w.d, w.n, true, NULL, &err) < 0);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "missing conv1.weight"));
    assert_non_null(strstr(err.msg, "misshapen bn1.weight (4, expected 64)"));
    assert_non_null(strstr(err.msg, "more"));
    closed(&w);
}

/* The body under names PREFIX..., as a bfloat16 file without num_batches_tracked, beside a tensor
 * of something else. */
static void save_prefixed(const struct world *w, const char *prefix)
{
    static const uint64_t dims[] = {4};
    static const uint16_t zeros[4] = {0};
    struct safetensors_writer *f;
    struct err err = {0};

    if (safetensors_create(&f, file, &err) < 0 ||
        safetensors_declare(f, "ema.decay", ST_BF16, 1, dims, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < w->n->n_params; i++) {
        const struct param *p = &w->n->params[i];
        uint64_t d[4];
        char name[96];

        for (int k = 0; k < p->n_dims; k++)
            d[k] = (uint64_t)p->dims[k];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        if (safetensors_declare(f, name, ST_BF16, p->n_dims, d, &err) < 0)
            fail_msg("%s", err.msg);
    }
    if (safetensors_write(f, zeros, sizeof zeros, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < w->n->n_params; i++) {
        size_t n;
        float *v = value(w, w->n->params[i].name, &n);
        uint16_t *upper = malloc(n * sizeof *upper);

        assert_non_null(upper);
        for (size_t k = 0; k < n; k++)
            upper[k] = (uint16_t)((const uint16_t *)v)[2 * k + 1];
        if (safetensors_write(f, upper, n * sizeof *upper, &err) < 0)
            fail_msg("%s", err.msg);
        free(upper);
        free(v);
    }
    if (safetensors_finish(f, &err) < 0)
        fail_msg("%s", err.msg);
}

static void a_prefix_is_found(void **state)
{
    struct world w = opened(3, false, 0);
    struct err err = {0};
    uint64_t batches = 9;
    size_t n;
    float *before, *after;

    (void)state;
    init(&w, 1, false);
    before = value(&w, "layer4.1.conv2.weight", &n);
    save_prefixed(&w, "model.backbone.");
    init(&w, 2, false);
    if (weights_load(file, "", &w.d, w.n, true, &batches, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(batches, 0);
    after = value(&w, "layer4.1.conv2.weight", &n);
    for (size_t i = 0; i < n; i++)
        assert_true(fabsf(after[i] - before[i]) <= fabsf(before[i]) / 128); /* cut to 8 bits */
    free(before);
    free(after);
    closed(&w);
}

static void another_architecture_is_recognised(void **state)
{
    const struct model_options o = {.arch = RESNET34};
    struct world w = opened(3, false, 0);
    struct network *other;
    struct err err = {0};

    (void)state;
    init(&w, 1, false);
    if (weights_save(file, &w.d, w.n, 0, NULL, &err) < 0 || network_new(&other, &o, 3, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(weights_load(file, "", &w.d, other, true, NULL, &err) < 0);
    assert_non_null(strstr(err.msg, "looks like resnet18, not like resnet34"));
    assert_non_null(strstr(err.msg, "model.arch=resnet18"));
    network_free(other);
    closed(&w);
}

static void moments_come_back(void **state)
{
    struct world w = opened(3, true, 2), all = opened(3, true, 0);
    struct err err = {0};
    float values[64], back[64];

    (void)state;
    for (int i = 0; i < 64; i++)
        values[i] = (float)i / 7;
    if (w.d.kind->put(w.d.be, "bn1.weight.m", values, &err) < 0 ||
        weights_save_optimiser(file, &w.d, w.n, &err) < 0 ||
        weights_clear_optimiser(&w.d, w.n, &err) < 0 ||
        w.d.kind->get(w.d.be, "bn1.weight.m", back, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < 64; i++)
        assert_true(back[i] == 0);
    if (weights_load_optimiser(file, &w.d, w.n, &err) < 0 ||
        w.d.kind->get(w.d.be, "bn1.weight.m", back, &err) < 0)
        fail_msg("%s", err.msg);
    assert_memory_equal(values, back, sizeof back);
    /* into one that trains more: what the file does not have was never trained, so 0 */
    if (all.d.kind->put(all.d.be, "layer1.0.bn1.bias.v", values, &err) < 0 ||
        weights_load_optimiser(file, &all.d, all.n, &err) < 0 ||
        all.d.kind->get(all.d.be, "bn1.weight.m", back, &err) < 0)
        fail_msg("%s", err.msg);
    assert_memory_equal(values, back, sizeof back);
    assert_int_equal(all.d.kind->get(all.d.be, "layer1.0.bn1.bias.v", back, &err), 0);
    assert_true(back[5] == 0);
    /* weights are no moments */
    if (weights_save(file, &w.d, w.n, 0, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(weights_load_optimiser(file, &w.d, w.n, &err) < 0);
    assert_int_equal(err.kind, ERR_FORMAT);
    closed(&w);
    closed(&all);
}

static float scale_there[BACKEND_SCALE_VALUES];

static int scaled_get(struct be *b, const char *name, float *dst, struct err *err)
{
    if (strcmp(name, BACKEND_LOSS_SCALE) != 0)
        return cpu_backend.get(b, name, dst, err);
    memcpy(dst, scale_there, sizeof scale_there);
    return 0;
}

static int scaled_put(struct be *b, const char *name, const float *src, struct err *err)
{
    if (strcmp(name, BACKEND_LOSS_SCALE) != 0)
        return cpu_backend.put(b, name, src, err);
    memcpy(scale_there, src, sizeof scale_there);
    return 0;
}

/* On a device that has one; a device without reads the same file. */
static void the_loss_scale_comes_back(void **state)
{
    static const float scale[BACKEND_SCALE_VALUES] = {1024, 7, 3, 5}, none[BACKEND_SCALE_VALUES];
    struct world w = opened(3, true, 2);
    struct backend backend = *w.d.kind;
    const struct device with = {.kind = &backend, .be = w.d.be};
    struct err err = {0};

    (void)state;
    backend.get = scaled_get;
    backend.put = scaled_put;
    memcpy(scale_there, scale, sizeof scale);
    assert_int_equal(weights_save_optimiser(file, &with, w.n, &err), 0);
    memcpy(scale_there, none, sizeof none);
    assert_int_equal(weights_load_optimiser(file, &w.d, w.n, &err), 0);
    assert_int_equal(weights_load_optimiser(file, &with, w.n, &err), 0);
    assert_memory_equal(scale_there, scale, sizeof scale);
    memcpy(scale_there, none, sizeof none); /* a scale of 0 is invalid */
    assert_int_equal(weights_save_optimiser(file, &with, w.n, &err), 0);
    assert_true(weights_load_optimiser(file, &with, w.n, &err) < 0);
    assert_int_equal(err.kind, ERR_FORMAT);
    closed(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_values_are_torchs),
        cmocka_unit_test(initial_values_are_fixed),
        cmocka_unit_test(hash_follows_the_seed),
        cmocka_unit_test(saved_and_loaded_again),
        cmocka_unit_test(a_body_fits_another_head),
        cmocka_unit_test(misfits_are_listed),
        cmocka_unit_test(a_prefix_is_found),
        cmocka_unit_test(another_architecture_is_recognised),
        cmocka_unit_test(moments_come_back),
        cmocka_unit_test(the_loss_scale_comes_back),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
