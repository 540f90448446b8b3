/* test_hash.c - published check values of SHA-256, MD5 and CRC-32C.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/path.h"

/* FIPS 180-4's example "abc" and RFC 1321, appendix A.5. */
static const char abc_sha256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char abc_md5[] = "900150983cd24fb0d6963f7d28e17f72";

static void check_values(void **state)
{
    char sha[SHA256_HEX], md5[MD5_HEX];
    struct sha256 *s;
    struct err err = {0};

    (void)state;
    sha256_of("abc", 3, sha);
    assert_string_equal(sha, abc_sha256);
    md5_of("abc", 3, md5);
    assert_string_equal(md5, abc_md5);
    assert_int_equal(sha256_new(&s, &err), 0);
    sha256_update(s, "a", 1);
    sha256_update(s, "", 0);
    sha256_update(s, "bc", 2);
    sha256_hex(s, sha);
    sha256_free(s);
    assert_string_equal(sha, abc_sha256);
    sha256_free(NULL);
}

static void files_as_memory(void **state)
{
    enum { SIZE = 1000003 };
    char name[] = "/tmp/presize-hash-XXXXXX", want[SHA256_HEX], sha[SHA256_HEX], md5[MD5_HEX],
         first[MD5_HEX];
    unsigned char *bytes = malloc(SIZE);
    struct err err = {0};
    uint64_t size = 0;
    int fd = mkstemp(name);

    (void)state;
    assert_true(fd >= 0);
    assert_non_null(bytes);
    close(fd);
    for (int i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 37 >> 3);
    assert_int_equal(path_write(name, bytes, SIZE, &err), 0);
    sha256_of(bytes, SIZE, want);
    assert_int_equal(sha256_file(name, sha, &size, &err), 0);
    assert_string_equal(sha, want);
    assert_int_equal(size, SIZE);
    assert_int_equal(sha256_file(name, sha, NULL, &err), 0);
    assert_int_equal(md5_file(name, 1000, md5, &err), 0);
    md5_of(bytes, 1000, first);
    assert_string_equal(md5, first);
    assert_int_equal(md5_file(name, 0, md5, &err), 0);
    md5_of(bytes, SIZE, first);
    assert_string_equal(md5, first);
    unlink(name);
    assert_int_equal(sha256_file(name, sha, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.msg, name));
    free(bytes);
}

static uint32_t crc_bitwise(uint32_t crc, const unsigned char *p, size_t n)
{
    crc = ~crc;
    for (; n; n--, p++) {
        crc ^= *p;
        for (int i = 0; i < 8; i++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78U : crc >> 1;
    }
    return ~crc;
}

static void crc32c_check_value_and_pieces(void **state)
{
    unsigned char bytes[300], zeros[32] = {0};

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283U);
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aaU); /* RFC 3720, B.4 */
    assert_int_equal(crc32c(0, "", 0), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 131 + 7);
    for (size_t n = 0; n < sizeof bytes; n++)
        for (size_t from = 0; from < 9 && from <= n; from++) {
            uint32_t whole = crc_bitwise(0, bytes + from, n - from);

            assert_int_equal(crc32c(0, bytes + from, n - from), whole);
            assert_int_equal(crc32c(crc32c(0, bytes + from, (n - from) / 3),
                                    bytes + from + (n - from) / 3, n - from - (n - from) / 3),
                             whole);
        }
}

/* Long enough for the three lanes, with every kind of rest. */
static void crc32c_of_long_inputs(void **state)
{
    static unsigned char bytes[20000];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 2654435761U >> 13);
    for (size_t n = 3000; n < sizeof bytes; n += 487)
        assert_int_equal(crc32c(7, bytes + n % 11, n - n % 11),
                         crc_bitwise(7, bytes + n % 11, n - n % 11));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values),
        cmocka_unit_test(files_as_memory),
        cmocka_unit_test(crc32c_check_value_and_pieces),
        cmocka_unit_test(crc32c_of_long_inputs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
