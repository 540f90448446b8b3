/* test_pretrained.c - names, files and hashes of published weights.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/pretrained.h"

static void names_state_hashes(void **state)
{
    static const char *const cases[][2] = {
        {"resnet50-0676ba61.pth", "0676ba61"},
        {"a-b-0123456789abcdef.safetensors", "0123456789abcdef"},
        {"https://host/models/resnet50-0676ba61.pth?x=1", "0676ba61"},
        {"resnet50.pth", ""},
        {"resnet50-v2.pth", ""},
        {"resnet50-0676ba6.pth", ""},  /* too short */
        {"resnet50-0676BA61.pth", ""}, /* not as torchvision writes them */
        {"resnet50-0676ba61x.pth", ""},
        {"resnet50-0676ba61", ""},
        {"", ""},
    };
    char out[SHA256_HEX], text[128];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sha256_stated(out, cases[i][0]);
        assert_string_equal(out, cases[i][1]);
    }
    snprintf(text, sizeof text, "w-%064d.pth", 0); /* a whole SHA-256 */
    sha256_stated(out, text);
    assert_int_equal(strlen(out), 64);
    snprintf(text, sizeof text, "w-%065d.pth", 0);
    sha256_stated(out, text);
    assert_string_equal(out, "");
}

/* resnet50-v2 holds resnet50; the file's name begins with the architecture and states eight digits
 * that lead back to the row. */
static void rows_are_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_pretrained; i++) {
        const struct pretrained *w = &pretrained[i];
        char hash[SHA256_HEX], rest[128];
        size_t arch = strlen(arch_name((int)w->arch));

        assert_int_equal(strncmp(w->name, arch_name((int)w->arch), arch), 0);
        assert_true(w->name[arch] == '\0' || strcmp(w->name + arch, "-v2") == 0);
        assert_int_equal(strncmp(w->file, arch_name((int)w->arch), arch), 0);
        sha256_stated(hash, w->file);
        assert_int_equal(strlen(hash), 8);
        snprintf(rest, sizeof rest, "%s%056d", hash, 1);
        assert_ptr_equal(pretrained_by_hash(rest), w);
        assert_ptr_equal(pretrained_find(w->name), w);
    }
    assert_null(pretrained_by_hash("00000000"));
}

/* Every architecture but those for small pictures has the first weights, those with bottlenecks the second. */
static void first_and_second_weights(void **state)
{
    char name[32];

    (void)state;
    assert_null(pretrained_find(""));
    for (int arch = 0; arch < ARCHS; arch++) {
        if (resnet_of(arch)->stem_side == 3)
            assert_null(pretrained_find(arch_name(arch)));
        else
            assert_int_equal(pretrained_find(arch_name(arch))->arch, arch);
        snprintf(name, sizeof name, "%s-v2", arch_name(arch));
        if (resnet_of(arch)->bottleneck)
            assert_int_equal(pretrained_find(name)->arch, arch);
        else
            assert_null(pretrained_find(name));
    }
    assert_string_equal(pretrained_near("resnt50"), "resnet50");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_state_hashes),
        cmocka_unit_test(rows_are_consistent),
        cmocka_unit_test(first_and_second_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
