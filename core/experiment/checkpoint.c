/* checkpoint.c - a checkpoint's files replaced together, through a second set of names.
 * SPDX-License-Identifier: MIT */
#include "experiment/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/path.h"
#include "experiment/checkpoint_record.h"
#include "nn/weights.h"

/* In the order they are written and renamed: the JSON, which vouches for the others, last. */
enum part { PART_WEIGHTS, PART_OPTIMISER, PART_STATE, N_PARTS };
static const char *const endings[N_PARTS] = {".safetensors", ".optim.safetensors", ".json"};

static int part_path(char out[PATH_LEN], const char *folder, const char *which, bool new,
                     enum part part, struct err *err)
{
    return path_format(out, err, "%s/checkpoints/%s%s%s", folder, which, new ? "-new" : "",
                       endings[part]);
}

/* Path to read PART from: the new name while WHICH-new.json stands and the part was not renamed
 * yet. */
static int readable_path(char out[PATH_LEN], const char *folder, const char *which, enum part part,
                         struct err *err)
{
    if (part_path(out, folder, which, true, PART_STATE, err) < 0)
        return -1;
    if (path_exists(out)) {
        if (part_path(out, folder, which, true, part, err) < 0)
            return -1;
        if (path_exists(out))
            return 0;
    }
    return part_path(out, folder, which, false, part, err);
}

/* Removes the new names; what is not there is fine. */
static void remove_new(const char *folder, const char *which)
{
    char path[PATH_LEN];

    /* The JSON first: without it the rest means nothing. */
    for (int part = N_PARTS - 1; part >= 0; part--)
        if (part_path(path, folder, which, true, (enum part)part, NULL) == 0)
            unlink(path);
}

/* WHICH-new.* become WHICH.*; may be repeated after a crash at any point. */
static int rename_new(const char *folder, const char *which, struct err *err)
{
    char from[PATH_LEN], to[PATH_LEN];

    for (int part = 0; part < N_PARTS; part++) {
        if (part_path(from, folder, which, true, (enum part)part, err) < 0 ||
            part_path(to, folder, which, false, (enum part)part, err) < 0)
            return -1;
        if (part == PART_STATE && path_sync_folder_of(to, err) < 0)
            return -1;
        if (rename(from, to) < 0 && errno != ENOENT)
            return err_errno(err, "%s: cannot be renamed", from);
    }
    return path_sync_folder_of(to, err);
}

static int add_hash(json_t *files, const char *folder, const char *which, enum part part,
                    struct err *err)
{
    char path[PATH_LEN], name[128], hex[SHA256_HEX];

    if (part_path(path, folder, which, true, part, err) < 0)
        return -1;
    if (sha256_file(path, hex, NULL, err) < 0)
        return -1;
    snprintf(name, sizeof name, "%s%s", which, endings[part]);
    if (json_object_set_new(files, name, json_string(hex)) < 0)
        return err_set(err, ERR_NOMEM, "checkpoint");
    return 0;
}

static int check_state(const json_t *state, json_int_t version, struct err *err)
{
    struct checkpoint_record r;
    const char *expected;
    char hex[SHA256_HEX];

    checkpoint_record_read(&r, state);
    expected = r.sha256;
    if (!expected && version < 3)
        return 0;
    if (!expected)
        return err_set(err, ERR_FORMAT, "\"sha256\" is missing");
    if (json_sha256_without(hex, state, "sha256", err) < 0)
        return -1;
    if (strcmp(hex, expected) == 0)
        return 0;
    return err_set(err, ERR_CHECKSUM,
                   "the SHA-256 of its members is %.12s..., it says %.12s...: it was changed or "
                   "damaged",
                   hex, expected);
}

/* What prediction needs of STATE, as one line: the weights' file is then enough. NULL: out of memory. */
static char *about_model(const json_t *state)
{
    static const char *const members[] = {"arch",       "precision",     "size",    "presize",
                                          "max_aspect", "exif",          "augment", "resize",
                                          "pad",        "normalisation", "vocab"};
    json_t *about = json_object();
    char *text;

    for (size_t i = 0; about && i < sizeof members / sizeof *members; i++) {
        json_t *member = json_object_get(state, members[i]);

        if (member)
            json_object_set(about, members[i], member);
    }
    text = about ? json_text(about, 0) : NULL;
    json_decref(about);
    return text;
}

int checkpoint_save(const char *folder, const char *which, const struct device *device,
                    const struct network *n, uint64_t batches, bool optimiser, json_t *state,
                    struct err *err)
{
    char path[PATH_LEN], hex[SHA256_HEX], *about = about_model(state);
    json_t *files = json_object();

    if (!files || !about) {
        err_set(err, ERR_NOMEM, "checkpoint");
        goto fail;
    }
    if (part_path(path, folder, which, true, PART_WEIGHTS, err) < 0)
        goto fail;
    if (weights_save(path, device, n, batches, about, err) < 0)
        goto fail;
    if (add_hash(files, folder, which, PART_WEIGHTS, err) < 0)
        goto fail;
    if (optimiser) {
        if (part_path(path, folder, which, true, PART_OPTIMISER, err) < 0)
            goto fail;
        if (weights_save_optimiser(path, device, n, err) < 0)
            goto fail;
        if (add_hash(files, folder, which, PART_OPTIMISER, err) < 0)
            goto fail;
    }
    if (json_object_set(state, "files", files) < 0 ||
        json_sha256_without(hex, state, "sha256", err) < 0 ||
        json_object_set_new(state, "sha256", json_string(hex)) < 0) {
        err_set(err, ERR_NOMEM, "checkpoint");
        goto fail;
    }
    if (part_path(path, folder, which, true, PART_STATE, err) < 0)
        goto fail;
    if (json_write(path, state, err) < 0)
        goto fail;
    free(about);
    json_decref(files);
    return rename_new(folder, which, err);
fail:
    free(about);
    json_decref(files);
    remove_new(folder, which);
    return err_wrap(err, "checkpoint %s not written; nothing that was there is changed", which);
}

bool checkpoint_exists(const char *folder, const char *which)
{
    char path[PATH_LEN];
    struct err lost = {0};

    return readable_path(path, folder, which, PART_STATE, &lost) == 0 && path_exists(path);
}

int checkpoint_state(json_t **out, const char *folder, const char *which, struct err *err)
{
    char path[PATH_LEN];
    json_int_t version;

    *out = NULL;
    if (readable_path(path, folder, which, PART_STATE, err) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_INPUT, "%s: the run has no checkpoint \"%s\" yet", path, which);
    if (json_read(out, path, err) < 0)
        return -1;
    if (json_get_int(*out, "version", &version, err) < 0)
        goto fail;
    if (version < 1 || version > CHECKPOINT_VERSION) {
        err_set(err, ERR_FORMAT, "version %d; this program reads versions 1 to %d", (int)version,
                CHECKPOINT_VERSION);
        goto fail;
    }
    if (check_state(*out, version, err) < 0)
        goto fail;
    fields_warn_unknown(checkpoint_fields, *out, path, NULL);
    return 0;
fail:
    json_decref(*out);
    *out = NULL;
    return err_wrap(err, "%s", path);
}

int checkpoint_sha256(char hex[SHA256_HEX], const char *folder, const char *which, struct err *err)
{
    char path[PATH_LEN];

    if (readable_path(path, folder, which, PART_STATE, err) < 0)
        return -1;
    return sha256_file(path, hex, NULL, err);
}

/* Path of PART, checked against the hash in STATE. */
static int checked_path(char out[PATH_LEN], const char *folder, const char *which,
                        const json_t *state, enum part part, struct err *err)
{
    char name[128], hex[SHA256_HEX];
    struct checkpoint_record r;
    const char *expected;

    checkpoint_record_read(&r, state);
    snprintf(name, sizeof name, "%s%s", which, endings[part]);
    if (json_get_string(r.files, name, &expected, NULL) < 0)
        return err_set(err, ERR_FORMAT, "%s/checkpoints/%s.json: files: no hash of %s", folder,
                       which, name);
    if (readable_path(out, folder, which, part, err) < 0)
        return -1;
    if (sha256_file(out, hex, NULL, err) < 0)
        return -1;
    if (strcmp(hex, expected) != 0)
        return err_set(err, ERR_CHECKSUM,
                       "%s: SHA-256 is %.12s..., its .json says %.12s...: the file was changed or "
                       "damaged",
                       out, hex, expected);
    return 0;
}

int checkpoint_weights(char out[PATH_LEN], const char *folder, const char *which,
                       const json_t *state, struct err *err)
{
    return checked_path(out, folder, which, state, PART_WEIGHTS, err);
}

int checkpoint_load(const char *folder, const char *which, const json_t *state,
                    const struct device *device, const struct network *n, bool optimiser,
                    uint64_t *batches, struct err *err)
{
    char path[PATH_LEN];

    if (checked_path(path, folder, which, state, PART_WEIGHTS, err) < 0)
        return -1;
    if (weights_load(path, "", device, n, false, batches, err) < 0)
        return -1;
    if (!optimiser)
        return 0;
    if (checked_path(path, folder, which, state, PART_OPTIMISER, err) < 0)
        return -1;
    return weights_load_optimiser(path, device, n, err);
}

int checkpoint_settle(const char *folder, const char *which, struct err *err)
{
    char path[PATH_LEN];

    if (part_path(path, folder, which, true, PART_STATE, err) < 0)
        return -1;
    if (path_exists(path))
        return rename_new(folder, which, err);
    remove_new(folder, which);
    return 0;
}
