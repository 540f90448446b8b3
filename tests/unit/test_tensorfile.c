/* test_tensorfile.c - the ResNet in a file, whoever wrote it and however its parts are named.
 *
 * The files tests/data/form_*.pth are made by tests/oracle/resnet_pth.py.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/tensorfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* torchvision's names, and the first of their numbers: the names' bytes added up, modulo 1000. */
static const struct {
    const char *name;
    float first;
} expected[] = {
    {"conv1.weight", 181},
    {"layer1.0.conv1.weight", 911},
    {"layer2.0.downsample.0.weight", 601},
    {"bn1.weight", 951},
    {"bn1.running_mean", 584},
    {"layer1.0.bn1.weight", 681},
    {"layer1.0.bn1.running_mean", 314},
    {"layer2.0.downsample.1.weight", 602},
    {"layer2.0.downsample.1.running_mean", 235},
};
enum { EXPECTED = sizeof expected / sizeof *expected };

static struct tensorfile *take(const char *form, const char *key, struct err *err)
{
    struct tensorfile *f;
    char path[128];

    snprintf(path, sizeof path, "tests/data/form_%s.pth", form);
    if (tensorfile_open(&f, path, err) < 0)
        return NULL;
    if (tensorfile_take_network(f, key, "model.weights_key", err) == 0)
        return f;
    tensorfile_close(f);
    return NULL;
}

static void check_numbers(const struct tensorfile *f, const char *form)
{
    for (int i = 0; i < EXPECTED; i++) {
        const struct st_tensor *t = tensorfile_find(f, expected[i].name);
        struct err err = {0};
        float v[147];

        if (!t)
            fail_msg("%s: no %s", form, expected[i].name);
        if (tensorfile_read_f32(f, t, v, &err) < 0)
            fail_msg("%s: %s", form, err.msg);
        if (v[0] != expected[i].first)
            fail_msg("%s: %s begins with %g", form, expected[i].name, (double)v[0]);
    }
}

static void all_forms_give_one_network(void **state)
{
    static const char *const forms[] = {
        "net",          "tutorial",  "imagenet",   "ema",         "swav",
        "lightning",    "fastai",    "fastai_opt", "fastai_body", "hugging_face",
        "whole_module", "protocol5", "double",     "counters",
    };

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct err err = {0};
        struct tensorfile *f = take(forms[i], "", &err);

        if (!f)
            fail_msg("%s", err.msg);
        check_numbers(f, forms[i]);
        tensorfile_close(f);
    }
}

static void a_key_chooses(void **state)
{
    struct err err = {0};
    struct tensorfile *f;
    float v[147];

    (void)state;
    f = take("ema", "state_dict_ema", &err);
    if (!f)
        fail_msg("%s", err.msg);
    assert_int_equal(tensorfile_read_f32(f, tensorfile_find(f, "conv1.weight"), v, &err), 0);
    assert_true(v[0] == 0); /* the average's numbers, which begin elsewhere */
    tensorfile_close(f);
    f = take("ema", "state_dict", &err);
    assert_non_null(f);
    check_numbers(f, "ema");
    tensorfile_close(f);
    f = take("imagenet", "module", &err); /* the end of its path will do */
    assert_non_null(f);
    check_numbers(f, "imagenet");
    tensorfile_close(f);
    assert_null(take("ema", "student", &err));
    assert_non_null(strstr(err.msg, "no such network in it; there are state_dict_ema, state_dict"));
}

static void what_is_no_weights_is_told(void **state)
{
    struct err err = {0};

    (void)state;
    assert_null(take("export", "", &err));
    assert_non_null(strstr(err.msg, "a fastai export"));
    assert_null(take("script", "", &err));
    assert_non_null(strstr(err.msg, "a TorchScript program"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_give_one_network),
        cmocka_unit_test(a_key_chooses),
        cmocka_unit_test(what_is_no_weights_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
