/* cmocka.h - the little of cmocka that tests/ops uses, for a cross-compiler that has no cmocka: the first failure
 * ends the program with status 1. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_NEON_CMOCKA_H
#define PRESIZE_TESTS_NEON_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

// clang-format off
#define fail_msg(...) do { printf("%s:%d: ", __FILE__, __LINE__); printf(__VA_ARGS__); puts(""); exit(1); } while (0)
#define cmocka_unit_test(test) {#test, test}
// clang-format on
#define print_message printf
#define assert_true(c) ((c) ? (void)0 : cmocka_failed(__FILE__, __LINE__, #c))
#define assert_false(c) assert_true(!(c))
#define assert_non_null(p) assert_true((p) != NULL)
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)
#define assert_memory_not_equal(a, b, n) assert_true(memcmp(a, b, n) != 0)

#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    cmocka_run(tests, sizeof(tests) / sizeof *(tests))

static inline void cmocka_failed(const char *file, int line, const char *what)
{
    printf("%s:%d: not so: %s\n", file, line, what);
    exit(1);
}

static inline int cmocka_run(const struct CMUnitTest *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *state = NULL;

        tests[i].run(&state);
        printf("ok: %s\n", tests[i].name);
    }
    return 0;
}

#endif
