/* score.c - scores and looks as files of the run folder.
 * SPDX-License-Identifier: MIT */
#include "run/score.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "run/run_files.h"

enum { LOOKS_MAX = 64 << 20 };

// clang-format off
static const struct field tta_fields[] = {
    FIELD_INT(struct score_tta, rounds, "rounds", 1, 1 << 20, "", "augmented rounds"),
    FIELD_REAL(struct score_tta, beta, "beta", 0, 1, "", "share of the prediction without augmentation"),
    FIELD_END,
};

/* The members up to `tta` are what the predictions are a function of. */
const struct field score_fields[] = {
    FIELD_INT(struct score_record, version, "version", 1, INT32_MAX, "", "1", .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct score_record, set, "set", "whose pictures"),
    FIELD_TEXT(struct score_record, part, "part", "`train`, `valid`, `test`, or `all` of another set"),
    FIELD_TEXT(struct score_record, split, "split", "as in run.json; null for `all`", .flags = FIELD_NULL),
    FIELD_INT(struct score_record, pictures, "pictures", 0, INT32_MAX, "", "how many"),
    FIELD_TEXT(struct score_record, weights, "weights", "`last` or `best`"),
    FIELD_TEXT(struct score_record, weights_sha256, "weights_sha256", "the checkpoint's tensors"),
    FIELD_TEXT(struct score_record, index_sha256, "index_sha256", "of the shards' index.json"),
    FIELD_TEXT(struct score_record, backend, "backend", "device that computed"),
    FIELD_RECORD(struct score_record, tta, "tta", tta_fields, "with test-time augmentation", .flags = FIELD_NULL),
    FIELD_INT(struct score_record, errors, "errors", 0, INT32_MAX, "", "pictures that are wrong",
              .flags = FIELD_OPTIONAL),
    FIELD_REAL(struct score_record, error_rate, "error_rate", 0, 1, "", "their share", .flags = FIELD_OPTIONAL,
               .decimals = 4),
    FIELD_REAL(struct score_record, loss, "loss", 0, 1e300, "nat", "mean loss", .flags = FIELD_OPTIONAL, .decimals = 4),
    FIELD_RECORD(struct score_record, without_leaks, "without_leaks", leaks_fields,
                 "as in metrics.json; missing where no picture has a duplicate in training", .flags = FIELD_OPTIONAL),
    FIELD_OBJECT(struct score_record, files, "files", "SHA-256 of each file beside it, by its name",
                 .flags = FIELD_OPTIONAL),
    FIELD_END,
};

const struct field score_fault_fields[] = {
    FIELD_TEXT(struct score_fault, why, "why", "what is wrong"),
    FIELD_BOOL(struct score_fault, harmless, "harmless", "whether nothing is damaged"),
    FIELD_END,
};
// clang-format on

int score_write(const char *folder, const json_t *facts, struct err *err)
{
    json_t *all = json_pack("{s:i}", "version", SCORE_VERSION), *files;
    char path[PATH_LEN];
    int rc = -1;

    if (run_files(&files, folder, err) < 0) {
        json_decref(all);
        return -1;
    }
    if (!all || json_object_update(all, (json_t *)(uintptr_t)facts) < 0 ||
        json_object_set(all, "files", files) < 0)
        err_set(err, ERR_NOMEM, "score.json");
    else if (path_format(path, err, "%s/score.json", folder) == 0)
        rc = json_write(path, all, err);
    json_decref(files);
    json_decref(all);
    return rc;
}

int score_read(json_t **out, const char *folder, struct err *err)
{
    char path[PATH_LEN];
    json_int_t version;

    *out = NULL;
    if (path_format(path, err, "%s/score.json", folder) < 0)
        return -1;
    if (!path_is_file(path))
        return err_set(err, ERR_INPUT, "%s is missing", path);
    if (json_read(out, path, err) < 0)
        return -1;
    if (json_get_int(*out, "version", &version, err) < 0)
        err_wrap(err, "%s", path);
    else if (version != SCORE_VERSION)
        err_set(err, ERR_UNSUPPORTED, "%s: version %lld; this program reads version %d", path,
                (long long)version, SCORE_VERSION);
    else {
        fields_warn_unknown(score_fields, *out, path, NULL);
        return 0;
    }
    json_decref(*out);
    *out = NULL;
    return -1;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void leave_out(json_t *faults, const struct err *why)
{
    const struct score_fault f = {why->msg, why->kind == ERR_UNSUPPORTED || why->kind == ERR_INPUT};
    json_t *fault = faults ? fields_json(score_fault_fields, &f) : NULL;

    if (!fault || json_array_append_new(faults, fault) < 0)
        log_warn("a score is left out: %s", why->msg);
}

/* The score in FOLDER, with the folder's name; NULL where it is left out. */
static json_t *listed(const char *folder, json_t *faults)
{
    json_t *facts;
    struct err why;

    if (score_read(&facts, folder, &why) == 0) {
        /* a path that is not UTF-8 cannot be told */
        (void)json_object_set_new(facts, "folder", json_string(folder));
        return facts;
    }
    if (why.kind != ERR_INPUT || (faults && path_is_dir(folder))) /* else it was never whole */
        leave_out(faults, &why);
    return NULL;
}

enum { LEVELS = 2 }; /* of folders: scores/SET/PART */

/* Appends what FOLDER/NAME/score.json holds, or LEVELS - 1 levels below it, to LIST. */
static int collect(json_t *list, json_t *faults, const char *folder, int levels, struct err *err)
{
    struct dirent **entries;
    char path[PATH_LEN];
    json_t *facts;
    int n = scandir(folder, &entries, is_visible, alphasort), rc = 0;
    struct err why;

    /* else nothing was scored, or somebody's file lies beside the scores */
    if (n < 0 && errno != ENOENT && (errno != ENOTDIR || levels == LEVELS)) {
        err_errno(&why, "%s", folder);
        leave_out(faults, &why);
    }
    for (int i = 0; i < n; i++) {
        if (rc == 0 && path_format(path, NULL, "%s/%s", folder, entries[i]->d_name) == 0) {
            if (levels > 1)
                rc = collect(list, faults, path, levels - 1, err);
            else if ((facts = listed(path, faults)) && json_array_append_new(list, facts) < 0)
                rc = err_set(err, ERR_NOMEM, "scores");
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return rc;
}

int score_list(json_t **out, json_t *faults, const char *run, struct err *err)
{
    char folder[PATH_LEN];

    *out = json_array();
    if (!*out)
        return err_set(err, ERR_NOMEM, "scores");
    if (path_format(folder, err, "%s/scores", run) == 0 &&
        collect(*out, faults, folder, LEVELS, err) == 0)
        return 0;
    json_decref(*out);
    *out = NULL;
    return -1;
}

void score_text(char *out, size_t size, const struct score_record *s)
{
    static const struct {
        const char *part, *before, *after;
    } names[] = {{"train", "training ", ""},
                 {"valid", "validation ", ""},
                 {"test", "test ", ""},
                 {"all", "", ", all of them"}};
    char best[32] = "", rounds[64] = "";
    size_t i = 0;

    while (i < 3 && s->part && strcmp(s->part, names[i].part) != 0)
        i++;
    if (s->weights && strcmp(s->weights, "last") != 0)
        snprintf(best, sizeof best, ", %.10s weights", s->weights);
    if (s->tta.rounds != FIELD_NO_INT)
        snprintf(rounds, sizeof rounds, ", TTA of %lld rounds, beta %g", (long long)s->tta.rounds,
                 s->tta.beta);
    snprintf(out, size, "%spictures of %s%s%s%s%s%s", names[i].before, s->set ? s->set : "?",
             names[i].after, s->split ? ", " : "", s->split ? s->split : "", best, rounds);
}

int look_note(const char *run, const json_t *line, struct err *err)
{
    char path[PATH_LEN];
    FILE *file;
    int rc;

    if (path_format(path, err, "%s/looks.jsonl", run) < 0)
        return -1;
    file = path_append(path, err);
    if (!file)
        return -1;
    rc = json_append_line(file, line, err);
    if (fclose(file) != 0 && rc == 0)
        rc = err_errno(err, "cannot write %s", path);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}

unsigned look_count(const char *run, const char *set)
{
    char path[PATH_LEN], *text, *line, *rest;
    unsigned n = 0;
    size_t size;

    if (path_format(path, NULL, "%s/looks.jsonl", run) < 0 ||
        path_read(&text, &size, path, LOOKS_MAX, NULL) < 0)
        return 0;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *json = json_loads(line, 0, NULL);
        struct score_record look;

        fields_read(score_fields, 0, &look, json, NULL);
        fields_warn_unknown(score_fields, json, path, NULL);
        n += look.set && strcmp(look.set, set) == 0;
        json_decref(json);
    }
    free(text);
    return n;
}
