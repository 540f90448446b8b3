/* test_metrics.c - metrics of predictions against scikit-learn, scipy and torchmetrics (tests/oracle/metrics.py), and
 * at their bounds. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/metrics.h"

static struct predictions *make(uint32_t n, int32_t classes)
{
    uint32_t x = 12345 + (uint32_t)classes;
    struct predictions *p;
    struct err err;

    assert_int_equal(predictions_new(&p, n, classes, &err), 0);
    for (uint32_t i = 0; i < n; i++) {
        float *row = p->prob + (size_t)i * (size_t)classes, sum = 0;

        p->actual[i] = (int32_t)i % classes == 5 ? 0 : (int32_t)i % classes;
        for (int32_t c = 0; c < classes; c++) {
            uint32_t v;

            x = x * 1664525 + 1013904223;
            v = x >> 16 & 1023;
            row[c] = (float)((1 + (v * v >> 6)) * (c == p->actual[i] ? 4U : 1U));
            sum += row[c];
        }
        for (int32_t c = 0; c < classes; c++) {
            row[c] /= sum;
            if (row[c] > row[p->predicted[i]])
                p->predicted[i] = c;
        }
        p->loss[i] = -logf(row[p->actual[i]]);
    }
    return p;
}

static double value_of(const struct metrics *m, const char *key)
{
    for (int i = MONITORS_ALWAYS; i < METRICS; i++)
        if (strcmp(monitor_rows[i].key, key) == 0)
            return metrics_value(m, (enum monitor)i);
    return NAN;
}

static void metrics_meet_the_libraries(void **state)
{
    FILE *file = fopen("tests/data/metrics.txt", "r");
    struct predictions *p = NULL;
    struct metrics m = {0};
    char line[256], name[64];
    int32_t classes;
    int checked = 0;
    double expected;
    struct err err;
    uint32_t n;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%u %d %63s %lf", &n, &classes, name, &expected) != 4)
            continue;
        if (!p || p->n != n || p->classes != classes) {
            predictions_free(p);
            p = make(n, classes);
            assert_int_equal(metrics_of(&m, p, &err), 0);
        }
        if (!(fabs(value_of(&m, name) - expected) <= 2e-6 * fmax(1, expected)))
            fail_msg("%u pictures of %d classes: %s is %.9g, not %.9g", n, classes, name,
                     value_of(&m, name), expected);
        checked++;
    }
    if (checked != 3 * (METRICS - MONITORS_ALWAYS)) /* of three sets of predictions */
        fail_msg("tests/data/metrics.txt has %d values, not 3 of each of %d metrics: "
                 "tests/oracle/metrics.py",
                 checked, METRICS - MONITORS_ALWAYS);
    predictions_free(p);
    fclose(file);
}

/* Where all is right and sure, everything is at its best; one class and one picture are enough. */
static void metrics_have_bounds(void **state)
{
    struct calibration_bin bins[METRICS_BINS];
    struct metrics m;
    struct err err;
    int n;

    (void)state;
    for (int32_t classes = 1; classes <= 3; classes++) {
        struct predictions *p = make(7, classes);

        for (uint32_t i = 0; i < p->n; i++) {
            float *row = p->prob + (size_t)i * (size_t)classes;

            memset(row, 0, (size_t)classes * sizeof *row);
            row[p->predicted[i] = p->actual[i]] = 1;
            p->loss[i] = 0;
        }
        assert_int_equal(metrics_of(&m, p, &err), 0);
        assert_true(m.top5 == 1 && m.balanced_accuracy == 1 && m.macro_f1 == 1 && m.log_loss == 0);
        assert_true(m.brier == 0 && m.ece == 0 && m.mcc == (classes > 1));
        assert_true(m.temperature > 0 && m.scaled_log_loss >= 0 && m.scaled_ece < 1e-6);
        assert_int_equal(metrics_bins(bins, &n, p, &err), 0);
        assert_int_equal(n, 7); /* a bin has a picture */
        predictions_free(p);
    }
}

/* What train.monitor can choose beside loss and error rate is what metrics_of() gives, bit by bit. */
static void one_metric_is_that_of_all(void **state)
{
    struct predictions *p = make(97, 7);
    struct metrics m;
    struct err err;
    double one;

    (void)state;
    assert_int_equal(metrics_of(&m, p, &err), 0);
    for (int k = 0; k < MONITORS; k++) {
        if (monitor_rows[k].always)
            continue;
        assert_int_equal(metrics_one(&one, (enum monitor)k, p, &err), 0);
        assert_true(one == value_of(&m, monitor_rows[k].key));
    }
    p->predicted[0] = (p->predicted[0] + 1) % 7; /* the control */
    assert_int_equal(metrics_one(&one, MONITOR_MCC, p, &err), 0);
    assert_true(one != m.mcc);
    predictions_free(p);
}

/* The interval of the ECE is tests/oracle/ece_interval.py's, draw by draw. */
static void the_interval_is_the_oracles(void **state)
{
    FILE *file = fopen("tests/data/ece_interval.txt", "r");
    double low, high;
    char line[128];
    int32_t classes;
    uint32_t n;
    int checked = 0, calibrated = 0;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        struct predictions *p;
        struct metrics m;
        struct err err;

        if (sscanf(line, "%u %d %lf %lf", &n, &classes, &low, &high) != 4)
            continue;
        p = make(n, classes);
        assert_int_equal(metrics_of(&m, p, &err), 0);
        if (!(fabs(m.ece_low - low) <= 1e-6 && fabs(m.ece_high - high) <= 1e-6))
            fail_msg("%u of %d: %.8f to %.8f instead of %.8f to %.8f", n, classes, m.ece_low,
                     m.ece_high, low, high);
        calibrated += low == 0;
        checked++;
        predictions_free(p);
    }
    fclose(file);
    assert_int_equal(checked, 4);
    assert_true(calibrated > 0 && calibrated < checked); /* both ways to the lower end */
}

/* 100 pictures: ten bins of seven, five of six; every picture is in one. */
static void bins_hold_every_picture(void **state)
{
    struct predictions *p = make(100, 4);
    struct calibration_bin bins[METRICS_BINS];
    uint32_t all = 0, right = 0, correct = 0;
    struct err err;
    int n;

    (void)state;
    assert_int_equal(metrics_bins(bins, &n, p, &err), 0);
    assert_int_equal(n, METRICS_BINS);
    for (int b = 0; b < n; b++) {
        assert_int_equal(bins[b].n, b < 10 ? 7 : 6);
        assert_true(b == 0 || bins[b].confidence >= bins[b - 1].confidence);
        all += bins[b].n;
        correct += bins[b].correct;
    }
    for (uint32_t i = 0; i < p->n; i++)
        right += p->actual[i] == p->predicted[i];
    assert_int_equal(all, 100);
    assert_int_equal(correct, right);
    predictions_free(p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_meet_the_libraries), cmocka_unit_test(metrics_have_bounds),
        cmocka_unit_test(one_metric_is_that_of_all),  cmocka_unit_test(the_interval_is_the_oracles),
        cmocka_unit_test(bins_hold_every_picture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
