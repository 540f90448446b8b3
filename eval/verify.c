/* verify.c - each link of the chain against what the next one says of it.
 *
 * A link that cannot be looked at (its file is gone, or was never ours) is said to be unchecked,
 * never taken for sound. SPDX-License-Identifier: MIT */
#include "verify.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "data/offenders.h"
#include "run/metrics.h"
#include "run/run_files.h"
#include "run/score.h"
#include "verify_private.h"

void chain_say(struct chain *c, const char *link, enum result result, const char *format, ...)
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

const char *chain_recorded(const struct chain *c, const char *what)
{
    return run_hash(&c->l->run.facts.sha256, what);
}

void chain_compare(struct chain *c, const char *link, const char *what, const char *found,
                   const char *subject)
{
    const char *expected = chain_recorded(c, what);

    if (!expected)
        chain_say(c, link, RESULT_FAILED, "run.json has no sha256.%s", what);
    else if (strcmp(expected, found) == 0)
        chain_say(c, link, RESULT_OK, "%s, %.12s", subject, found);
    else
        chain_say(c, link, RESULT_FAILED, "%s is %.12s, run.json says %.12s", subject, found,
                  expected);
}

void chain_compare_file(struct chain *c, const char *link, const char *what, const char *path)
{
    char hex[SHA256_HEX];
    struct err err;

    if (!path_is_file(path))
        chain_say(c, link, RESULT_UNCHECKED, "%s is not there", path);
    else if (sha256_file(path, hex, NULL, &err) < 0)
        chain_say(c, link, RESULT_FAILED, "%s", err.msg);
    else
        chain_compare(c, link, what, hex, path);
}

/* --- the files of folders ------------------------------------------------------------------------- */

/* Those that were there when FOLDER's record, which has their hashes RECORDED, was written; what came later is not
 * looked at. DUE: a record without hashes is damaged. */
static void check_files(struct chain *c, const char *link, const char *folder,
                        const json_t *recorded, bool due)
{
    json_t *now = NULL, *sha256;
    struct offenders offenders = {0};
    const char *path;
    struct err err;

    if (!recorded) {
        chain_say(c, link, due ? RESULT_FAILED : RESULT_UNCHECKED, "their hashes are not recorded");
        return;
    }
    if (run_files(&now, folder, &err) < 0) {
        chain_say(c, link, RESULT_FAILED, "%s", err.msg);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)recorded, path, sha256)
    {
        const json_t *found = json_object_get(now, path);

        if (!json_equal(found, sha256))
            offenders_add(&offenders, "%s %s", found ? "changed" : "missing", path);
    }
    if (offenders.n == 0) {
        chain_say(c, link, RESULT_OK, "%zu, every byte, as they were written%s",
                  json_object_size(recorded),
                  folder == c->l->run.folder ? " (not the log, plots and report)" : "");
    } else {
        err_set(&err, ERR_CHECKSUM, "%u of %zu are not as they were written", offenders.n,
                json_object_size(recorded));
        offenders_append(&err, &offenders);
        chain_say(c, link, RESULT_FAILED, "%s", err.msg);
    }
    json_decref(now);
}

/* What eval --split, --set and --tta stored. */
static void check_scores(struct chain *c)
{
    char link[PATH_LEN];
    json_t *scores, *score, *fault, *faults = json_array();
    struct err err;
    size_t i;

    if (score_list(&scores, faults, c->l->run.folder, &err) < 0) {
        chain_say(c, "scores", RESULT_FAILED, "%s", err.msg);
        json_decref(faults);
        return;
    }
    json_array_foreach(faults, i, fault)
    {
        struct score_fault f;

        fields_read(score_fault_fields, 0, &f, fault, NULL);
        chain_say(c, "scores", f.harmless ? RESULT_UNCHECKED : RESULT_FAILED, "%s", f.why);
    }
    json_decref(faults);
    json_array_foreach(scores, i, score)
    {
        struct score_record record;
        const char *folder;

        fields_read(score_fields, SCORE_VERSION, &record, score, NULL);
        if (json_get_string(score, "folder", &folder, NULL) < 0)
            chain_say(c, "scores", RESULT_UNCHECKED, "a folder whose name is not UTF-8");
        else if (path_format(link, NULL, "%s", folder + strlen(c->l->run.folder) + 1) == 0)
            check_files(c, link, folder, record.files, false);
    }
    json_decref(scores);
}

/* --- predictions against the metrics -------------------------------------------------------------- */

/* What the run monitored, where it is not in every line; false: metrics.json has another number. */
static bool is_monitored(struct chain *c)
{
    const enum monitor which = c->e ? (enum monitor)c->e->train.watch.monitor : MONITOR_VALID_LOSS;
    const struct monitor_row *by = &monitor_rows[which];
    const double said = c->l->run.figures.final.metric[which];
    struct err err;
    double found;

    if (by->always)
        return true;
    if (metrics_one(&found, which, c->l->p, &err) < 0) {
        chain_say(c, "predictions", RESULT_FAILED, "%s", err.msg);
        return false;
    }
    if (fabs(found - said) <= 1e-12)
        return true;
    chain_say(c, "predictions", RESULT_FAILED,
              "predictions.h5 has a %s of %.6f, metrics.json of %.6f", by->label, found, said);
    return false;
}

static void check_predictions(struct chain *c)
{
    const struct predictions *p = c->l->p;
    const double rate = c->l->run.figures.final.metric[MONITOR_ERROR_RATE];
    double found;

    if (!p || p->n == 0 || isnan(rate)) {
        const bool due = strcmp(c->l->run.status, "done") == 0 && !look_is_range_test(c->l);

        chain_say(c, "predictions", due ? RESULT_FAILED : RESULT_UNCHECKED,
                  "the run is %s: no predictions.h5 or no metrics.json", c->l->run.status);
        return;
    }
    found = (double)c->l->errors / p->n;
    if (fabs(found - rate) <= 1e-12) {
        if (is_monitored(c))
            chain_say(c, "predictions", RESULT_OK,
                      "%u mistakes in %u pictures, as metrics.json has it", c->l->errors, p->n);
    } else
        chain_say(c, "predictions", RESULT_FAILED,
                  "predictions.h5 has an error rate of %.6f, metrics.json of %.6f", found, rate);
}

/* C's predictions written to a new folder BELOW/NAME, PLAIN as an older program wrote their cells. */
static int write_again(char out[PATH_LEN], const struct chain *c, const char *below,
                       const char *name, bool plain, struct err *err)
{
    struct predictions p = *c->l->p; /* borrows what it points to */

    p.plain_csv = plain;
    if (path_format(out, err, "%s/%s", below, name) < 0 || path_make_dirs(out, err) < 0)
        return -1;
    return predictions_write(&p, out, err);
}

static int same_file(bool *same, const char *a, const char *b, const char *file, struct err *err)
{
    char path[PATH_LEN], hex[2][SHA256_HEX];

    if (path_format(path, err, "%s/%s", a, file) < 0 || sha256_file(path, hex[0], NULL, err) < 0 ||
        path_format(path, err, "%s/%s", b, file) < 0 || sha256_file(path, hex[1], NULL, err) < 0)
        return -1;
    *same = strcmp(hex[0], hex[1]) == 0;
    return 0;
}

static void check_table(struct chain *c, const char *file, const char *below, const char *now)
{
    char older[PATH_LEN];
    struct err err = {0};
    bool same = false;
    int rc = same_file(&same, now, c->l->run.folder, file, &err);

    if (rc == 0 && !same && write_again(older, c, below, "older", true, &err) == 0)
        rc = same_file(&same, older, c->l->run.folder, file, &err);
    if (rc < 0)
        chain_say(c, file, RESULT_FAILED, "%s", err.msg);
    else if (same)
        chain_say(c, file, RESULT_OK, "what predictions.h5 gives");
    else
        chain_say(c, file, RESULT_FAILED, "is not what predictions.h5 gives");
}

const char *verify_temporary(void)
{
    const char *folder = getenv("TMPDIR");

    return folder && *folder ? folder : "/tmp";
}

/* The tables are functions of predictions.h5: made again, they must have the same bytes. */
static void check_tables(struct chain *c)
{
    static const char *const files[] = {"predictions.csv", "confusion.csv", "per_class.csv"};
    char folder[PATH_LEN], now[PATH_LEN];
    struct err err = {0};

    if (!c->l->p)
        return;
    if (path_format(folder, &err, "%s/presize-verify-XXXXXX", verify_temporary()) < 0 ||
        !mkdtemp(folder)) {
        chain_say(c, "tables", RESULT_UNCHECKED, "no temporary folder could be made");
        return;
    }
    if (write_again(now, c, folder, "now", false, &err) < 0)
        chain_say(c, "tables", RESULT_UNCHECKED, "%s", err.msg);
    for (size_t i = 0; err.kind == ERR_NONE && i < sizeof files / sizeof *files; i++)
        check_table(c, files[i], folder, now);
    if (path_remove_tree(folder, &err) < 0)
        log_warn("%s", err.msg);
}

/* --- configuration, program ----------------------------------------------------------------------- */

static void check_config(struct chain *c)
{
    char path[PATH_LEN], hex[SHA256_HEX], subject[64];
    struct experiment *e;
    struct err err;
    int rc;

    if (path_format(path, &err, "%s/resolved.yaml", c->l->run.folder) < 0 || !path_is_file(path)) {
        chain_say(c, "configuration", RESULT_UNCHECKED, "resolved.yaml is not there");
        return;
    }
    if (experiment_reopen(&e, c->l->run.folder, NULL, 0, &err) < 0) {
        chain_say(c, "configuration", RESULT_FAILED, "%s", err.msg);
        return;
    }
    rc = experiment_sha256(e, hex, &err);
    snprintf(subject, sizeof subject, "resolved.yaml, version %d of the keys", e->version);
    experiment_free(e);
    if (rc < 0)
        chain_say(c, "configuration", RESULT_FAILED, "%s", err.msg);
    else
        chain_compare(c, "configuration", "config", hex, subject);
}

/* The train beside this eval may be another build: no fault of the run. */
static void check_binary(struct chain *c)
{
    char path[PATH_LEN], hex[SHA256_HEX];
    struct err err;

    if (path_beside_program(path, "train", &err) < 0 || sha256_file(path, hex, NULL, &err) < 0 ||
        !chain_recorded(c, "binary"))
        chain_say(c, "program", RESULT_UNCHECKED, "no train beside eval, or none in run.json");
    else if (strcmp(hex, chain_recorded(c, "binary")) == 0)
        chain_say(c, "program", RESULT_OK, "%s, %.12s", path, hex);
    else
        chain_say(c, "program", RESULT_UNCHECKED,
                  "%s is %.12s, the run's was %.12s: another build, whose bits may differ", path,
                  hex, chain_recorded(c, "binary"));
}

int verify_rows(json_t **rows, int *failed, int *unchecked, struct look *l, const struct request *r,
                struct err *err)
{
    struct chain c = {.r = r, .l = l, .rows = json_array()};
    struct err ignored;

    if (!c.rows)
        return err_set(err, ERR_NOMEM, "verify");
    if (experiment_reopen(&c.e, l->run.folder, NULL, 0, &ignored) < 0)
        c.e = NULL; /* check_config() says why */
    check_files(&c, "files", l->run.folder, l->run.facts.files,
                strcmp(l->run.status, "done") == 0 && l->run.facts.version >= 2);
    check_scores(&c);
    check_predictions(&c);
    check_tables(&c);
    verify_weights(&c);
    check_config(&c);
    check_binary(&c);
    verify_data(&c);
    verify_record(&c);
    verify_members(&c);
    experiment_free(c.e);
    *rows = c.rows;
    *failed = c.failed;
    *unchecked = c.unchecked;
    return 0;
}

int verify_run(FILE *out, const struct request *r, int *unchecked, struct err *err)
{
    static const struct column columns[] = {{"link", -1}, {"result", -1}, {"what", -1}};
    int rc = -1, failed = 0;
    struct look l;
    json_t *rows;

    *unchecked = 0;
    if (look_open(&l, r, r->run, err) < 0)
        return -1;
    if (verify_rows(&rows, &failed, unchecked, &l, r, err) < 0)
        goto out;
    rc = 0;
    tabular_print(out, r->form, columns, 3, rows);
    if (failed > 0)
        rc = err_set(err, ERR_CHECKSUM, "%s: %d link%s of the chain failed", l.run.folder, failed,
                     PLURAL(failed));
    else if (r->form == FORM_TEXT)
        fprintf(out, "\nevery link that could be checked is valid; %d could not\n", *unchecked);
    json_decref(rows);
out:
    look_close(&l);
    return rc;
}
