/* mlflow.c - see mlflow.h. The store: EXPERIMENT/meta.yaml, EXPERIMENT/RUN/meta.yaml, and below RUN a file for each
 * parameter, tag and metric (a line "time value step" for each value), and artifacts. SPDX-License-Identifier: MIT */
#include "mlflow.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/path.h"
#include "base/yaml.h"
#include "look.h"

enum {
    ID = 33,
    FILE_MAX = 256 << 20,
    RUNNING = 1,
    FINISHED = 3,
    FAILED = 4,
    KILLED = 5,
    LOCAL = 4
};

struct store {
    const struct request *r;
    struct look l;
    char root[PATH_LEN], experiment[PATH_LEN], run[PATH_LEN]; /* folders; absolute */
    char experiment_id[64], run_id[ID];
    struct field_lines epochs, times; /* of metrics.jsonl, timing.jsonl */
};

static int64_t milliseconds(const char *time)
{
    const int64_t seconds = clock_read_utc(time);

    return seconds < 0 ? 0 : seconds * 1000;
}

static int write_text(const char *folder, const char *name, const char *text, struct err *err)
{
    char path[PATH_LEN];

    return path_format(path, err, "%s/%s", folder, name) < 0
               ? -1
               : path_write(path, text, strlen(text), err);
}

/* MEMBERS as YAML: texts in quotes, as JSON has them. */
static int write_meta(const char *folder, const json_t *members, struct err *err)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    const char *name;
    json_t *value;
    int rc = -1;

    json_object_foreach((json_t *)(uintptr_t)members, name, value)
    {
        char *one = out ? json_text(value, 0) : NULL;

        if (one)
            fprintf(out, "%s: %s\n", name, one);
        free(one);
    }
    if (!out || fclose(out) != 0)
        err_set(err, ERR_NOMEM, "meta.yaml");
    else
        rc = write_text(folder, "meta.yaml", text, err);
    free(text);
    return rc;
}

/* --- the experiment -------------------------------------------------------------------------------- */

/* Whether the folder ENTRY of the store is the experiment NAME. */
static bool is_experiment(const struct store *s, const char *entry, const char *name)
{
    char path[PATH_LEN];
    json_t *meta = NULL;
    bool is;

    if (entry[0] == '.' || path_format(path, NULL, "%s/%s/meta.yaml", s->root, entry) < 0 ||
        !path_is_file(path) || yaml_read(&meta, path, NULL) < 0)
        return false;
    is = strcmp(json_text_at(meta, "name", NULL, ""), name) == 0;
    json_decref(meta);
    return is;
}

/* The experiment that is there, or a new one, whose number follows from its name. */
static int find_experiment(struct store *s, struct err *err)
{
    const char *name = s->l.run.facts.set ? s->l.run.facts.set : "presize";
    char hex[SHA256_HEX];
    struct dirent *entry;
    DIR *dir = opendir(s->root);
    json_t *meta;
    int rc;

    while (dir && !s->experiment_id[0] && (entry = readdir(dir)))
        if (strlen(entry->d_name) < sizeof s->experiment_id &&
            is_experiment(s, entry->d_name, name))
            snprintf(s->experiment_id, sizeof s->experiment_id, "%.60s", entry->d_name);
    if (dir)
        closedir(dir);
    if (s->experiment_id[0])
        return path_format(s->experiment, err, "%s/%s", s->root, s->experiment_id);
    sha256_of(name, strlen(name), hex);
    hex[14] = 0;
    snprintf(s->experiment_id, sizeof s->experiment_id, "%018" PRIu64,
             (uint64_t)strtoull(hex, NULL, 16) % UINT64_C(1000000000000000000));
    if (path_format(s->experiment, err, "%s/%s", s->root, s->experiment_id) < 0 ||
        path_make_dirs(s->experiment, err) < 0)
        return -1;
    meta = json_pack("{s:o, s:I, s:s, s:I, s:s, s:o}", "artifact_location",
                     json_sprintf("file://%s", s->experiment), "creation_time",
                     (json_int_t)time(NULL) * 1000, "experiment_id", s->experiment_id,
                     "last_update_time", (json_int_t)time(NULL) * 1000, "lifecycle_stage", "active",
                     "name", tabular_string(name));
    rc = meta ? write_meta(s->experiment, meta, err) : err_set(err, ERR_NOMEM, "meta.yaml");
    json_decref(meta);
    return rc;
}

/* --- the run --------------------------------------------------------------------------------------- */

/* A file for each key; lists as YAML writes them. */
static int write_params(const struct store *s, const char *folder, struct err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(s->l.params, name, value)
    {
        char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_text(value, 0);
        int rc = text ? write_text(folder, name, text, err) : err_set(err, ERR_NOMEM, "%s", name);

        free(text);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* When each epoch ended, ms. */
static int64_t end_of_epoch(const struct store *s, size_t epoch)
{
    const struct epoch_timing *times = s->times.all;
    double seconds = 0;

    for (size_t i = 0; i <= epoch && i < s->times.n; i++)
        seconds += isnan(times[i].seconds) ? 0 : times[i].seconds;
    return milliseconds(s->l.run.facts.start) + (int64_t)(1000 * seconds);
}

/* Every number of LINES under its name, an epoch a step. */
static int write_metrics(const struct store *s, const char *folder, const json_t *lines,
                         struct err *err)
{
    json_t *texts = json_object(), *line, *value;
    const char *name;
    int rc = texts ? 0 : err_set(err, ERR_NOMEM, "metrics");
    size_t i;

    json_array_foreach(lines, i, line)
    {
        json_object_foreach(line, name, value)
        {
            const char *before = json_text_at(texts, name, NULL, "");
            char number[JSON_REAL_TEXT];

            if (!json_is_number(value) || strcmp(name, "epoch") == 0 || !strcmp(name, "steps"))
                continue;
            json_real_text(json_number_value(value), number);
            json_object_set_new(
                texts, name,
                json_sprintf("%s%" PRId64 " %s %zu\n", before, end_of_epoch(s, i), number, i));
        }
    }
    json_object_foreach(texts, name, value)
    {
        if (rc == 0)
            rc = write_text(folder, name, json_string_value(value), err);
    }
    json_decref(texts);
    return rc;
}

static int write_tags(const struct store *s, const char *folder, struct err *err)
{
    const struct run_facts *f = &s->l.run.facts;
    const struct {
        const char *name, *text;
    } tags[] = {
        {"mlflow.runName", s->l.run.name},
        {"mlflow.note.content", f->ran ? f->ran : f->title},
        {"mlflow.source.name", "presize train"},
        {"mlflow.source.type", "LOCAL"},
        {"presize.version", f->libraries.presize ? f->libraries.presize : "?"},
        {"presize.split", f->split},
        {"presize.config_sha256", f->sha256.config},
        {"presize.index_sha256", f->sha256.index},
        {"presize.record_sha256", f->record_sha256},
        {"mlflow.source.git.commit", json_text_at(f->git, "commit", NULL, NULL)},
    };

    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (tags[i].text && tags[i].text[0] &&
            write_text(folder, tags[i].name, tags[i].text, err) < 0)
            return -1;
    return 0;
}

/* Copies of the small files; weights go by `eval --export DIR`. */
static int copy_files(const struct store *s, const char *folder, struct err *err)
{
    static const char *const names[] = {"resolved.yaml",   "run.json",      "metrics.jsonl",
                                        "predictions.csv", "per_class.csv", "confusion.csv",
                                        "report.html"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[PATH_LEN], to[PATH_LEN], *data;
        size_t size;
        int rc;

        if (path_format(from, err, "%s/%s", s->l.run.folder, names[i]) < 0 ||
            path_format(to, err, "%s/%s", folder, names[i]) < 0)
            return -1;
        if (!path_is_file(from))
            continue;
        if (path_read(&data, &size, from, FILE_MAX, err) < 0)
            return -1;
        rc = path_write(to, data, size, err);
        free(data);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int write_run_meta(const struct store *s, const char *folder, struct err *err)
{
    const char *status = s->l.run.status;
    const int code = strcmp(status, "done") == 0      ? FINISHED
                     : strcmp(status, "running") == 0 ? RUNNING
                     : strcmp(status, "failed") == 0  ? FAILED
                                                      : KILLED;
    const int64_t stop = milliseconds(s->l.run.facts.stop);
    json_t *meta = json_pack(
        "{s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:s, s:i, s:s, s:I, s:i, s:[], s:s}", "artifact_uri",
        json_sprintf("file://%s/artifacts", s->run), "end_time",
        stop ? json_integer(stop) : json_null(), "entry_point_name", "", "experiment_id",
        s->experiment_id, "lifecycle_stage", "active", "run_id", s->run_id, "run_name",
        tabular_string(s->l.run.name), "source_name", "presize train", "source_type", LOCAL,
        "source_version", "", "start_time", (json_int_t)milliseconds(s->l.run.facts.start),
        "status", code, "tags", "user_id", "presize");
    int rc = meta ? write_meta(folder, meta, err) : err_set(err, ERR_NOMEM, "meta.yaml");

    json_decref(meta);
    return rc;
}

/* In a hidden folder, which is renamed when it is whole. */
static int write_run(const struct store *s, struct err *err)
{
    static const char *const parts[] = {"params", "metrics", "tags", "artifacts"};
    char folder[PATH_LEN], part[4][PATH_LEN];
    int rc = path_format(folder, err, "%s/.%s", s->experiment, s->run_id);

    if (rc < 0 || path_remove_tree(folder, err) < 0) /* of an export that was killed */
        return -1;
    for (int i = 0; i < 4 && rc == 0; i++)
        rc = path_format(part[i], err, "%s/%s", folder, parts[i]) < 0
                 ? -1
                 : path_make_dirs(part[i], err);
    if (rc == 0 &&
        (write_params(s, part[0], err) < 0 || write_metrics(s, part[1], s->epochs.json, err) < 0 ||
         write_metrics(s, part[1], s->times.json, err) < 0 || write_tags(s, part[2], err) < 0 ||
         copy_files(s, part[3], err) < 0 || write_run_meta(s, folder, err) < 0))
        rc = -1;
    if (rc == 0 && rename(folder, s->run) < 0)
        rc = err_errno(err, "cannot rename %s", folder);
    if (rc < 0)
        (void)!path_remove_tree(folder, NULL);
    return rc;
}

static int add_run(struct store *s, struct err *err)
{
    char *root, text[600], hex[SHA256_HEX];

    if (epochs_read(&s->epochs, s->l.run.folder, err) < 0 ||
        timings_read(&s->times, s->l.run.folder, err) < 0 || path_make_dirs(s->r->folder, err) < 0)
        return -1;
    root = realpath(s->r->folder, NULL);
    if (!root)
        return err_errno(err, "%s", s->r->folder);
    snprintf(s->root, sizeof s->root, "%s", root);
    free(root);
    snprintf(text, sizeof text, "%s %s", s->l.run.name,
             s->l.run.facts.start ? s->l.run.facts.start : "");
    sha256_of(text, strlen(text), hex);
    snprintf(s->run_id, sizeof s->run_id, "%.32s", hex);
    if (find_experiment(s, err) < 0 ||
        path_format(s->run, err, "%s/%s", s->experiment, s->run_id) < 0)
        return -1;
    if (path_exists(s->run))
        return err_set(err, ERR_INPUT, "%s is in this store already: %s; remove it to export again",
                       s->l.run.name, s->run);
    return write_run(s, err);
}

int mlflow_export(FILE *out, const struct request *r, struct err *err)
{
    struct store s = {.r = r};
    int rc;

    if (look_open(&s.l, r, r->run, err) < 0)
        return -1;
    rc = add_run(&s, err);
    if (rc == 0) {
        tabular_text(out, s.run);
        fputc('\n', out);
    }
    fields_free_lines(&s.epochs);
    fields_free_lines(&s.times);
    look_close(&s.l);
    return rc;
}
