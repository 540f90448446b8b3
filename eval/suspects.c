/* suspects.c - brings the predictions of several runs together by the pictures' paths.
 * SPDX-License-Identifier: MIT */
#include "suspects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "data/csv.h"
#include "groups.h"
#include "run/confident.h"

struct place { /* a picture in one run's predictions */
    const char *path;
    uint32_t run, i;
};

static int by_path(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    const int order = strcmp(x->path, y->path);

    return order ? order : (x->run > y->run) - (x->run < y->run);
}

/* --- the runs ------------------------------------------------------------------------------------- */

static int add_run(struct suspects *s, const struct request *r, const char *run, struct err *err)
{
    struct look *more = reallocarray(s->runs, s->n_runs + 1, sizeof *more);

    if (!more)
        return err_set(err, ERR_NOMEM, "runs");
    s->runs = more;
    if (look_open(&s->runs[s->n_runs], r, run, err) < 0)
        return -1;
    s->n_runs++;
    return look_needs_predictions(&s->runs[s->n_runs - 1], err);
}

/* Why a run of a study cannot be used; "": it can. */
static int why_left_out(char why[512], const struct run_entry *run, struct err *err)
{
    char path[PATH_LEN];

    why[0] = 0;
    if (strcmp(run->status, "done") != 0)
        snprintf(why, 512, "the run is %s", run->status);
    else if (run->facts.lr_find.steps != FIELD_NO_INT)
        snprintf(why, 512, "it looked for a learning rate");
    else if (path_format(path, err, "%s/predictions.h5", run->folder) < 0)
        return -1;
    else if (!path_is_file(path))
        snprintf(why, 512, "it has no predictions");
    return 0;
}

/* Every run of the study in FOLDER that is done and has predictions; others are named. */
static int add_study(struct suspects *s, const struct request *r, const char *folder,
                     struct err *err)
{
    struct run_entry *runs;
    size_t n, done = 0;
    int rc = 0;

    if (run_list(&runs, &n, folder, err) < 0)
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++) {
        char why[512];

        if (why_left_out(why, &runs[i], err) < 0) {
            rc = -1;
        } else if (why[0]) {
            log_warn("%s is left out: %s", runs[i].folder, why);
            continue;
        }
        done++;
        rc = rc < 0 ? rc : add_run(s, r, runs[i].folder, err);
    }
    run_list_free(runs, n);
    if (rc == 0 && done == 0)
        return err_set(err, ERR_INPUT, "%s: neither a run nor a folder of finished runs", folder);
    return rc;
}

static int open_runs(struct suspects *s, const struct request *r, struct err *err)
{
    char folder[PATH_LEN];

    if (r->n_words == 0 && add_run(s, r, NULL, err) < 0)
        return -1;
    for (int i = 0; i < r->n_words; i++)
        if (groups_find(folder, r, r->words[i]) ? add_study(s, r, folder, err) < 0
                                                : add_run(s, r, r->words[i], err) < 0)
            return -1;
    if (r->n_words == 1 && groups_find(folder, r, r->words[0]))
        return path_format(s->folder, err, "%s", folder);
    if (s->n_runs > 1)
        return path_folder(s->folder, s->runs[0].run.folder, err);
    return path_format(s->folder, err, "%s", s->runs[0].run.folder);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* All runs are of one set and have the same classes. */
static int check_runs(const struct suspects *s, struct err *err)
{
    const struct look *a = &s->runs[0];

    for (size_t k = 1; k < s->n_runs; k++) {
        const struct look *b = &s->runs[k];
        bool same = a->p->classes == b->p->classes;

        const char *x = a->run.facts.sha256.index, *y = b->run.facts.sha256.index;

        if (!same_text(x ? x : "", y ? y : ""))
            return err_set(err, ERR_INPUT,
                           "%s and %s were trained on different shards: probabilities of one set "
                           "go together",
                           a->run.name, b->run.name);
        for (int32_t c = 0; same && c < a->p->classes; c++)
            same = same_text(a->p->vocab[c], b->p->vocab[c]);
        if (!same)
            return err_set(err, ERR_INPUT, "%s and %s have different classes", a->run.name,
                           b->run.name);
    }
    return 0;
}

/* --- pictures ------------------------------------------------------------------------------------- */

/* All places of COUNT sets of predictions, sorted by path. */
static struct place *list_places(const struct look *runs, size_t count, uint32_t *n)
{
    struct place *places;
    size_t all = 0, k = 0;

    for (size_t run = 0; run < count; run++)
        all += runs[run].p->n;
    places = calloc(all + 1, sizeof *places);
    for (uint32_t run = 0; places && run < count; run++)
        for (uint32_t i = 0; i < runs[run].p->n; i++)
            places[k++] = (struct place){runs[run].p->ids[i], run, i};
    if (places)
        qsort(places, all, sizeof *places, by_path);
    *n = (uint32_t)all;
    return places;
}

static int other_label(const struct look *a, const struct look *b, const char *path, int32_t x,
                       int32_t y, struct err *err)
{
    return err_set(err, ERR_INPUT,
                   "%s is %.200s in %s and %.200s in %s: runs with the same data.clean and "
                   "data.plant go together",
                   path, a->p->vocab[x], a->run.name, b->p->vocab[y], b->run.name);
}

/* The mean of each picture's probabilities: LIST gets path and given label, PROB a row each. *M pictures. */
static int average(struct suspect *list, double *prob, uint32_t *m, const struct place *places,
                   uint32_t n, const struct look *runs, struct err *err)
{
    const size_t classes = (size_t)runs[0].p->classes;

    *m = 0;
    for (uint32_t first = 0, next; first < n; first = next, ++*m) {
        const struct look *a = &runs[places[first].run];
        double *row = prob + *m * classes;

        list[*m] = (struct suspect){
            .path = places[first].path, .given = a->p->actual[places[first].i], .right = -1};
        for (next = first; next < n && same_text(places[next].path, places[first].path); next++) {
            const struct look *b = &runs[places[next].run];
            const float *p = b->p->prob + places[next].i * classes;

            if (b->p->actual[places[next].i] != list[*m].given)
                return other_label(a, b, list[*m].path, list[*m].given,
                                   b->p->actual[places[next].i], err);
            for (size_t c = 0; c < classes; c++)
                row[c] += (double)p[c];
        }
        for (size_t c = 0; c < classes; c++)
            row[c] /= next - first;
    }
    return 0;
}

/* Judges the pictures of COUNT sets of predictions and appends them to S as PART. */
static int add_part(struct suspects *s, const struct look *runs, size_t count, const char *part,
                    struct err *err)
{
    const size_t classes = (size_t)runs[0].p->classes;
    uint32_t n, m = 0, likely;
    struct place *places = list_places(runs, count, &n);
    struct suspect *list = calloc((size_t)n + 1, sizeof *list), *all = NULL;
    double *prob = calloc(((size_t)n + 1) * classes, sizeof *prob);
    int32_t *given = calloc((size_t)n + 1, sizeof *given);
    struct issue *issues = NULL;
    int rc = -1;

    all = reallocarray(s->list, (size_t)s->n + n + 1, sizeof *all);
    s->list = all ? all : s->list;
    if (!places || !list || !prob || !given || !all) {
        err_set(err, ERR_NOMEM, "%u pictures", n);
        goto out;
    }
    if (average(list, prob, &m, places, n, runs, err) < 0)
        goto out;
    for (uint32_t i = 0; i < m; i++)
        given[i] = list[i].given;
    if (confident_find(&issues, &likely, given, prob, m, (int32_t)classes, err) < 0)
        goto out;
    for (uint32_t k = 0; k < m; k++) {
        struct suspect *to = &s->list[s->n++];

        *to = list[issues[k].i];
        to->part = part;
        to->suggested = issues[k].suggested;
        to->score = issues[k].score;
        to->probability = prob[issues[k].i * classes + (size_t)issues[k].suggested];
        to->likely = issues[k].likely;
    }
    s->n_likely += likely;
    rc = 0;
out:
    free(places);
    free(list);
    free(prob);
    free(given);
    free(issues);
    return rc;
}

static int by_rank(const void *a, const void *b)
{
    const struct suspect *x = a, *y = b;

    if (x->likely != y->likely)
        return x->likely ? -1 : 1;
    if (x->score < y->score || x->score > y->score)
        return x->score < y->score ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* --- labels that are wrong on purpose -------------------------------------------------------------- */

/* From planted.csv of the first run; all have the same, as their labels are the same. */
static int find_planted(struct suspects *s, struct err *err)
{
    static const struct csv_columns columns = {"path", "right", .paths = true};
    const struct look *l = &s->runs[0];
    char path[PATH_LEN];
    struct csv csv;
    int rc = 0;

    if (isnan(look_cleaning(l).planted.share))
        return 0;
    if (path_format(path, err, "%s/planted.csv", l->run.folder) < 0 ||
        csv_read(&csv, path, &columns, err) < 0)
        return -1;
    for (uint32_t i = 0; i < s->n && rc == 0; i++) {
        const struct csv_row *row = csv_find(&csv, s->list[i].path);

        if (!row)
            continue;
        s->list[i].right = predictions_class(l->p, row->value);
        if (s->list[i].right < 0)
            rc = err_set(err, ERR_FORMAT, "%s: line %u: no class is called %s", path, row->line,
                         row->value);
        s->n_planted++;
    }
    csv_free(&csv);
    return rc;
}

/* 0 where an older record has none. */
static uint32_t count_of(int64_t pictures)
{
    return pictures == FIELD_NO_INT ? 0 : (uint32_t)pictures;
}

int suspects_find(struct suspects *s, const struct request *r, struct err *err)
{
    const struct run_pictures *pictures;
    struct request train = *r;

    memset(s, 0, sizeof *s);
    if (open_runs(s, r, err) < 0 || check_runs(s, err) < 0)
        goto fail;
    pictures = &s->runs[0].run.facts.pictures;
    s->split = r->split ? r->split : "valid";
    if (same_text(s->split, "test"))
        s->n_set = count_of(pictures->test);
    else if (same_text(s->split, "train") && s->n_runs == 1)
        s->n_set = count_of(pictures->train);
    else
        s->n_set = count_of(pictures->train) + count_of(pictures->valid);
    if (add_part(s, s->runs, s->n_runs, s->split, err) < 0)
        goto fail;
    if (r->with_train) {
        if (s->n_runs > 1) {
            err_set(err, ERR_INPUT,
                    "--with-train goes with one run; several runs that are folds have "
                    "probabilities of all pictures without it");
            goto fail;
        }
        train.split = "train";
        if (look_open(&s->train, &train, s->runs[0].run.folder, err) < 0 ||
            add_part(s, &s->train, 1, "train", err) < 0)
            goto fail;
        qsort(s->list, s->n, sizeof *s->list, by_rank);
    }
    if (find_planted(s, err) < 0)
        goto fail;
    return 0;
fail:
    suspects_free(s);
    return -1;
}

void suspects_text(char *out, size_t size, const struct suspects *s)
{
    const bool valid = same_text(s->split, "valid"), one = s->n_runs == 1;
    const char *part = same_text(s->split, "train")  ? "training "
                       : same_text(s->split, "test") ? "test "
                                                     : "";
    int n = snprintf(out, size, "%u of %u %spictures are judged by ", s->n, s->n_set, part);
    const size_t used = n > 0 && (size_t)n < size ? (size_t)n : 0;

    if (one && s->train.p)
        snprintf(out + used, size - used, "one run, which has trained on %u of them",
                 s->train.p->n);
    else if (one && valid)
        snprintf(out + used, size - used, "one run, the %s", s->runs[0].pictures);
    else if (one)
        snprintf(out + used, size - used, "one run, which has %strained on them",
                 same_text(s->split, "train") ? "" : "not ");
    else if (valid)
        snprintf(out + used, size - used, "%zu runs, each by those that did not train on it",
                 s->n_runs);
    else
        snprintf(out + used, size - used, "%zu runs%s", s->n_runs,
                 same_text(s->split, "train") ? ", each by those that trained on it"
                                              : ", which have not trained on them");
}

void suspects_doubt(char *out, size_t size, const struct suspects *s)
{
    uint32_t otherwise = 0;

    out[0] = 0;
    for (uint32_t k = 0; k < s->n; k++)
        otherwise += s->list[k].suggested != s->list[k].given;
    if (otherwise > s->n / 2)
        snprintf(out, size,
                 "%u of %u pictures are predicted otherwise: these networks have not learnt the "
                 "classes, so the list says little of the labels; train longer first",
                 otherwise, s->n);
}

void suspects_free(struct suspects *s)
{
    for (size_t i = 0; i < s->n_runs; i++)
        look_close(&s->runs[i]);
    look_close(&s->train);
    free(s->runs);
    free(s->list);
    memset(s, 0, sizeof *s);
}
