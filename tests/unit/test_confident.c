/* test_confident.c - the same labels as cleanlab's, in the same order: tests/oracle/confident.py made the values.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/confident.h"

struct values {
    char name[32];
    unsigned n;
    int classes;
    int32_t *given, *likely, *rank;
    double *prob;
};

/* The next case of FILE; false at its end. */
static bool next_case(struct values *v, FILE *file)
{
    char line[4096];

    do {
        if (!fgets(line, sizeof line, file))
            return false;
    } while (sscanf(line, "case %31s %u %d", v->name, &v->n, &v->classes) != 3);
    v->given = calloc(v->n, sizeof *v->given);
    v->likely = calloc(v->n, sizeof *v->likely);
    v->rank = calloc(v->n, sizeof *v->rank);
    v->prob = calloc(v->n * (size_t)v->classes, sizeof *v->prob);
    assert_true(v->given && v->likely && v->rank && v->prob);
    for (unsigned i = 0; i < v->n; i++) {
        assert_int_equal(fscanf(file, "%d %d %d", &v->given[i], &v->likely[i], &v->rank[i]), 3);
        for (int c = 0; c < v->classes; c++)
            assert_int_equal(fscanf(file, "%lf", &v->prob[i * (unsigned)v->classes + (unsigned)c]),
                             1);
    }
    return true;
}

static void free_case(struct values *v)
{
    free(v->given);
    free(v->likely);
    free(v->rank);
    free(v->prob);
}

static void cleanlab_agrees(void **state)
{
    FILE *file = fopen("tests/data/confident.txt", "r");
    struct err err = {0};
    struct values v;
    int cases = 0;

    (void)state;
    assert_non_null(file);
    while (next_case(&v, file)) {
        struct issue *list;
        uint32_t n_likely, due = 0;

        assert_int_equal(confident_find(&list, &n_likely, v.given, v.prob, v.n, v.classes, &err),
                         0);
        for (uint32_t k = 0; k < v.n; k++) {
            const uint32_t i = list[k].i;

            if (v.rank[i] != (int)k || list[k].likely != v.likely[i])
                fail_msg("%s: picture %u is %slikely wrong and number %u, by cleanlab %d and %d",
                         v.name, i, list[k].likely ? "" : "not ", k, v.likely[i], v.rank[i]);
            due += (uint32_t)v.likely[i];
        }
        assert_int_equal(n_likely, due);
        assert_true(due > 0 && due < v.n);
        free(list);
        free_case(&v);
        cases++;
    }
    assert_int_equal(cases, 4);
    fclose(file);
}

/* Control: with one label put right, the list is another. */
static void a_label_matters(void **state)
{
    const int32_t given[2][4] = {{0, 0, 1, 0}, {0, 0, 1, 1}};
    const double prob[] = {0.9, 0.1, 0.8, 0.2, 0.1, 0.9, 0.05, 0.95};
    struct err err = {0};

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct issue *list;
        uint32_t n_likely;

        assert_int_equal(confident_find(&list, &n_likely, given[k], prob, 4, 2, &err), 0);
        assert_int_equal(n_likely, k == 0 ? 1 : 0);
        if (k == 0) {
            assert_int_equal(list[0].i, 3);
            assert_int_equal(list[0].suggested, 1);
        }
        free(list);
    }
}

/* No picture, one class: nothing is likely wrong, nothing is read that is not there. */
static void little_is_enough(void **state)
{
    const int32_t given[] = {0, 0};
    const double prob[] = {1, 1};
    struct issue *list;
    uint32_t n_likely;
    struct err err = {0};

    (void)state;
    assert_int_equal(confident_find(&list, &n_likely, given, prob, 2, 1, &err), 0);
    assert_int_equal(n_likely, 0);
    free(list);
    assert_int_equal(confident_find(&list, &n_likely, given, prob, 0, 1, &err), 0);
    assert_int_equal(n_likely, 0);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleanlab_agrees),
        cmocka_unit_test(a_label_matters),
        cmocka_unit_test(little_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
