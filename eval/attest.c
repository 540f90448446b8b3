/* attest.c - see attest.h. SPDX-License-Identifier: MIT */
#include "attest.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "draw/element.h"
#include "experiment/experiment.h"

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PAYLOAD_TYPE "application/vnd.in-toto+json"

static int put_json(FILE *out, json_t *value, int indent, struct err *err)
{
    char *text = value ? json_text(value, indent) : NULL;
    int rc = 0;

    json_decref(value);
    if (!text)
        return err_set(err, ERR_NOMEM, "statement");
    if (fputs(text, out) < 0 || fputc('\n', out) < 0)
        rc = err_errno(err, "cannot write the statement");
    free(text);
    return rc;
}

/* --- how the model came about ---------------------------------------------------------------------- */

static json_t *subjects(const json_t *files)
{
    json_t *list = json_array(), *hash;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)files, name, hash)
    {
        json_array_append_new(list,
                              json_pack("{s:s, s:{s:O}}", "name", name, "digest", "sha256", hash));
    }
    return list;
}

/* Keys that change a result. NULL: out of memory. */
static json_t *parameters(const struct look *l)
{
    json_t *keys = json_object(), *value;
    const char *name;

    json_object_foreach(l->params, name, value)
    {
        if (!experiment_is_harmless(name))
            json_object_set(keys, name, value);
    }
    return keys;
}

/* Inputs of a training that the run's record has hashes of. */
static json_t *dependencies(const struct look *l)
{
    static const char *const inputs[][2] = {{"manifest", "manifest.jsonl"},
                                            {"index", "index.json"},
                                            {"split", "split"},
                                            {"initial_weights", "initial weights"},
                                            {"weights_file", "file of the initial weights"},
                                            {"config", "resolved.yaml"}};
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const char *hash = run_hash(&l->run.facts.sha256, inputs[i][0]);

        if (hash)
            json_array_append_new(
                list, json_pack("{s:s, s:{s:s}}", "name", inputs[i][1], "digest", "sha256", hash));
    }
    return list;
}

int attest_statement(FILE *out, const struct look *l, const json_t *files, struct err *err)
{
    json_t *predicate =
        json_pack("{s:{s:s, s:o, s:{s:o, s:i}, s:o}, s:{s:{s:s, s:{s:s}}}}", "buildDefinition",
                  "buildType", "https://presize.invalid/train/v1", "externalParameters",
                  parameters(l), "internalParameters", "backend",
                  tabular_string(l->run.facts.backend ? l->run.facts.backend : "?"), "arithmetic",
                  (int)l->run.facts.arithmetic, "resolvedDependencies", dependencies(l),
                  "runDetails", "builder", "id", "https://presize.invalid/train", "version",
                  "presize", l->run.facts.libraries.presize ? l->run.facts.libraries.presize : "?");

    return put_json(out,
                    json_pack("{s:s, s:o, s:s, s:o}", "_type", STATEMENT_TYPE, "subject",
                              subjects(files), "predicateType", "https://slsa.dev/provenance/v1",
                              "predicate", predicate),
                    2, err);
}

/* --- the signature --------------------------------------------------------------------------------- */

struct resource {
    const char *name, *hex;
};

static int by_name(const void *a, const void *b)
{
    const struct resource *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* RESOURCES: the files in the order of their names; ROOT: SHA-256 of their hashes, as bytes, one after the other. */
static int list_resources(json_t **resources, char root[SHA256_HEX], const json_t *files,
                          struct err *err)
{
    const size_t n = json_object_size(files);
    struct resource *of = calloc(n + 1, sizeof *of);
    unsigned char *all = malloc(32 * n + 1);
    size_t used = 0;
    const char *name;
    json_t *hash;

    *resources = of && all ? json_array() : NULL;
    if (!*resources) {
        free(of);
        free(all);
        return err_set(err, ERR_NOMEM, "signature");
    }
    json_object_foreach((json_t *)(uintptr_t)files, name, hash)
    {
        of[used++] = (struct resource){name, json_string_value(hash)};
    }
    qsort(of, n, sizeof *of, by_name);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 32; k++) {
            const char digits[] = {of[i].hex[2 * k], of[i].hex[2 * k + 1], 0};

            all[32 * i + k] = (unsigned char)strtoul(digits, NULL, 16);
        }
        json_array_append_new(*resources, json_pack("{s:s, s:s, s:s}", "name", of[i].name,
                                                    "algorithm", "sha256", "digest", of[i].hex));
    }
    sha256_of(all, 32 * n, root);
    free(of);
    free(all);
    return 0;
}

/* The statement that is signed, as text owned by the caller. */
static char *make_payload(const char *model, const json_t *files, struct err *err)
{
    char root[SHA256_HEX], *text = NULL;
    json_t *resources, *statement;

    if (list_resources(&resources, root, files, err) < 0)
        return NULL;
    statement = json_pack(
        "{s:s, s:[{s:o, s:{s:s}}], s:s, s:{s:{s:s, s:s, s:b, s:[s, s, s, s, s]}, s:o}}", "_type",
        STATEMENT_TYPE, "subject", "name", tabular_string(model), "digest", "sha256", root,
        "predicateType", "https://model_signing/signature/v1.0", "predicate", "serialization",
        "method", "files", "hash_type", "sha256", "allow_symlinks", 0, "ignore_paths", "model.sig",
        ".git", ".gitattributes", ".github", ".gitignore", "resources", resources);
    if (statement)
        text = json_text(statement, 0);
    json_decref(statement);
    if (!text)
        err_set(err, ERR_NOMEM, "signature");
    return text;
}

/* DSSE 1.0, "pre-authentication encoding": what is signed says its type and length. */
static int sign_payload(unsigned char **signature, size_t *size, const struct sign_key *key,
                        const char *payload, struct err *err)
{
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    int rc = -1;

    if (!memory)
        return err_set(err, ERR_NOMEM, "signature");
    fprintf(memory, "DSSEv1 %zu %s %zu %s", strlen(PAYLOAD_TYPE), PAYLOAD_TYPE, strlen(payload),
            payload);
    if (fclose(memory) != 0)
        err_set(err, ERR_NOMEM, "signature");
    else
        rc = sign_data(signature, size, key, text, length, err);
    free(text);
    return rc;
}

int attest_sign(FILE *out, const struct sign_key *key, const char *model, const json_t *files,
                struct err *err)
{
    char hint[SHA256_HEX], *payload = make_payload(model, files, err);
    unsigned char *signature = NULL;
    size_t size;
    int rc = -1;

    if (payload && sign_key_hint(key, hint, err) == 0 &&
        sign_payload(&signature, &size, key, payload, err) == 0)
        rc = put_json(out,
                      json_pack("{s:s, s:{s:{s:s}, s:[]}, s:{s:o, s:s, s:[{s:o, s:s}]}}",
                                "mediaType", "application/vnd.dev.sigstore.bundle.v0.3+json",
                                "verificationMaterial", "publicKey", "hint", hint, "tlogEntries",
                                "dsseEnvelope", "payload", element_base64(payload, strlen(payload)),
                                "payloadType", PAYLOAD_TYPE, "signatures", "sig",
                                element_base64(signature, size), "keyid", ""),
                      0, err);
    free(signature);
    free(payload);
    return rc;
}

static int value_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Base64 as text, owned by the caller; NULL where it is not base64. */
static char *decoded(const char *text)
{
    char *out = text ? malloc(strlen(text) + 1) : NULL, *to = out;
    unsigned bits = 0;
    int n = 0;

    for (; out && *text && *text != '='; text++) {
        if (value_of(*text) < 0) {
            free(out);
            return NULL;
        }
        bits = bits << 6 | (unsigned)value_of(*text);
        n += 6;
        if (n >= 8)
            *to++ = (char)(bits >> (n -= 8) & 0xff);
    }
    if (out)
        *to = 0;
    return out;
}

bool attest_signs(const char *path, const char *name, const char *sha256)
{
    json_t *bundle = NULL, *statement = NULL, *resource;
    bool signs = false;
    char *payload;
    size_t i;

    if (json_read(&bundle, path, NULL) < 0)
        return false;
    payload = decoded(json_text_at(bundle, "dsseEnvelope", "payload", NULL));
    if (payload)
        statement = json_loads(payload, JSON_REJECT_DUPLICATES, NULL);
    json_array_foreach(json_at(statement, "predicate", "resources"), i, resource)
    {
        signs |= strcmp(json_text_at(resource, "name", NULL, ""), name) == 0 &&
                 strcmp(json_text_at(resource, "digest", NULL, ""), sha256) == 0;
    }
    json_decref(statement);
    json_decref(bundle);
    free(payload);
    return signs;
}
