/* test_policy.c - TrivialAugment's operations against torchvision and Pillow (tests/oracle/augmentation.py), its draws.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "data/policy.h"

enum { WIDTH = 61, HEIGHT = 46, BYTES = WIDTH * HEIGHT * 3, SIDE = 224 };

/* The oracle's picture. */
static void make(uint8_t pixels[BYTES])
{
    uint32_t seed = 7;

    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++) {
                seed = seed * 1664525 + 1013904223;
                *pixels++ = (uint8_t)(20 + (3 * x + 2 * y + 40 * c + (int)(seed >> 16) % 64) % 200);
            }
}

static FILE *recorded(void)
{
    FILE *f = fopen("tests/data/augmentation.txt", "r");

    assert_non_null(f);
    return f;
}

/* Lines whose operation, SHIFT bins away, gives other pixels than Pillow; *n: all lines. */
static int values_off(int shift, int *n)
{
    FILE *f = recorded();
    char line[128], want[20], hex[SHA256_HEX];
    uint8_t pixels[BYTES];
    int off = 0, kind, bin, negative;

    for (*n = 0; fgets(line, sizeof line, f); ++*n) {
        struct policy p;
        struct err err = {0};

        if (sscanf(line, "value %d %d %d %19s", &kind, &bin, &negative, want) != 4) {
            --*n;
            continue;
        }
        make(pixels);
        p = policy_of(kind, (bin + shift) % POLICY_BINS, negative);
        assert_int_equal(policy_apply(pixels, HEIGHT, WIDTH, &p, &err), 0);
        sha256_of(pixels, BYTES, hex);
        hex[16] = 0;
        if (shift == 0 && strcmp(hex, want) != 0)
            print_message("kind %d, bin %d, negative %d: %s instead of %s\n", kind, bin, negative,
                          hex, want);
        off += strcmp(hex, want) != 0;
    }
    fclose(f);
    return off;
}

static void values_are_pillows(void **state)
{
    int n;

    (void)state;
    assert_int_equal(values_off(0, &n), 0);
    assert_int_equal(n, 1 + 4 * 62 + 2 * 31 + 2);
    assert_true(values_off(1, &n) > 200); /* control: the next bin */
}

static void places_are_torchvisions(void **state)
{
    FILE *f = recorded();
    char line[128];
    int kind, bin, negative, x, y, column, row, n = 0, control = 0;

    (void)state;
    while (fgets(line, sizeof line, f)) {
        double m[9], u, v, off[2];

        if (sscanf(line, "place %d %d %d %d %d %d %d", &kind, &bin, &negative, &x, &y, &column,
                   &row) != 7)
            continue;
        n++;
        for (int wrong = 0; wrong < 2; wrong++) { /* control: the other way */
            struct policy p = policy_of(kind, bin, negative != wrong);

            policy_matrix(m, &p, SIDE);
            u = 2 * (x + 0.5) / SIDE - 1;
            v = 2 * (y + 0.5) / SIDE - 1;
            off[0] = (m[0] * u + m[1] * v + m[2] + 1) * SIDE / 2 - (column + 0.5);
            off[1] = (m[3] * u + m[4] * v + m[5] + 1) * SIDE / 2 - (row + 0.5);
            if (wrong)
                control += fabs(off[0]) > 0.501 || fabs(off[1]) > 0.501;
            else if (!(fabs(off[0]) <= 0.501 && fabs(off[1]) <= 0.501))
                fail_msg("%s: %.3f, %.3f px off", line, off[0], off[1]);
            assert_true(m[6] == 0 && m[7] == 0 && m[8] == 1);
        }
    }
    fclose(f);
    assert_int_equal(n, 5 * 6 * 2 * 3);
    assert_true(control > n / 2);
}

static void an_operation_is_of_one_kind(void **state)
{
    static const double same[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    uint8_t pixels[BYTES], was[BYTES];
    double m[9];

    (void)state;
    make(was);
    for (int kind = 0; kind < POLICY_KINDS; kind++) {
        const struct policy p = policy_of(kind, 20, true);
        struct err err = {0};
        bool moves, changes;

        make(pixels);
        assert_int_equal(policy_apply(pixels, HEIGHT, WIDTH, &p, &err), 0);
        policy_matrix(m, &p, SIDE);
        moves = memcmp(m, same, sizeof m) != 0;
        changes = memcmp(pixels, was, BYTES) != 0;
        assert_int_equal(moves + changes, kind == POLICY_IDENTITY ? 0 : 1);
    }
}

static void small_pictures_are_safe(void **state)
{
    static const int sizes[][2] = {{1, 1}, {1, 5}, {5, 1}, {2, 2}, {2, 7}, {3, 3}};

    (void)state;
    for (int kind = 0; kind < POLICY_KINDS; kind++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const struct policy p = policy_of(kind, 30, false);
            const size_t n = 3 * (size_t)sizes[i][0] * (size_t)sizes[i][1];
            uint8_t *pixels =
                malloc(n); /* exactly that many, so that a sanitiser sees one beyond */
            struct err err = {0};

            assert_non_null(pixels);
            memset(pixels, 77, n);
            assert_int_equal(policy_apply(pixels, sizes[i][0], sizes[i][1], &p, &err), 0);
            free(pixels);
        }
}

static void draws_are_uniform(void **state)
{
    enum { N = 60000 };
    int kinds[POLICY_KINDS] = {0}, negative = 0, turned = 0, strongest = 0;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        struct policy a = policy_draw(7, 3, i), b = policy_draw(7, 3, i);

        assert_true(a.kind == b.kind && a.strength == b.strength);
        kinds[a.kind]++;
        turned += a.kind == POLICY_ROTATE && a.strength != 0;
        negative += a.kind == POLICY_ROTATE && a.strength < 0;
        strongest += a.kind == POLICY_ROTATE && fabs(a.strength) == 135;
    }
    for (int k = 0; k < POLICY_KINDS; k++) /* five standard deviations */
        assert_true(fabs(kinds[k] - N / 14.0) < 5 * sqrt(N / 14.0));
    assert_true(fabs(negative - turned / 2.0) < 5 * sqrt(turned / 4.0));
    assert_true(fabs(strongest - N / 14.0 / POLICY_BINS) < 5 * sqrt(N / 14.0 / POLICY_BINS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_pillows),          cmocka_unit_test(places_are_torchvisions),
        cmocka_unit_test(an_operation_is_of_one_kind), cmocka_unit_test(small_pictures_are_safe),
        cmocka_unit_test(draws_are_uniform),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
