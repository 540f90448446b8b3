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
#include "data/manifest.h"
#include "data/offenders.h"
#include "data/shard_check.h"
#include "experiment/checkpoint.h"
#include "experiment/infer.h"
#include "look.h"
#include "nn/weights.h"
#include "record/run_files.h"
#include "record/score.h"

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

/* --- the files of folders ------------------------------------------------------------------------- */

/* Those that were there when RECORD, of FOLDER, was written; what came later is not looked at. */
static void check_files(struct chain *c, const char *link, const char *folder, const json_t *record)
{
    json_t *recorded = json_object_get(record, "files"), *now = NULL, *sha256;
    struct offenders offenders = {0};
    const char *path;
    struct err err;

    if (!json_is_object(recorded)) {
        say(c, link, RESULT_UNCHECKED, "their hashes are not recorded");
        return;
    }
    if (run_files(&now, folder, &err) < 0) {
        say(c, link, RESULT_FAILED, "%s", err.msg);
        return;
    }
    json_object_foreach(recorded, path, sha256)
    {
        const json_t *found = json_object_get(now, path);

        if (!json_equal(found, sha256))
            offenders_add(&offenders, "%s %s", found ? "changed" : "missing", path);
    }
    if (offenders.n == 0) {
        say(c, link, RESULT_OK, "%zu, every byte, as they were written%s",
            json_object_size(recorded),
            folder == c->l->run.folder ? " (not the log, plots and report)" : "");
    } else {
        err_set(&err, ERR_CHECKSUM, "%u of %zu are not as they were written", offenders.n,
                json_object_size(recorded));
        offenders_append(&err, &offenders);
        say(c, link, RESULT_FAILED, "%s", err.msg);
    }
    json_decref(now);
}

/* What eval --split, --set and --tta stored. */
static void check_scores(struct chain *c)
{
    char link[PATH_LEN];
    json_t *scores, *score;
    struct err err;
    size_t i;

    if (score_list(&scores, c->l->run.folder, &err) < 0) {
        say(c, "scores", RESULT_FAILED, "%s", err.msg);
        return;
    }
    json_array_foreach(scores, i, score)
    {
        const char *folder = json_string_value(json_object_get(score, "folder"));

        if (!folder)
            say(c, "scores", RESULT_UNCHECKED, "a folder whose name is not UTF-8");
        else if (path_format(link, NULL, "%s", folder + strlen(c->l->run.folder) + 1) == 0)
            check_files(c, link, folder, score);
    }
    json_decref(scores);
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

/* The tensors against what metrics.json, or of a run that is not done the checkpoint itself, says of them. */
static void check_checkpoint(struct chain *c, const char *which, const char *metrics)
{
    const char *expected =
        look_text(look_get(c->l->run.metrics, metrics, NULL), "weights_sha256", NULL, NULL);
    const char *source = expected ? "metrics.json" : "the checkpoint";
    char hex[SHA256_HEX], link[64], no_words[1] = "";
    char *words[] = {no_words};
    struct trained *t = NULL;
    json_t *state;
    struct err err;

    snprintf(link, sizeof link, "%s.safetensors", which);
    if (checkpoint_state(&state, c->l->run.folder, which, &err) < 0) {
        say(c, link, err.kind == ERR_INPUT ? RESULT_UNCHECKED : RESULT_FAILED, "%s", err.msg);
        return;
    }
    check_parents(c, which, state);
    if (!expected)
        expected = look_text(state, "weights_sha256", NULL, "nothing");
    if (trained_open(&t, c->l->run.folder, which, words, 0, &err) < 0 ||
        weights_sha256(hex, t->backend, t->be, t->network, &err) < 0)
        say(c, link, RESULT_FAILED, "%s", err.msg);
    else if (strcmp(hex, expected) == 0)
        say(c, link, RESULT_OK, "the tensors of %s, %.12s", source, hex);
    else
        say(c, link, RESULT_FAILED, "the tensors are %.12s, %s says %.12s", hex, source, expected);
    if (t && strcmp(which, "last") == 0)
        check_initial(c, t);
    trained_close(t);
    json_decref(state);
}

/* --- configuration, program ----------------------------------------------------------------------- */

static void check_config(struct chain *c)
{
    char path[PATH_LEN], hex[SHA256_HEX], subject[64];
    struct experiment *e;
    struct err err;
    int rc;

    if (path_format(path, &err, "%s/resolved.yaml", c->l->run.folder) < 0 || !path_is_file(path)) {
        say(c, "configuration", RESULT_UNCHECKED, "resolved.yaml is not there");
        return;
    }
    if (experiment_reopen(&e, c->l->run.folder, NULL, 0, &err) < 0) {
        say(c, "configuration", RESULT_FAILED, "%s", err.msg);
        return;
    }
    rc = experiment_sha256(e, hex, &err);
    snprintf(subject, sizeof subject, "resolved.yaml, version %d of the keys", e->version);
    experiment_free(e);
    if (rc < 0)
        say(c, "configuration", RESULT_FAILED, "%s", err.msg);
    else
        compare(c, "configuration", "config", hex, subject);
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

/* Below the data folder; where none is given, else the one that run.json names. */
static void find_shards(struct chain *c)
{
    const char *folder = look_text(c->l->run.run, "shards", NULL, "");
    const char *set = look_text(c->l->run.run, "set", NULL, "");
    char index[PATH_LEN];

    if (path_format(c->shards, NULL, "%s/%s/%s", c->r->data, set, path_base(folder)) == 0 &&
        path_format(index, NULL, "%s/index.json", c->shards) == 0 && path_is_file(index))
        return;
    if (!c->r->data_given && path_format(c->shards, NULL, "%s", folder) == 0 &&
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

/* What came later was in no shard: prep sees to it. */
static void note_difference(void *ctx, const char *how, const char *path)
{
    if (strcmp(how, "extra") != 0)
        offenders_add(ctx, "%s %s", how, path);
}

/* The fetched files against the MANIFEST beside their TREE. */
static void check_pictures(struct chain *c, const char *manifest, const char *tree)
{
    struct offenders offenders = {0};
    struct manifest m = {0};
    struct err err;

    if (!path_is_dir(tree)) {
        say(c, "pictures", RESULT_UNCHECKED, "%s is not there", tree);
        return;
    }
    if (manifest_read(&m, manifest, &err) < 0 ||
        manifest_check(&m, tree, note_difference, &offenders, &err) < 0) {
        say(c, "pictures", RESULT_FAILED, "%s", err.msg);
    } else if (offenders.n == 0) {
        say(c, "pictures", RESULT_OK, "%zu files, every byte, as the manifest has them", m.n_files);
    } else {
        err_set(&err, ERR_CHECKSUM, "%u of %zu files are not as fetched", offenders.n, m.n_files);
        offenders_append(&err, &offenders);
        say(c, "pictures", RESULT_FAILED, "%s", err.msg);
    }
    manifest_free(&m);
}

/* The manifest that index.json names, then the file itself beside the shards, and what it lists. */
static void check_manifest(struct chain *c)
{
    const int above = (int)(path_base(c->shards) - c->shards); /* of DATA/SET/ */
    char path[PATH_LEN], tree[PATH_LEN];
    const char *manifest = NULL;
    json_t *index = NULL;
    struct err err;

    if (path_format(path, &err, "%s/index.json", c->shards) < 0 ||
        json_read(&index, path, &err) < 0 ||
        json_get_string(index, "manifest_sha256", &manifest, &err) < 0)
        say(c, "shards' manifest", RESULT_FAILED, "%s", err.msg);
    else
        compare(c, "shards' manifest", "manifest", manifest, "what index.json names");
    if (json_is_false(json_object_get(index, "fetched"))) {
        say(c, "pictures", RESULT_UNCHECKED, "they lie in a folder that was not fetched");
    } else if (path_format(path, &err, "%.*smanifest.jsonl", above, c->shards) == 0 &&
               path_format(tree, &err, "%.*stree", above, c->shards) == 0) {
        compare_file(c, "manifest", "manifest", path);
        if (path_is_file(path))
            check_pictures(c, path, tree);
    }
    json_decref(index);
}

/* What run.json says in words and numbers, against what resolved.yaml and the shards give. */
static void check_facts(struct chain *c, const struct experiment *e, const struct split *split,
                        const char *cut, int classes)
{
    json_t *facts =
        json_pack("{s:s, s:I, s:s, s:i, s:{s:I, s:I, s:I, s:I}}", "set", e->data.set, "seed",
                  (json_int_t)e->seed, "split", cut, "classes", classes, "pictures", "train",
                  (json_int_t)split->n_train, "valid", (json_int_t)split->n_valid, "test",
                  (json_int_t)split->n_test, "left_out", (json_int_t)split->n_left_out);
    struct offenders offenders = {0};
    const char *name;
    json_t *fact;

    json_object_foreach(facts, name, fact)
    {
        if (!json_equal(fact, json_object_get(c->l->run.run, name)))
            offenders_add(&offenders, "%s", name);
    }
    if (facts && offenders.n == 0)
        say(c, "facts", RESULT_OK, "set, split, seed, classes and pictures of run.json");
    else
        say(c, "facts", RESULT_FAILED, "run.json has another %s than resolved.yaml and the shards",
            offenders.text);
    json_decref(facts);
}

/* Cut again as resolved.yaml says. */
static void check_split(struct chain *c)
{
    char hex[SHA256_HEX], text[1200];
    struct experiment *e = NULL;
    struct shard_set *shards = NULL;
    struct split *split = NULL;
    struct err err;

    if (experiment_reopen(&e, c->l->run.folder, NULL, 0, &err) < 0 ||
        shard_set_open(&shards, c->shards, &err) < 0 ||
        split_make(&split, &e->data, shards, &err) < 0 ||
        split_sha256(hex, split, shards, &err) < 0) {
        say(c, "split", RESULT_FAILED, "%s", err.msg);
    } else {
        split_text(text, sizeof text, &e->data);
        compare(c, "split", "split", hex, text);
        check_facts(c, e, split, text, shard_set_classes(shards));
    }
    split_free(split);
    shard_set_close(shards);
    experiment_free(e);
}

static void check_data(struct chain *c)
{
    struct shard_check_report report;
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
    check_files(&c, "files", l.run.folder, l.run.run);
    check_scores(&c);
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
