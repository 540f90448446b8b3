/* verify.c - each link of the chain against what the next one says of it.
 *
 * A link that cannot be looked at (its file is gone, or was never ours) is said to be unchecked,
 * never taken for sound. SPDX-License-Identifier: MIT */
#include "verify.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "data/shard_check.h"
#include "experiment/checkpoint.h"
#include "experiment/infer.h"
#include "look.h"
#include "nn/weights.h"

enum result { RESULT_OK, RESULT_FAILED, RESULT_UNCHECKED };

struct chain {
    const struct request *r;
    struct look *l;
    char shards[PATH_LEN]; /* folder, "" when it is not there */
    json_t *rows;
    int failed, unchecked;
};

static void say(struct chain *c, const char *link, enum result result, const char *format, ...)
    PRINTF_LIKE(4, 5);

static void say(struct chain *c, const char *link, enum result result, const char *format, ...)
{
    static const char *const names[] = {
        [RESULT_OK] = "ok", [RESULT_FAILED] = "FAILED", [RESULT_UNCHECKED] = "not checked"};
    char text[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->failed += result == RESULT_FAILED;
    c->unchecked += result == RESULT_UNCHECKED;
    json_array_append_new(c->rows,
                          json_pack("[s, s, o]", link, names[result], tabular_string(text)));
}

static const char *recorded(const struct chain *c, const char *what)
{
    return look_text(c->l->run.run, "sha256", what, NULL);
}

/* FOUND against what run.json has for WHAT. */
static void compare(struct chain *c, const char *link, const char *what, const char *found,
                    const char *subject)
{
    const char *expected = recorded(c, what);

    if (!expected)
        say(c, link, RESULT_UNCHECKED, "run.json has no sha256.%s", what);
    else if (strcmp(expected, found) == 0)
        say(c, link, RESULT_OK, "%s, %.12s", subject, found);
    else
        say(c, link, RESULT_FAILED, "%s is %.12s, run.json says %.12s", subject, found, expected);
}

/* PATH's hash against run.json's; UNCHECKED when the file is not there. */
static void compare_file(struct chain *c, const char *link, const char *what, const char *path)
{
    char hex[SHA256_HEX];
    struct err err;

    if (!path_is_file(path))
        say(c, link, RESULT_UNCHECKED, "%s is not there", path);
    else if (sha256_file(path, hex, NULL, &err) < 0)
        say(c, link, RESULT_FAILED, "%s", err.msg);
    else
        compare(c, link, what, hex, path);
}

/* --- predictions against the metrics -------------------------------------------------------------- */

static void check_predictions(struct chain *c)
{
    const struct predictions *p = c->l->p;
    const json_t *rate = look_get(c->l->run.metrics, "final", "error_rate");
    double found;

    if (!p || p->n == 0 || !json_is_number(rate)) {
        const bool due =
            strcmp(c->l->run.status, "done") == 0 && !look_get(c->l->run.run, "lr_find", NULL);

        say(c, "predictions", due ? RESULT_FAILED : RESULT_UNCHECKED,
            "the run is %s: no predictions.h5 or no metrics.json", c->l->run.status);
        return;
    }
    found = (double)c->l->errors / p->n;
    if (fabs(found - json_number_value(rate)) <= 1e-12)
        say(c, "predictions", RESULT_OK, "%u mistakes in %u pictures, as metrics.json has it",
            c->l->errors, p->n);
    else
        say(c, "predictions", RESULT_FAILED,
            "predictions.h5 has an error rate of %.6f, metrics.json of %.6f", found,
            json_number_value(rate));
}

/* The tables are functions of predictions.h5: made again, they must have the same bytes. */
static void check_tables(struct chain *c)
{
    static const char *const files[] = {"predictions.csv", "confusion.csv", "per_class.csv"};
    char folder[PATH_LEN], path[PATH_LEN], mine[SHA256_HEX], theirs[SHA256_HEX];
    struct err err = {0};

    if (!c->l->p)
        return;
    if (path_format(folder, &err, "%s/presize-verify-XXXXXX",
                    getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp") < 0 ||
        !mkdtemp(folder)) {
        say(c, "tables", RESULT_UNCHECKED, "no temporary folder could be made");
        return;
    }
    if (predictions_write(c->l->p, folder, &err) < 0)
        say(c, "tables", RESULT_UNCHECKED, "%s", err.msg);
    for (size_t i = 0; err.kind == ERR_NONE && i < sizeof files / sizeof *files; i++) {
        if (path_format(path, &err, "%s/%s", folder, files[i]) < 0 ||
            sha256_file(path, mine, NULL, &err) < 0 ||
            path_format(path, &err, "%s/%s", c->l->run.folder, files[i]) < 0 ||
            sha256_file(path, theirs, NULL, &err) < 0)
            say(c, files[i], RESULT_FAILED, "%s", err.msg);
        else if (strcmp(mine, theirs) == 0)
            say(c, files[i], RESULT_OK, "what predictions.h5 gives");
        else
            say(c, files[i], RESULT_FAILED, "is not what predictions.h5 gives");
    }
    if (path_remove_tree(folder, &err) < 0)
        log_warn("%s", err.msg);
}

/* --- weights -------------------------------------------------------------------------------------- */

/* What a checkpoint says of its origin, and its files' hashes (checkpoint_load does those). */
static void check_parents(struct chain *c, const char *which, const json_t *state)
{
    static const char *const names[] = {"config", "index", "manifest", "initial_weights"};
    char link[64];

    snprintf(link, sizeof link, "%s.json", which);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *parent = look_text(state, "parents", names[i], NULL);

        if (!parent || !recorded(c, names[i]) || strcmp(parent, recorded(c, names[i])) != 0) {
            say(c, link, RESULT_FAILED, "parents.%s is %.12s, run.json says %.12s", names[i],
                parent ? parent : "missing",
                recorded(c, names[i]) ? recorded(c, names[i]) : "nothing");
            return;
        }
    }
    say(c, link, RESULT_OK, "names the run's configuration, shards, manifest and first weights");
}

/* Of a run without pretrained weights, the first weights follow from the seed. */
static void check_initial(struct chain *c, struct trained *t)
{
    const char *from = look_text(c->l->params, "model.weights", NULL, "?");
    char hex[SHA256_HEX];
    struct err err;

    if (strcmp(from, "none") != 0) {
        say(c, "first weights", RESULT_UNCHECKED, "model.weights is %s", from);
        return;
    }
    if (weights_init(t->backend, t->be, t->network, (uint64_t)t->experiment->seed, false, &err) <
            0 ||
        weights_sha256(hex, t->backend, t->be, t->network, &err) < 0)
        say(c, "first weights", RESULT_FAILED, "%s", err.msg);
    else
        compare(c, "first weights", "initial_weights", hex, "drawn again from the seed");
}

static void check_checkpoint(struct chain *c, const char *which, const char *metrics)
{
    const char *expected =
        look_text(look_get(c->l->run.metrics, metrics, NULL), "weights_sha256", NULL, NULL);
    char hex[SHA256_HEX], link[64], no_words[1] = "";
    char *words[] = {no_words};
    struct trained *t;
    json_t *state;
    struct err err;

    snprintf(link, sizeof link, "%s.safetensors", which);
    if (checkpoint_state(&state, c->l->run.folder, which, &err) < 0) {
        say(c, link, err.kind == ERR_INPUT ? RESULT_UNCHECKED : RESULT_FAILED, "%s", err.msg);
        return;
    }
    check_parents(c, which, state);
    json_decref(state);
    if (trained_open(&t, c->l->run.folder, which, words, 0, &err) < 0) {
        say(c, link, RESULT_FAILED, "%s", err.msg);
        return;
    }
    if (weights_sha256(hex, t->backend, t->be, t->network, &err) < 0)
        say(c, link, RESULT_FAILED, "%s", err.msg);
    else if (!expected)
        say(c, link, RESULT_UNCHECKED, "metrics.json has no %s.weights_sha256", metrics);
    else if (strcmp(hex, expected) == 0)
        say(c, link, RESULT_OK, "the tensors of metrics.json, %.12s", hex);
    else
        say(c, link, RESULT_FAILED, "the tensors are %.12s, metrics.json says %.12s", hex,
            expected);
    if (strcmp(which, "last") == 0)
        check_initial(c, t);
    trained_close(t);
}

/* --- configuration, program ----------------------------------------------------------------------- */

static void check_config(struct chain *c)
{
    char path[PATH_LEN], hex[SHA256_HEX];
    struct experiment *e;
    struct err err;
    int rc;

    if (path_format(path, &err, "%s/resolved.yaml", c->l->run.folder) < 0 || !path_is_file(path)) {
        say(c, "configuration", RESULT_UNCHECKED, "resolved.yaml is not there");
        return;
    }
    if (experiment_read(&e, path, NULL, 0, &err) < 0) {
        say(c, "configuration", RESULT_FAILED, "%s", err.msg);
        return;
    }
    rc = experiment_sha256(e, hex, &err);
    experiment_free(e);
    if (rc < 0)
        say(c, "configuration", RESULT_FAILED, "%s", err.msg);
    else
        compare(c, "configuration", "config", hex, "resolved.yaml");
}

/* The train beside this eval may be another build: no fault of the run. */
static void check_binary(struct chain *c)
{
    char own[PATH_LEN] = "", path[PATH_LEN], hex[SHA256_HEX];
    struct err err;

    if (!realpath("/proc/self/exe", own) || !strrchr(own, '/') ||
        path_format(path, &err, "%.*s/train", (int)(strrchr(own, '/') - own), own) < 0 ||
        sha256_file(path, hex, NULL, &err) < 0 || !recorded(c, "binary"))
        say(c, "program", RESULT_UNCHECKED, "no train beside eval, or none in run.json");
    else if (strcmp(hex, recorded(c, "binary")) == 0)
        say(c, "program", RESULT_OK, "%s, %.12s", path, hex);
    else
        say(c, "program", RESULT_UNCHECKED,
            "%s is %.12s, the run's was %.12s: another build, whose bits may differ", path, hex,
            recorded(c, "binary"));
}

/* --- data ----------------------------------------------------------------------------------------- */

/* The folder that run.json names, or the same one below --data. */
static void find_shards(struct chain *c)
{
    const char *folder = look_text(c->l->run.run, "shards", NULL, "");
    const char *set = look_text(c->l->run.run, "set", NULL, "");
    char index[PATH_LEN];

    if (path_format(c->shards, NULL, "%s/%s/%s", c->r->data, set, path_base(folder)) == 0 &&
        path_format(index, NULL, "%s/index.json", c->shards) == 0 && path_is_file(index))
        return;
    if (path_format(c->shards, NULL, "%s", folder) == 0 &&
        path_format(index, NULL, "%s/index.json", c->shards) == 0 && path_is_file(index))
        return;
    c->shards[0] = 0;
}

static void show(void *ctx, uint64_t done, uint64_t total)
{
    bool *begun = ctx;

    if (!*begun)
        progress_begin("Shards", total);
    *begun = true;
    progress_set(done, NULL);
}

/* The manifest that index.json names, then the file itself beside the shards. */
static void check_manifest(struct chain *c)
{
    const char *manifest = NULL, *slash = strrchr(c->shards, '/');
    char path[PATH_LEN];
    json_t *index = NULL;
    struct err err;

    if (path_format(path, &err, "%s/index.json", c->shards) < 0 ||
        json_read(&index, path, &err) < 0 ||
        json_get_string(index, "manifest_sha256", &manifest, &err) < 0)
        say(c, "shards' manifest", RESULT_FAILED, "%s", err.msg);
    else
        compare(c, "shards' manifest", "manifest", manifest, "what index.json names");
    json_decref(index);
    if (slash &&
        path_format(path, &err, "%.*s/manifest.jsonl", (int)(slash - c->shards), c->shards) == 0)
        compare_file(c, "manifest", "manifest", path);
}

/* Cut again as resolved.yaml says. */
static void check_split(struct chain *c)
{
    char path[PATH_LEN], hex[SHA256_HEX], text[1200];
    struct experiment *e = NULL;
    struct shard_set *shards = NULL;
    struct split *split = NULL;
    struct err err;

    if (path_format(path, &err, "%s/resolved.yaml", c->l->run.folder) < 0 ||
        experiment_read(&e, path, NULL, 0, &err) < 0 ||
        shard_set_open(&shards, c->shards, &err) < 0 ||
        split_make(&split, &e->data, shards, &err) < 0 ||
        split_sha256(hex, split, shards, &err) < 0) {
        say(c, "split", RESULT_FAILED, "%s", err.msg);
    } else {
        split_text(text, sizeof text, &e->data);
        compare(c, "split", "split", hex, text);
    }
    split_free(split);
    shard_set_close(shards);
    experiment_free(e);
}

static void check_data(struct chain *c)
{
    struct shard_check_report report;
    const char *set = look_text(c->l->run.run, "set", NULL, "SET");
    char path[PATH_LEN];
    bool begun = false;
    struct err err;

    find_shards(c);
    if (!c->shards[0]) {
        say(c, "shards", RESULT_UNCHECKED, "%s is not there; --data DIR names where data lie",
            look_text(c->l->run.run, "shards", NULL, "their folder"));
        return;
    }
    if (path_format(path, &err, "%s/index.json", c->shards) == 0)
        compare_file(c, "index", "index", path);
    if (shard_check(&report, c->shards, show, &begun, &err) < 0)
        say(c, "shards", RESULT_FAILED, "%s", err.msg);
    else
        say(c, "shards", RESULT_OK, "%u pictures in %u files, every byte, as index.json has it",
            report.pictures, report.shards);
    if (begun)
        progress_end();
    check_manifest(c);
    check_split(c);
    say(c, "pictures", RESULT_UNCHECKED, "`fetch %s --verify` holds them against the manifest",
        set);
}

int verify_run(FILE *out, const struct request *r, struct err *err)
{
    static const struct column columns[] = {{"link", -1}, {"result", -1}, {"what", -1}};
    struct look l;
    struct chain c = {.r = r, .l = &l, .rows = json_array()};
    int rc = 0;

    if (!c.rows)
        return err_set(err, ERR_NOMEM, "verify");
    if (look_open(&l, r, r->run, err) < 0) {
        json_decref(c.rows);
        return -1;
    }
    check_predictions(&c);
    check_tables(&c);
    check_checkpoint(&c, "last", "last");
    check_checkpoint(&c, "best", "best");
    check_config(&c);
    check_binary(&c);
    check_data(&c);
    tabular_print(out, r->form, columns, 3, c.rows);
    if (c.failed > 0)
        rc = err_set(err, ERR_CHECKSUM, "%s: %d link%s of the chain failed", l.run.folder, c.failed,
                     c.failed == 1 ? "" : "s");
    else if (r->form == FORM_TEXT)
        fprintf(out, "\nevery link that could be checked holds; %d could not\n", c.unchecked);
    json_decref(c.rows);
    look_close(&l);
    return rc;
}
