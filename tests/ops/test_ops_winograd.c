/* test_ops_winograd.c - exec.winograd auto against direct convolution, on every 3x3 layer of the five
 * ResNets at 224 px: outputs and both gradients. Allowed is 3e-5 of the root mean square.
 *
 * Direct convolution takes one picture at a time: over eight at once its weight gradient, 25,088 terms
 * in one fp32 sum, is itself off by 2.9e-5 (Winograd's by 3.7e-6). SPDX-License-Identifier: MIT */
#include "compare.h"

enum { PICTURES = 8, LAYERS = 10 };
static const double allowed = 3e-5;

static const struct {
    int c, k, side, stride;
} layers[LAYERS] = {
    {64, 64, 56, 1},   {128, 128, 28, 1}, {256, 256, 14, 1}, {512, 512, 7, 1},  {64, 128, 56, 2},
    {128, 256, 28, 2}, {256, 512, 14, 2}, {128, 128, 56, 2}, {256, 256, 28, 2}, {512, 512, 14, 2},
};

/* Largest difference over the root mean square of WANT. */
static double distance(const float *got, const float *want, size_t n)
{
    double square = 0, worst = 0;

    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)got[i] - (double)want[i]);

        worst = isnan(off) ? INFINITY : fmax(worst, off);
        square += (double)want[i] * (double)want[i];
    }
    return worst / sqrt(square / (double)n);
}

static struct ops_results run_layer(struct ops_setup *s, enum op_kind kind, int layer, int micro,
                                    int winograd)
{
    const struct ops_case c = {.kind = kind,
                               .n = PICTURES,
                               .micro = micro,
                               .c = layers[layer].c,
                               .h = layers[layer].side,
                               .w = layers[layer].side,
                               .k = layers[layer].k,
                               .r = 3,
                               .stride = layers[layer].stride,
                               .pad = 1,
                               .dtype = DTYPE_F32};
    struct ops_results r;
    struct err err = {0};

    *s = ops_begin(&c, (uint64_t)layer);
    if (ops_run(&cpu_backend, &(struct exec_options){.winograd = winograd}, s, &r, &err) < 0)
        fail_msg("%s: %s", ops_case_name(&c), err.msg);
    return r;
}

/* True when auto gave other bits than direct convolution. */
static bool compare_layer(enum op_kind kind, int layer, double *worst)
{
    struct ops_setup s, singly;
    struct ops_results got = run_layer(&s, kind, layer, PICTURES, WINOGRAD_AUTO),
                       direct = run_layer(&singly, kind, layer, 1, WINOGRAD_OFF);
    const bool other = !ops_same_bits(&s, &direct, &got);
    const double off = distance(got.out[0], direct.out[0], s.n_out[0]);

    if (!(off <= allowed))
        fail_msg("%s: off by %.3g of the root mean square", ops_case_name(&s.c), off);
    *worst = fmax(*worst, off);
    got.out[0][0] = NAN;
    assert_false(distance(got.out[0], direct.out[0], s.n_out[0]) <= allowed);
    ops_results_free(&got, &s);
    ops_results_free(&direct, &singly);
    ops_end(&s);
    ops_end(&singly);
    return other;
}

static void every_layer_is_near_direct(void **state)
{
    static const enum op_kind kinds[] = {OP_CONV, OP_CONV_BWD_DATA, OP_CONV_BWD_WEIGHT};
    int others = 0;
    struct be_info info;
    struct err err = {0};
    struct be *be;

    (void)state;
    for (int k = 0; k < 3; k++) {
        double worst = 0;
        int n = 0;

        for (int i = 0; i < LAYERS; i++)
            n += compare_layer(kinds[k], i, &worst);
        print_message("%s: %d of %d layers have other bits, off by at most %.2g\n",
                      op_kind_name(kinds[k]), n, LAYERS, worst);
        others += kinds[k] == OP_CONV_BWD_WEIGHT ? 0 : n; /* its sum has another order anyway */
    }
    if (cpu_backend.open(&be, &(struct exec_options){0}, &err) < 0)
        fail_msg("%s", err.msg);
    cpu_backend.info(be, &info);
    cpu_backend.close(be);
    if (strncmp(info.isa, "AVX512", 6) == 0) /* oneDNN has it for no other */
        assert_true(others > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_is_near_direct),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
