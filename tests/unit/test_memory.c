/* test_memory.c - a limit that is set is what is left.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"

enum { MIB = 1 << 20 };

/* Bytes of the process's address space, or of its data (column 5). */
static uint64_t in_use(int column)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long value = 0;

    assert_non_null(file);
    for (int i = 0; i <= column; i++)
        assert_int_equal(fscanf(file, "%llu", &value), 1);
    fclose(file);
    return value * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* qemu-user answers setrlimit() with 0, and leaves these limits as they were. */
static void set_limit(__rlimit_resource_t resource, const struct rlimit *wanted)
{
    struct rlimit got;

    assert_int_equal(setrlimit(resource, wanted), 0);
    assert_int_equal(getrlimit(resource, &got), 0);
    if (got.rlim_cur != wanted->rlim_cur) {
        print_message("no limits of memory can be set here\n");
        skip();
    }
}

static void limits_are_seen(void **state)
{
    static const struct {
        __rlimit_resource_t resource;
        int column;
        uint64_t reserved;
    } cases[] = {{RLIMIT_AS, 0, 192 * MIB}, {RLIMIT_DATA, 5, 0}};
    uint64_t before = memory_available();

    (void)state;
    assert_true(before > 64 * MIB); /* else nothing below can fail */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rlimit was, now;
        uint64_t left;

        assert_int_equal(getrlimit(cases[i].resource, &was), 0);
        now = was;
        now.rlim_cur = in_use(cases[i].column) + cases[i].reserved + 64 * MIB;
        set_limit(cases[i].resource, &now);
        left = memory_available();
        assert_int_equal(setrlimit(cases[i].resource, &was), 0);
        assert_true(left <= 64 * MIB && left > 60 * MIB);
    }
    assert_true(memory_available() > 64 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(limits_are_seen)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
