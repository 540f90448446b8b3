/* sign.c - see sign.h. SPDX-License-Identifier: MIT */
#include "base/sign.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"

enum { KEY_MAX = 1 << 16 };

struct sign_key {
    EVP_PKEY *key;
};

/* Nobody is asked for a password. */
static int no_password(char *out, int size, int writes, void *of)
{
    (void)out;
    (void)size;
    (void)writes;
    (void)of;
    return -1;
}

static bool is_nist_curve(EVP_PKEY *key)
{
    static const char *const names[] = {"prime256v1", "P-256",     "secp384r1",
                                        "P-384",      "secp521r1", "P-521"};
    char name[64];
    size_t n;

    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, name, sizeof name, &n) != 1)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

int sign_key_read(struct sign_key **out, const char *path, struct err *err)
{
    struct sign_key *k;
    EVP_PKEY *key = NULL;
    char *text;
    size_t size;
    BIO *memory;

    *out = NULL;
    if (path_read(&text, &size, path, KEY_MAX, err) < 0)
        return -1;
    memory = BIO_new_mem_buf(text, (int)size);
    if (memory)
        key = PEM_read_bio_PrivateKey(memory, NULL, no_password, NULL);
    BIO_free(memory);
    OPENSSL_cleanse(text, size);
    free(text);
    if (!key || !is_nist_curve(key)) {
        EVP_PKEY_free(key);
        return err_set(
            err, ERR_FORMAT,
            "%s: expected the private key of a curve P-256, P-384 or P-521, as PEM without a "
            "password; `openssl ecparam -name prime256v1 -genkey -noout' makes one",
            path);
    }
    k = calloc(1, sizeof *k);
    if (!k) {
        EVP_PKEY_free(key);
        return err_set(err, ERR_NOMEM, "%s", path);
    }
    k->key = key;
    *out = k;
    return 0;
}

void sign_key_free(struct sign_key *k)
{
    if (k)
        EVP_PKEY_free(k->key);
    free(k);
}

int sign_key_hint(const struct sign_key *k, char hex[SHA256_HEX], struct err *err)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *text;
    long size;
    int rc = -1;

    if (memory && PEM_write_bio_PUBKEY(memory, k->key) == 1 &&
        (size = BIO_get_mem_data(memory, &text)) > 0) {
        sha256_of(text, (size_t)size, hex);
        rc = 0;
    }
    BIO_free(memory);
    return rc < 0 ? err_set(err, ERR_NOMEM, "public key") : 0;
}

int sign_data(unsigned char **out, size_t *size, const struct sign_key *k, const void *data,
              size_t data_size, struct err *err)
{
    const int bits = EVP_PKEY_get_bits(k->key);
    const EVP_MD *hash = bits <= 256 ? EVP_sha256() : bits <= 384 ? EVP_sha384() : EVP_sha512();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = -1;

    *out = NULL;
    if (ctx && EVP_DigestSignInit(ctx, NULL, hash, NULL, k->key) == 1 &&
        EVP_DigestSign(ctx, NULL, size, data, data_size) == 1 && (*out = malloc(*size)) != NULL &&
        EVP_DigestSign(ctx, *out, size, data, data_size) == 1)
        rc = 0;
    EVP_MD_CTX_free(ctx);
    if (rc == 0)
        return 0;
    free(*out);
    *out = NULL;
    return err_set(err, ERR_NOMEM, "signature");
}
