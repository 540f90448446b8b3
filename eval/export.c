/* export.c - see export.h.
 *
 * All files are written under temporary names and synced before the first is renamed, so that a full disk changes
 * nothing. config.json has the SHA-256 of the others and, in its member "sha256", of its own members but that one: what
 * does not have it any more was changed by someone and is not replaced. SPDX-License-Identifier: MIT */
#include "export.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest.h"
#include "base/json.h"
#include "base/markup.h"
#include "base/path.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "experiment/experiment.h"
#include "look.h"
#include "model_card.h"
#include "nn/onnx.h"

enum { N_FILES = 6, COPIED = 1 << 20 };
enum part { WEIGHTS, ONNX, CARD, STATEMENT, CONFIG, SIGNATURE };
static const char *const names[N_FILES] = {"model.safetensors", "model.onnx",  "README.md",
                                           "model.intoto.json", "config.json", "model.sig"};

struct export
{
    const struct request *r;
    struct look l;
    struct experiment *e;
    struct network *n;
    struct safetensors *weights;
    char path[PATH_LEN];        /* of the weights */
    json_t *state;              /* of the checkpoint */
    struct export_record facts; /* its texts are STATE's and the experiment's */
    char set[256];
    json_t *hashes, *rows; /* of the files */
    struct new_file files[N_FILES];
    struct sign_key *key; /* NULL: nothing is signed */
    bool made;            /* the folder was not there */
};

static void export_free(struct export *x)
{
    for (int i = 0; i < N_FILES; i++)
        new_file_abort(&x->files[i]);
    sign_key_free(x->key);
    safetensors_close(x->weights);
    network_free(x->n);
    experiment_free(x->e);
    json_decref(x->state);
    json_decref(x->hashes);
    json_decref(x->rows);
    look_close(&x->l);
}

/* --- the run -------------------------------------------------------------------------------------- */

/* How the model card's code shrinks a presized picture. */
static const char *shrink_name(const struct augment_options *o)
{
    if (o->mode == AUGMENT_FASTAI)
        return "fastai";
    if (o->resize == RESIZE_PAD)
        return o->pad == PAD_ZEROS ? "pad_zeros" : "pad_reflection";
    return o->resize == RESIZE_SQUISH ? "squish" : "presize";
}

/* The object that says what the checkpoint was made from, with all members that it has; NULL. */
static const json_t *parents_of(const json_t *state)
{
    struct parents {
        const json_t *all;
    } p;
    static const struct field rows[] = {FIELD_OBJECT(struct parents, all, "parents", ""),
                                        FIELD_END};

    fields_read(rows, 0, &p, state, NULL);
    return p.all;
}

static int make_facts(struct export *x, struct err *err)
{
    struct checkpoint_record r;

    checkpoint_record_read(&r, x->state);
    if (checkpoint_record_predicts(&r, err) < 0)
        return -1;
    if (json_array_size(r.normalisation.mean) != 3 || json_array_size(r.normalisation.std) != 3)
        return err_set(err, ERR_FORMAT, "\"normalisation\": expected three numbers each");
    markup_clean(x->set, sizeof x->set, x->e->data.set);
    x->facts = (struct export_record){
        .version = FIELD_NO_INT,
        .architecture = arch_name(x->e->model.arch),
        .set = x->set,
        .classes = r.vocab,
        .size = r.size,
        .presize = r.presize,
        .max_aspect = r.max_aspect,
        .exif = r.exif,
        .shrink = shrink_name(&x->e->augment),
        .mean = r.normalisation.mean,
        .std = r.normalisation.std,
        .input = "RGB, float32, (batch, 3, size, size), (value / 255 - mean) / std",
        .precision = r.precision ? r.precision : "fp32",
        .weights_sha256 = r.weights_sha256 ? r.weights_sha256 : "unknown",
        .parents = parents_of(x->state),
    };
    return 0;
}

static int open_run(struct export *x, struct err *err)
{
    const struct request *r = x->r;
    const char *which, *folder;

    if (look_open(&x->l, r, r->run, err) < 0 || look_needs_predictions(&x->l, err) < 0)
        return -1;
    folder = x->l.run.folder;
    if (experiment_reopen(&x->e, folder, NULL, 0, err) < 0)
        return err_wrap(err, "%s", folder);
    which = r->which ? r->which : experiment_final(x->e);
    if (checkpoint_state(&x->state, folder, which, err) < 0 ||
        checkpoint_weights(x->path, folder, which, x->state, err) < 0)
        return -1;
    if (make_facts(x, err) < 0 ||
        network_new(&x->n, &x->e->model, (int)json_array_size(x->facts.classes), err) < 0)
        return err_wrap(err, "%s/checkpoints/%s.json", folder, which);
    return safetensors_open(&x->weights, x->path, err);
}

/* --- the folder ----------------------------------------------------------------------------------- */

/* The name of the export's file, or N_FILES. */
static int known_name(const char *name)
{
    int i = 0;

    while (i < N_FILES && strcmp(names[i], name) != 0)
        i++;
    return i;
}

/* Whether the file NAME is as the export that wrote CONFIG (NULL: none) left it. */
static bool is_own(const char *folder, const char *name, const json_t *config)
{
    struct export_record r;
    const char *expected;
    char path[PATH_LEN], hex[SHA256_HEX];

    fields_read(export_fields, EXPORT_VERSION, &r, config, NULL);
    if (strcmp(name, names[CONFIG]) == 0)
        return config != NULL;
    if (strcmp(name, names[SIGNATURE]) == 0) /* it names config.json, which names the others */
        return config && path_format(path, NULL, "%s/%s", folder, names[CONFIG]) == 0 &&
               sha256_file(path, hex, NULL, NULL) == 0 &&
               path_format(path, NULL, "%s/%s", folder, name) == 0 &&
               attest_signs(path, names[CONFIG], hex);
    return known_name(name) < N_FILES && path_format(path, NULL, "%s/%s", folder, name) == 0 &&
           sha256_file(path, hex, NULL, NULL) == 0 &&
           json_get_string(r.files, name, &expected, NULL) == 0 && strcmp(hex, expected) == 0;
}

/* An earlier export's config.json; NULL: there is none, or it was changed. */
static json_t *read_config(const char *folder)
{
    char path[PATH_LEN], hex[SHA256_HEX];
    struct export_record r;
    json_t *config = NULL;

    if (path_format(path, NULL, "%s/%s", folder, names[CONFIG]) < 0 || !path_is_file(path) ||
        json_read(&config, path, NULL) < 0)
        return NULL;
    fields_read(export_fields, EXPORT_VERSION, &r, config, NULL);
    if (json_sha256_without(hex, config, "sha256", NULL) == 0 && r.sha256 &&
        strcmp(hex, r.sha256) == 0)
        return config;
    json_decref(config);
    return NULL;
}

/* Nothing of anybody's may be replaced. Hidden files (.git, .gitattributes) are no matter. */
static int check_folder(const char *folder, struct err *err)
{
    json_t *config;
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    int rc = 0;

    if (!dir)
        return errno == ENOENT    ? 0
               : errno == ENOTDIR ? err_set(err, ERR_INPUT,
                                            "--export %s: is a file; expected a folder that is "
                                            "new, empty or an earlier export",
                                            folder)
                                  : err_errno(err, "--export %s", folder);
    config = read_config(folder);
    while (rc == 0 && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !is_own(folder, entry->d_name, config))
            rc = err_set(err, ERR_INPUT,
                         "%s: %s is there, and %s; nothing was written. Name another folder, or "
                         "move the file away",
                         folder, entry->d_name,
                         known_name(entry->d_name) < N_FILES ? "it is not as an export wrote it"
                                                             : "no export wrote it");
    closedir(dir);
    json_decref(config);
    return rc;
}

/* --- the files ------------------------------------------------------------------------------------ */

static int copy_weights(FILE *out, const struct export *x, struct err *err)
{
    FILE *in = fopen(x->path, "rbe");
    char *bytes = malloc(COPIED);
    size_t n;
    int rc = 0;

    if (!in)
        rc = err_errno(err, "%s", x->path);
    else if (!bytes)
        rc = err_set(err, ERR_NOMEM, "%d bytes", COPIED);
    while (rc == 0 && (n = fread(bytes, 1, COPIED, in)) > 0)
        if (fwrite(bytes, 1, n, out) != n)
            rc = err_errno(err, "cannot write %s", names[WEIGHTS]);
    if (rc == 0 && ferror(in))
        rc = err_errno(err, "cannot read %s", x->path);
    if (in)
        fclose(in);
    free(bytes);
    return rc;
}

/* config.json: the facts, the other files' hashes, its own. */
static int put_config(FILE *out, struct export *x, struct err *err)
{
    struct export_record r = x->facts;
    char hex[SHA256_HEX], *text = NULL;
    json_t *config;
    int rc;

    r.format = "presize export";
    r.version = EXPORT_VERSION;
    r.files = x->hashes;
    config = fields_json(export_fields, &r);
    rc = config ? json_sha256_without(hex, config, "sha256", err)
                : err_set(err, ERR_NOMEM, "%s", names[CONFIG]);
    json_decref(config);
    if (rc < 0)
        return -1;
    r.sha256 = hex;
    config = fields_json(export_fields, &r);
    text = config ? json_text(config, 2) : NULL;
    json_decref(config);
    if (!text)
        return err_set(err, ERR_NOMEM, "%s", names[CONFIG]);
    rc = fputs(text, out) < 0 || fputc('\n', out) < 0
             ? err_errno(err, "cannot write %s", names[CONFIG])
             : 0;
    free(text);
    return rc;
}

/* BESIDE: the file of weights that the model points into, which saves a second copy of them; NULL: it has its own. */
static int put_onnx(FILE *out, struct export *x, const char *beside, struct err *err)
{
    json_t *metadata = fields_json(export_fields, &x->facts);
    const int rc =
        metadata ? onnx_write(out, x->n, x->weights, beside, (int)x->facts.size, metadata, err)
                 : err_set(err, ERR_NOMEM, "%s", names[ONNX]);

    json_decref(metadata);
    return rc;
}

/* About the network in its two forms. */
static int put_statement(FILE *out, const struct export *x, struct err *err)
{
    const json_t *hashes = x->hashes;
    json_t *files = json_pack("{s:O, s:O}", names[WEIGHTS], json_object_get(hashes, names[WEIGHTS]),
                              names[ONNX], json_object_get(hashes, names[ONNX]));
    const int rc = files ? attest_statement(out, &x->l, files, err)
                         : err_set(err, ERR_NOMEM, "%s", names[STATEMENT]);

    json_decref(files);
    return rc;
}

/* Of all files that are made, by the rows of the list. */
static int put_signature(FILE *out, struct export *x, struct err *err)
{
    char name[PATH_LEN], *folder = realpath(x->r->folder, NULL);
    json_t *files = json_object(), *row;
    size_t i;
    int rc;

    snprintf(name, sizeof name, "%s", folder ? path_base(folder) : "model");
    json_array_foreach(x->rows, i, row)
    {
        json_object_set(files, json_string_value(json_array_get(row, 0)), json_array_get(row, 2));
    }
    rc = files ? attest_sign(out, x->key, name, files, err) : err_set(err, ERR_NOMEM, "signature");
    json_decref(files);
    free(folder);
    return rc;
}

static int put_file(struct export *x, enum part part, struct err *err)
{
    FILE *out = x->files[part].file;

    switch (part) {
    case WEIGHTS:
        return copy_weights(out, x, err);
    case ONNX:
        return put_onnx(out, x, names[WEIGHTS], err);
    case CARD:
        return model_card_write(out, &x->l, &x->facts, x->r->split ? x->r->split : "validation",
                                err);
    case STATEMENT:
        return put_statement(out, x, err);
    case CONFIG:
        return put_config(out, x, err);
    case SIGNATURE:
        return put_signature(out, x, err);
    }
    return 0;
}

/* F, written under its temporary name, on the disk; its row of the list has NAME. HEX: its SHA-256. */
static int close_file(struct export *x, struct new_file *f, const char *name, char hex[SHA256_HEX],
                      struct err *err)
{
    uint64_t bytes;

    if (fflush(f->file) != 0 || ferror(f->file) || fsync(fileno(f->file)) < 0)
        return err_errno(err, "cannot write %s", name);
    if (sha256_file(f->tmp, hex, &bytes, err) < 0)
        return -1;
    return tabular_add(x->rows, json_pack("[s, I, s]", name, (json_int_t)bytes, hex), err);
}

static int prepare_file(struct export *x, enum part part, struct err *err)
{
    struct new_file *f = &x->files[part];
    char path[PATH_LEN], hex[SHA256_HEX];

    if (path_format(path, err, "%s/%s", x->r->folder, names[part]) < 0 ||
        new_file_begin(f, path, err) < 0 || put_file(x, part, err) < 0 ||
        close_file(x, f, names[part], hex, err) < 0)
        return -1;
    if (part < CONFIG && json_object_set_new(x->hashes, names[part], json_string(hex)) < 0)
        return err_set(err, ERR_NOMEM, "%s", names[CONFIG]);
    return 0;
}

static int write_files(struct export *x, struct err *err)
{
    const int n = x->key ? N_FILES : SIGNATURE;
    char old[PATH_LEN];

    x->rows = json_array();
    x->hashes = json_object();
    if (!x->rows || !x->hashes)
        return err_set(err, ERR_NOMEM, "%s", names[CONFIG]);
    x->made = !path_exists(x->r->folder);
    if (path_make_dirs(x->r->folder, err) < 0)
        return -1;
    for (int i = 0; i < n; i++)
        if (prepare_file(x, (enum part)i, err) < 0)
            return -1;
    /* An earlier signature goes first: a folder is an export's as long as none signs other files. */
    if (path_format(old, err, "%s/%s", x->r->folder, names[SIGNATURE]) < 0)
        return -1;
    if (unlink(old) < 0 && errno != ENOENT)
        return err_errno(err, "cannot remove %s", old);
    for (int i = 0; i < n; i++)
        if (new_file_finish(&x->files[i], err) < 0)
            return -1;
    return 0;
}

static void print_rows(FILE *out, const struct export *x)
{
    static const struct column columns[] = {{"file", -1}, {"bytes", -1}, {"sha256", -1}};

    tabular_print(out, x->r->form, columns, 3, x->rows);
}

int export_run(FILE *out, const struct request *r, struct err *err)
{
    struct export x = {.r = r};
    int rc = -1;

    if ((r->key && sign_key_read(&x.key, r->key, err) < 0) || check_folder(r->folder, err) < 0 ||
        open_run(&x, err) < 0)
        goto out;
    rc = write_files(&x, err);
    if (rc == 0)
        print_rows(out, &x);
out:
    export_free(&x);
    if (rc < 0 && x.made)
        rmdir(r->folder); /* empty again */
    return rc;
}

int export_onnx(FILE *out, const struct request *r, struct err *err)
{
    struct export x = {.r = r, .rows = json_array()};
    struct new_file *f = &x.files[ONNX];
    char hex[SHA256_HEX];
    int rc = x.rows ? open_run(&x, err) : err_set(err, ERR_NOMEM, "%s", r->model);

    if (rc == 0 &&
        (new_file_begin(f, r->model, err) < 0 || put_onnx(f->file, &x, NULL, err) < 0 ||
         close_file(&x, f, path_base(r->model), hex, err) < 0 || new_file_finish(f, err) < 0))
        rc = -1;
    if (rc == 0)
        print_rows(out, &x);
    export_free(&x);
    return rc;
}
