/* hash.c - SHA-256 and MD5 through OpenSSL's EVP, CRC32C by table or by the processor.
 * SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/path.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

static void to_hex(const unsigned char *digest, unsigned size, char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < size; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * size] = '\0';
}

int sha256_new(struct sha256 **out, struct err *err)
{
    struct sha256 *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s)
        return err_set(err, ERR_NOMEM, "sha-256: out of memory");
    s->ctx = EVP_MD_CTX_new();
    if (!s->ctx || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1) {
        sha256_free(s);
        return err_set(err, ERR_NOMEM, "sha-256: libcrypto cannot start a hash");
    }
    *out = s;
    return 0;
}

void sha256_update(struct sha256 *s, const void *data, size_t size)
{
    BUG_IF(EVP_DigestUpdate(s->ctx, data, size) != 1);
}

void sha256_hex(struct sha256 *s, char hex[SHA256_HEX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    BUG_IF(EVP_DigestFinal_ex(s->ctx, digest, &n) != 1 || n != 32);
    to_hex(digest, n, hex);
}

int sha256_so_far(const struct sha256 *s, char hex[SHA256_HEX], struct err *err)
{
    struct sha256 copy = {EVP_MD_CTX_new()};
    const bool copied = copy.ctx && EVP_MD_CTX_copy_ex(copy.ctx, s->ctx) == 1;

    if (copied)
        sha256_hex(&copy, hex);
    EVP_MD_CTX_free(copy.ctx);
    return copied ? 0 : err_set(err, ERR_NOMEM, "sha-256: out of memory");
}

void sha256_free(struct sha256 *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

static void digest_of(const EVP_MD *md, const void *data, size_t size, char *hex)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    BUG_IF(EVP_Digest(data, size, digest, &n, md, NULL) != 1);
    to_hex(digest, n, hex);
}

void sha256_of(const void *data, size_t size, char hex[SHA256_HEX])
{
    digest_of(EVP_sha256(), data, size, hex);
}

void md5_of(const void *data, size_t size, char hex[MD5_HEX])
{
    digest_of(EVP_md5(), data, size, hex);
}

/* Feeds the first MAX bytes of FD (0: all) to CTX. */
static int digest_fd(EVP_MD_CTX *ctx, int fd, uint64_t max, uint64_t *total)
{
    enum { CHUNK = 1 << 18 };
    unsigned char *buffer = malloc(CHUNK);
    int rc = -1;

    *total = 0;
    while (buffer) {
        size_t want = max && max - *total < CHUNK ? (size_t)(max - *total) : CHUNK;
        ssize_t got = want ? read(fd, buffer, want) : 0;

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            rc = got < 0 ? -1 : 0;
            break;
        }
        BUG_IF(EVP_DigestUpdate(ctx, buffer, (size_t)got) != 1);
        *total += (uint64_t)got;
    }
    free(buffer);
    return rc;
}

static int digest_file(const EVP_MD *md, const char *path, uint64_t max, char *hex, uint64_t *size,
                       struct err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    uint64_t total = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int fd = path_open(path, err);
    int rc = -1;

    if (fd < 0) {
        rc = -1; /* said already */
    } else if (!ctx || EVP_DigestInit_ex(ctx, md, NULL) != 1) {
        err_set(err, ERR_NOMEM, "%s: libcrypto cannot start a hash", path);
    } else if (digest_fd(ctx, fd, max, &total) < 0) {
        err_errno(err, "%s", path);
    } else {
        BUG_IF(EVP_DigestFinal_ex(ctx, digest, &n) != 1);
        to_hex(digest, n, hex);
        if (size)
            *size = total;
        rc = 0;
    }
    if (fd >= 0)
        close(fd);
    EVP_MD_CTX_free(ctx);
    return rc;
}

int sha256_file(const char *path, char hex[SHA256_HEX], uint64_t *size, struct err *err)
{
    return digest_file(EVP_sha256(), path, 0, hex, size, err);
}

void sha256_stated(char out[SHA256_HEX], const char *file)
{
    const char *dash = strrchr(file, '-');
    size_t n = dash ? strspn(dash + 1, "0123456789abcdef") : 0;

    out[0] = '\0';
    if (n >= 8 && n < SHA256_HEX && dash[1 + n] == '.')
        snprintf(out, SHA256_HEX, "%.*s", (int)n, dash + 1);
}

int md5_file(const char *path, uint64_t max, char hex[MD5_HEX], struct err *err)
{
    return digest_file(EVP_md5(), path, max, hex, NULL, err);
}

/* --- CRC-32C --- */

static pthread_once_t table_once = PTHREAD_ONCE_INIT;
static uint32_t table[8][256]; /* slicing by 8: Kounavis and Berry 2005 */

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? (c >> 1) ^ 0x82f63b78U : c >> 1; /* the polynomial 0x1edc6f41, reflected */
        table[0][i] = c;
    }
    for (int t = 1; t < 8; t++)
        for (int i = 0; i < 256; i++)
            table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 255];
}

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t size)
{
    pthread_once(&table_once, make_table);
    for (; size >= 8; size -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                              (uint32_t)p[3] << 24);

        crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^
              table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
              table[0][p[7]];
    }
    for (; size; size--, p++)
        crc = (crc >> 8) ^ table[0][(crc ^ *p) & 255];
    return crc;
}

#if defined(__x86_64__)
/* The instruction takes three cycles and can be begun in each: three lanes of LANE bytes at once, put
 * together by what LANE zero bytes do to a remainder, which is linear (Gopal et al., Intel 2011). */
enum { LANE = 1024 };
static pthread_once_t lane_once = PTHREAD_ONCE_INIT;
static uint32_t lane_shift[4][256];

__attribute__((target("sse4.2"))) static void make_lane_shift(void)
{
    for (int bit = 0; bit < 32; bit++) {
        uint64_t c = 1ULL << bit;
        int half = 1 << (bit & 7);

        for (int i = 0; i < LANE / 8; i++)
            c = __builtin_ia32_crc32di(c, 0);
        for (int i = half; i < 2 * half; i++)
            lane_shift[bit / 8][i] = lane_shift[bit / 8][i - half] ^ (uint32_t)c;
    }
}

static uint32_t shift_lane(uint32_t c)
{
    return lane_shift[0][c & 255] ^ lane_shift[1][c >> 8 & 255] ^ lane_shift[2][c >> 16 & 255] ^
           lane_shift[3][c >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, const unsigned char *p,
                                                          size_t size)
{
    uint64_t wide = crc;

    if (size >= 3 * LANE)
        pthread_once(&lane_once, make_lane_shift);
    for (; size >= 3 * LANE; size -= 3 * LANE, p += 3 * LANE) {
        uint64_t second = 0, third = 0;

        for (int i = 0; i < LANE; i += 8) {
            uint64_t word[3];

            memcpy(&word[0], p + i, 8);
            memcpy(&word[1], p + LANE + i, 8);
            memcpy(&word[2], p + 2 * LANE + i, 8);
            wide = __builtin_ia32_crc32di(wide, word[0]);
            second = __builtin_ia32_crc32di(second, word[1]);
            third = __builtin_ia32_crc32di(third, word[2]);
        }
        wide = shift_lane((uint32_t)wide) ^ (uint32_t)second;
        wide = shift_lane((uint32_t)wide) ^ (uint32_t)third;
    }
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t word;

        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size; size--, p++)
        crc = __builtin_ia32_crc32qi(crc, *p);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_sse(~crc, data, size);
#endif
    return ~crc_table(~crc, data, size);
}
