/* test_emulated_kernels.c - what the tables of tests/ops do not hold: the controls of the emulation, the
 * loss scale, layouts of filters, folding.
 *
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/emulate.h"
#include "backend/elem.h"
#include "base/rng.h"
#include "planted.h"

static float *normals(size_t n, uint32_t which)
{
    struct rng r = rng_begin(1, RNG_TEST, 0, which);
    float *x = malloc(n * sizeof *x);

    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(&r);
    return x;
}

/* --- controls -------------------------------------------------------------------------------- */

static void planted_mistakes_are_found(void **state)
{
    static const struct {
        int (*run)(float *x);
        const char *fault;
    } cases[] = {
        {planted_divergent_barrier, "a barrier that not all threads reach in (reverse)"},
        {planted_unexpected_barrier, "a barrier where none was said to be"},
        {planted_unwritten, "shared memory read that was not written"},
        {planted_two_writers, "no barrier between two writes to shared memory"},
    };
    float x[64] = {1};

    (void)state;
    assert_int_equal(planted_none(x), 0);
    assert_true(x[0] == 0 && x[63] == 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cases[i].run(x), 719);
        assert_non_null(strstr(emulate_fault(), cases[i].fault));
        emulate_clear();
        assert_int_equal(emulate_status(), 0);
    }
}

/* In a child, as the sanitizer ends the process. */
static void bounds_and_alignment_are_watched(void **state)
{
    int (*const runs[])(float *) = {planted_none, planted_beyond, planted_misaligned};

    (void)state;
#ifndef __SANITIZE_ADDRESS__
    print_message("only with sanitizers\n");
    skip();
#endif
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            float *x = calloc(64, sizeof *x);

            if (!freopen("/dev/null", "w", stderr))
                _exit(2);
            runs[i](x);
            free(x);
            _exit(0);
        }
        assert_true(child > 0 && waitpid(child, &status, 0) == child);
        assert_int_equal(i == 0, WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

enum { ROWS = 700, CHANNELS = 64 };

struct norms { /* what the kernels with barriers compute */
    double stat[2 * CHANNELS], bstat[2 * CHANNELS], clip;
};

static struct norms run_norms(void)
{
    float *y = normals(ROWS * CHANNELS, 0), *g = normals(ROWS * CHANNELS, 1);
    double *workspace = malloc(cuda_bn_workspace(ROWS, CHANNELS));
    struct cuda_chunk chunks[2] = {{.n = CUDA_CHUNK}, {.at = {CUDA_CHUNK}, .n = 1000}};
    float dgamma[CHANNELS], dbeta[CHANNELS];
    struct norms out;

    assert_non_null(workspace);
    cuda_bn_stats(NULL, out.stat, y, DTYPE_F32, ROWS, CHANNELS, NULL, NULL, workspace);
    cuda_bn_bwd_stats(NULL, g, out.bstat, dgamma, dbeta, g, NULL, NULL, y, DTYPE_F32, ROWS,
                      CHANNELS, out.stat, NULL, NULL, workspace);
    cuda_grad_norm(NULL, &out.clip, y, chunks, 2, 1, workspace);
    free(workspace);
    free(y);
    free(g);
    return out;
}

/* Each barrier left out in turn: all are needed, and their lack is seen. */
static void every_barrier_is_missed(void **state)
{
    int met;

    (void)state;
    run_norms();
    assert_null(emulate_fault());
    met = emulate_barriers; /* of the norm, which has most */
    assert_int_equal(met, 8);
    for (emulate_plants.barrier = 0; emulate_plants.barrier < met; emulate_plants.barrier++) {
        run_norms();
        assert_non_null(emulate_fault());
        emulate_clear();
    }
    run_norms(); /* beyond the last */
    assert_null(emulate_fault());
    emulate_plants.barrier = -1;
}

static void a_block_with_a_wrong_index_is_noticed(void **state)
{
    struct norms want = run_norms(), again = run_norms(), wrong;

    (void)state;
    assert_memory_equal(&want, &again, sizeof want);
    emulate_plants.block = 0;
    wrong = run_norms();
    emulate_plants.block = -1;
    assert_memory_not_equal(want.stat, wrong.stat, sizeof want.stat);
    assert_memory_not_equal(want.bstat, wrong.bstat, sizeof want.bstat);
    assert_true(want.clip != wrong.clip);
}

/* So many rows that a thread adds more than the least number of them, and more blocks than the last
 * kernel's threads. Means of 3: what cancels in the variance stays small. */
static void long_columns_are_added(void **state)
{
    enum { LONG = 40001, FEW = 128 }; /* a thread has 4 channels and 10 rows */
    float *y = normals(LONG * FEW, 0);
    void *workspace = malloc(cuda_bn_workspace(LONG, FEW));
    double stat[2 * FEW];

    (void)state;
    assert_non_null(workspace);
    for (size_t i = 0; i < LONG * FEW; i++)
        y[i] += 3;
    assert_int_equal(cuda_bn_stats(NULL, stat, y, DTYPE_F32, LONG, FEW, NULL, NULL, workspace), 0);
    for (size_t c = 0; c < FEW; c++) {
        double mean = 0, var = 0;

        for (size_t i = 0; i < LONG; i++)
            mean += (double)y[i * FEW + c] / LONG;
        for (size_t i = 0; i < LONG; i++)
            var += ((double)y[i * FEW + c] - mean) * ((double)y[i * FEW + c] - mean) / LONG;
        assert_true(fabs(stat[c] - mean) < 1e-7 * mean);
        assert_true(fabs(stat[FEW + c] * sqrt(var + BN_EPS) - 1) < 1e-6);
    }
    free(workspace);
    free(y);
}

static void near(const double *got, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(got[i] - want[i]) <= 1e-5 * (fabs(want[i]) + 1));
}

/* As devices share a batch: each adds up its rows, then all the sums. */
static void rows_in_shares_are_added(void **state)
{
    static const size_t first[] = {0, 100, 450, ROWS};
    enum { SHARES = 3, N = 2 * CHANNELS };
    const struct norms want = run_norms();
    float *y = normals(ROWS * CHANNELS, 0), *g = normals(ROWS * CHANNELS, 1);
    double *workspace = malloc(cuda_bn_workspace(ROWS, CHANNELS));
    double sums[SHARES * N], stat[N], bstat[N];
    float dgamma[CHANNELS], dbeta[CHANNELS];

    (void)state;
    assert_non_null(workspace);
    for (int i = 0; i < SHARES; i++)
        cuda_bn_sums(NULL, sums + i * N, y + first[i] * CHANNELS, DTYPE_F32,
                     first[i + 1] - first[i], CHANNELS, workspace);
    cuda_bn_finish(NULL, stat, NULL, NULL, sums, SHARES, ROWS, CHANNELS);
    near(stat, want.stat, N);
    for (int i = 0; i < SHARES; i++)
        cuda_bn_bwd_sums(NULL, sums + i * N, NULL, g + first[i] * CHANNELS, NULL, NULL,
                         y + first[i] * CHANNELS, DTYPE_F32, first[i + 1] - first[i], CHANNELS,
                         stat, NULL, NULL, workspace);
    cuda_bn_bwd_finish(NULL, bstat, dgamma, dbeta, sums, SHARES, CHANNELS, stat, true);
    near(bstat, want.bstat, N);
    for (int c = 0; c < CHANNELS; c++)
        assert_true(dbeta[c] == (float)bstat[c] && dgamma[c] == (float)bstat[CHANNELS + c]);
    cuda_bn_bwd_finish(NULL, bstat, dgamma, dbeta, sums, SHARES, CHANNELS, stat, false);
    for (int c = 0; c < CHANNELS; c++)
        assert_true(dbeta[c] == 0 && dgamma[c] == 0);
    cuda_bn_bwd_finish(NULL, bstat, dgamma, dbeta, sums, SHARES - 1, CHANNELS, stat, true);
    assert_true(fabs(bstat[0] - want.bstat[0]) > 1e-3); /* one share is left out */
    assert_null(emulate_fault());
    free(workspace);
    free(y);
    free(g);
}

/* --- loss scale ------------------------------------------------------------------------------ */

/* The steps of tests/oracle/grad_scaler.py, torch 2.15: which overflow, and the scale from then on. */
static void the_scale_follows_torch(void **state)
{
    static const int overflows[] = {0, 1, 5, 6, 2500, 2501, 4000};
    static const struct {
        int step;
        float scale;
    } torch[] = {{0, 32768},   {1, 16384},   {5, 8192},    {6, 4096},    {2006, 8192},
                 {2500, 4096}, {2501, 2048}, {4000, 1024}, {6000, 2048}, {8000, 4096}};
    struct cuda_scale s;
    struct cuda_step step = {.parts = 1};
    float gradient[5], scale = CUDA_SCALE_START;
    size_t next = 0, at = 0;

    (void)state;
    assert_int_equal(cuda_scale_begin(NULL, &s, CUDA_SCALE_START), 0);
    for (int i = 0; i < 9000; i++) {
        bool over = next < 7 && overflows[next] == i;

        next += over;
        step.adam_step = (uint32_t)i + 1;
        for (int k = 0; k < 5; k++)
            gradient[k] = over && k == i % 5 ? (i % 2 ? INFINITY : NAN) : 3 * s.scale;
        cuda_unscale(NULL, gradient, 5, &s);
        assert_int_equal(s.found, over);
        assert_true(over || (gradient[0] == 3 && gradient[4] == 3));
        cuda_scale_update(NULL, &s, &step);
        if (at < 10 && torch[at].step == i)
            scale = torch[at++].scale;
        assert_true(s.scale == scale && s.inverse == 1 / scale && s.found == 0);
    }
    assert_int_equal(s.good, 999);
    assert_int_equal(s.overflows, 7);
    assert_int_equal(s.skipped, 7);
    step.adam_step = 1; /* the optimiser is reset */
    cuda_scale_update(NULL, &s, &step);
    assert_int_equal(s.skipped, 0);
    cuda_scale_begin(NULL, &s, 0x1p127f); /* never infinite */
    s.good = 1999;
    cuda_scale_update(NULL, &s, &step);
    assert_true(s.scale == 0x1p127f && s.good == 0);
}

/* One step of Adam on 6 values, in the chunks of 5 and 1. */
static void adam_step(float *p, float *m, float *v, const float *g, uint32_t adam_step,
                      const struct cuda_scale *scale)
{
    const struct cuda_chunk chunks[2] = {{{0, 0, 0, 0}, 5, 3}, {{5, 5, 5, 5}, 1, 3}};
    const struct cuda_step step = {.adam_step = adam_step,
                                   .parts = 1,
                                   .lr = {0, 1e-2},
                                   .mom = 0.9,
                                   .sqr_mom = 0.99,
                                   .eps = 1e-5,
                                   .wd = 0.1};
    struct adam_k constants[2 * CUDA_GROUPS];

    assert_int_equal(cuda_adam_begin(NULL, constants, &step, scale), 0);
    assert_int_equal(cuda_adam(NULL, g, p, m, v, chunks, 2, constants, NULL, scale), 0);
}

/* A step that overflows changes nothing, and does not count for the bias. */
static void skipped_steps_do_not_count(void **state)
{
    static const float g[6] = {1, -2, 3, 0.5f, 0.25f, -1};
    float a[3][6] = {{1, 2, 3, 4, 5, 6}}, b[3][6] = {{1, 2, 3, 4, 5, 6}};
    struct cuda_scale s;
    struct cuda_step step = {.parts = 1};

    (void)state;
    cuda_scale_begin(NULL, &s, CUDA_SCALE_START);
    for (uint32_t t = 1; t <= 6; t++) {
        step.adam_step = t;
        s.found = t == 1 || t == 4;
        adam_step(a[0], a[1], a[2], g, t, &s);
        cuda_scale_update(NULL, &s, &step);
    }
    for (uint32_t t = 1; t <= 4; t++)
        adam_step(b[0], b[1], b[2], g, t, NULL);
    assert_memory_equal(a, b, sizeof a);
}

/* --- filters --------------------------------------------------------------------------------- */

enum { K = 5, C = 3, RS = 9, C_PAD = 4, FILTERS = K * C * RS, PADDED = K * RS * C_PAD };

/* Chunks of N elements in all, of any size. */
static int chunks_of(struct cuda_filter_chunk *chunks, uint32_t n, uint32_t size)
{
    int count = 0;

    for (uint32_t i = 0; i < n; i += size)
        chunks[count++] =
            (struct cuda_filter_chunk){7, 2, C, RS, C_PAD, i, n - i < size ? n - i : size};
    return count;
}

static void filters_change_their_layout(void **state)
{
    struct cuda_filter_chunk chunks[8];
    float *weights = normals(FILTERS + 7, 0), back[FILTERS + 7], krsc[PADDED + 2];
    uint16_t half[PADDED + 2];

    (void)state;
    assert_int_equal(
        cuda_cast_weights(NULL, krsc, DTYPE_F32, weights, chunks, chunks_of(chunks, PADDED, 31)),
        0);
    assert_int_equal(
        cuda_cast_weights(NULL, half, DTYPE_F16, weights, chunks, chunks_of(chunks, PADDED, 100)),
        0);
    for (int k = 0; k < K; k++)
        for (int rs = 0; rs < RS; rs++)
            for (int c = 0; c < C_PAD; c++) {
                int at = 2 + (k * RS + rs) * C_PAD + c;
                float want = c < C ? weights[7 + (k * C + c) * RS + rs] : 0;

                assert_true(krsc[at] == want && half[at] == f16_from_f32(want));
            }
    assert_int_equal(
        cuda_cast_grads(NULL, back, krsc, DTYPE_F32, chunks, chunks_of(chunks, FILTERS, 40)), 0);
    assert_memory_equal(back + 7, weights + 7, FILTERS * sizeof(float));
    assert_int_equal(
        cuda_cast_grads(NULL, back, half, DTYPE_F16, chunks, chunks_of(chunks, FILTERS, 40)), 0);
    for (int i = 7; i < FILTERS + 7; i++)
        assert_true(back[i] == f32_from_f16(f16_from_f32(weights[i])));
    free(weights);
}

static void folding_is_batch_norm(void **state)
{
    float *weights = normals(FILTERS, 0), *mean = normals(K, 1), *var = normals(K, 2);
    float *gamma = normals(K, 3), *beta = normals(K, 4), krsc[PADDED], bias[K];

    (void)state;
    for (int k = 0; k < K; k++)
        var[k] = var[k] * var[k];
    assert_int_equal(cuda_bn_fold(NULL, krsc, DTYPE_F32, bias, DTYPE_F32, weights, mean, var, gamma,
                                  beta, K, C, RS, C_PAD),
                     0);
    for (int k = 0; k < K; k++) {
        double scale = (double)gamma[k] / sqrt((double)var[k] + BN_EPS);

        for (int i = 0; i < RS * C_PAD; i++) {
            int c = i % C_PAD;
            double want = c < C ? (double)weights[(k * C + c) * RS + i / C_PAD] * scale : 0;

            assert_true(fabs((double)krsc[k * RS * C_PAD + i] - want) <= 0x1p-22 * fabs(want));
        }
        assert_true(fabs((double)bias[k] - ((double)beta[k] - (double)mean[k] * scale)) <=
                    0x1p-22 * (fabs((double)beta[k]) + fabs((double)mean[k] * scale)));
    }
    free(weights);
    free(mean);
    free(var);
    free(gamma);
    free(beta);
}

static void bad_sizes_are_refused(void **state)
{
    float x[4] = {0};

    (void)state;
    assert_int_equal(cuda_relu(NULL, x, x, DTYPE_F32, 0), 1);
    assert_int_equal(cuda_relu(NULL, x, x, DTYPE_U8, 4), 1);
    assert_int_equal(cuda_augment(NULL, x, DTYPE_F32, 1, 1, 5, NULL, NULL, NULL), 1);
    assert_int_equal(cuda_max_pool(NULL, x, NULL, x, DTYPE_F32, 65536, 256, 256, 64), 1);
    assert_int_equal(cuda_grad_norm(NULL, NULL, x, NULL, 0, 1, NULL), 1);
    assert_null(emulate_fault());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planted_mistakes_are_found),
        cmocka_unit_test(bounds_and_alignment_are_watched),
        cmocka_unit_test(every_barrier_is_missed),
        cmocka_unit_test(a_block_with_a_wrong_index_is_noticed),
        cmocka_unit_test(long_columns_are_added),
        cmocka_unit_test(rows_in_shares_are_added),
        cmocka_unit_test(the_scale_follows_torch),
        cmocka_unit_test(skipped_steps_do_not_count),
        cmocka_unit_test(filters_change_their_layout),
        cmocka_unit_test(folding_is_batch_norm),
        cmocka_unit_test(bad_sizes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
