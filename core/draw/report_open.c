/* report_open.c - a run folder, read for its page. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/key.h"
#include "base/path.h"
#include "base/yaml.h"
#include "draw/element.h"
#include "draw/report_private.h"
#include "draw/thumb.h"

static int read_params(struct report *r, struct err *err)
{
    struct err why = {0};
    char path[PATH_LEN];
    json_t *tree = NULL;

    if (path_format(path, err, "%s/params.yaml", r->run.folder) < 0)
        return -1;
    if (path_exists(path) && yaml_read(&tree, path, &why) < 0 && why.kind == ERR_NOMEM)
        return err_set(err, why.kind, "%s", why.msg);
    r->params = json_is_object(tree) ? keys_flatten(tree) : json_object();
    json_decref(tree);
    return r->params ? 0 : err_set(err, ERR_NOMEM, "%s", path);
}

/* The curve of training steps is in the last checkpoint; a page without it has the epochs'. */
static int read_points(struct report *r, struct err *err)
{
    struct err why = {0};
    char path[PATH_LEN];
    json_t *last = NULL;

    if (path_format(path, err, "%s/checkpoints/last.json", r->run.folder) < 0)
        return -1;
    if (path_exists(path) && json_read(&last, path, &why) < 0 && why.kind == ERR_NOMEM)
        return err_set(err, why.kind, "%s", why.msg);
    r->points = json_incref((json_t *)(uintptr_t)json_at(last, "resume", "curve"));
    json_decref(last);
    return 0;
}

/* --- predictions and what follows from them ------------------------------------------------------- */

static int read_predictions(struct report *r, struct err *err)
{
    struct err why = {0};

    if (predictions_read(&r->p, r->run.folder, &why) == 0 && r->p->n > 0)
        return 0;
    if (why.kind == ERR_NOMEM)
        return err_set(err, why.kind, "%s", why.msg);
    if (r->p)
        r->no_predictions = "predictions.h5 has no picture.";
    else if (why.kind != ERR_INPUT) {
        snprintf(r->fault, sizeof r->fault, "The predictions cannot be read: %.1000s.", why.msg);
        r->no_predictions = r->fault;
    } else if (r->run.facts.lr_find.steps != FIELD_NO_INT) {
        r->no_predictions = "This run looked for a learning rate; it predicted nothing.";
    } else if (strcmp(r->run.status, "running") == 0) {
        r->no_predictions = "The run is still in progress; predictions are written at its end.";
    } else if (strcmp(r->run.status, "done") == 0) {
        r->no_predictions = "predictions.h5 was removed from the run's folder.";
    } else {
        r->no_predictions = "The run ended early; `train --resume` resumes it.";
    }
    predictions_free(r->p);
    r->p = NULL;
    return 0;
}

/* Classes of the matrix: all, or those with most mistakes, actual and predicted, in their own order. */
struct blamed {
    int32_t class;
    uint32_t mistakes;
};

static int by_mistakes(const void *a, const void *b)
{
    const struct blamed *x = a, *y = b;

    if (x->mistakes != y->mistakes)
        return x->mistakes < y->mistakes ? 1 : -1;
    return (x->class > y->class) - (x->class < y->class);
}

static int by_number(const void *a, const void *b)
{
    const int32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int choose_classes(struct report *r, struct err *err)
{
    const int32_t classes = r->p->classes;
    struct blamed *blamed = calloc((size_t)classes, sizeof *blamed);

    r->n_shown = classes < MATRIX_CLASSES ? classes : MATRIX_CLASSES;
    r->shown = calloc((size_t)r->n_shown, sizeof *r->shown);
    if (!blamed || !r->shown) {
        free(blamed);
        return err_set(err, ERR_NOMEM, "%d classes", classes);
    }
    for (int32_t c = 0; c < classes; c++) {
        const struct class_score *s = &r->scores[c];

        blamed[c] = (struct blamed){c, s->support + s->predicted - 2 * s->correct};
    }
    if (classes > MATRIX_CLASSES)
        qsort(blamed, (size_t)classes, sizeof *blamed, by_mistakes);
    for (int32_t k = 0; k < r->n_shown; k++)
        r->shown[k] = blamed[k].class;
    qsort(r->shown, (size_t)r->n_shown, sizeof *r->shown, by_number);
    free(blamed);
    return 0;
}

static int add_picture(struct report *r, uint32_t i, struct err *err)
{
    const float *row = r->p->prob + (size_t)i * (size_t)r->p->classes;
    json_t *picture = json_pack(
        "{s:o, s:i, s:i, s:f, s:f, s:f}", "id", element_string(r->p->ids[i]), "actual",
        (int)r->p->actual[i], "predicted", (int)r->p->predicted[i], "loss", (double)r->p->loss[i],
        "p_actual", (double)row[r->p->actual[i]], "p_predicted", (double)row[r->p->predicted[i]]);
    int rc = picture ? thumb_add(picture, r->from->shards, r->p->ids[i], err)
                     : err_set(err, ERR_NOMEM, "report");

    if (rc == 0 && json_array_append(r->pictures, picture) < 0)
        rc = err_set(err, ERR_NOMEM, "report");
    json_decref(picture);
    return rc;
}

/* Of the table of pairs: the pictures that each row has so far. */
struct paired {
    uint32_t mistakes[PAIR_ROWS], right[PAIR_ROWS];
};

/* Picture I is among the first mistakes of a pair, or among the first right ones of the class that was predicted. */
static bool count_paired(struct paired *have, const struct report *r, uint32_t i)
{
    const int32_t actual = r->p->actual[i], predicted = r->p->predicted[i];
    bool wanted = false;

    for (size_t k = 0; k < r->n_most && k < PAIR_ROWS; k++) {
        const struct confused *pair = &r->most[k];

        if (predicted == pair->predicted && actual == pair->actual)
            wanted |= have->mistakes[k]++ < PAIR_PICTURES;
        if (predicted == pair->predicted && actual == pair->predicted)
            wanted |= have->right[k]++ < PAIR_PICTURES;
    }
    return wanted;
}

/* By falling loss: the top losses, the first ones of each pair, mistakes up to a bound, and of each class the first few
 * right ones. */
static int choose_pictures(struct report *r, struct err *err)
{
    const uint32_t each = RIGHT_PICTURES / (uint32_t)r->p->classes;
    const uint32_t per_class = each < 8 ? each : 8;
    uint32_t *right = calloc((size_t)r->p->classes, sizeof *right), wrong = 0;
    struct paired paired = {{0}, {0}};
    int rc = right ? 0 : err_set(err, ERR_NOMEM, "report");

    for (uint32_t k = 0; k < r->p->n && rc == 0; k++) {
        const uint32_t i = r->order[k];
        const bool is_wrong = r->p->actual[i] != r->p->predicted[i];
        const bool of_pair = count_paired(&paired, r, i);

        if (k >= LOSS_PICTURES && !of_pair &&
            (is_wrong ? wrong >= MISTAKE_PICTURES : right[r->p->actual[i]] >= per_class))
            continue;
        wrong += is_wrong;
        if (!is_wrong)
            right[r->p->actual[i]]++;
        rc = add_picture(r, i, err);
    }
    free(right);
    return rc;
}

static int derive(struct report *r, struct err *err)
{
    r->scores = calloc((size_t)r->p->classes, sizeof *r->scores);
    if (!r->scores)
        return err_set(err, ERR_NOMEM, "report");
    for (uint32_t i = 0; i < r->p->n; i++)
        r->errors += r->p->predicted[i] != r->p->actual[i];
    if (confusion_count(&r->counts, r->p, err) < 0 ||
        confusion_most(&r->most, &r->n_most, r->counts, r->p->classes, 1, err) < 0 ||
        predictions_by_loss(&r->order, r->p, err) < 0 || metrics_of(&r->metrics, r->p, err) < 0)
        return -1;
    confusion_scores(r->scores, r->counts, r->p->classes);
    if (choose_classes(r, err) < 0)
        return -1;
    return choose_pictures(r, err);
}

int report_open(struct report *r, const char *folder, const struct report_sources *from,
                struct err *err)
{
    memset(r, 0, sizeof *r);
    if (run_open(&r->run, folder, err) < 0)
        return -1;
    r->from = from;
    r->pictures = json_array();
    /* train writes the report last of all: metrics.json is there, the run all but over. */
    if (r->run.metrics && strcmp(r->run.status, "running") == 0)
        r->run.status = "done";
    if (!r->pictures)
        err_set(err, ERR_NOMEM, "report");
    else if (read_params(r, err) == 0 && epochs_read(&r->epochs, folder, err) == 0 &&
             timings_read(&r->timings, folder, err) == 0 && read_points(r, err) == 0 &&
             read_predictions(r, err) == 0 && (!r->p || derive(r, err) == 0))
        return 0;
    report_close(r);
    return -1;
}

void report_close(struct report *r)
{
    free(r->order);
    free(r->counts);
    free(r->scores);
    free(r->most);
    free(r->shown);
    predictions_free(r->p);
    json_decref(r->pictures);
    json_decref(r->params);
    fields_free_lines(&r->epochs);
    fields_free_lines(&r->timings);
    json_decref(r->points);
    run_entry_free(&r->run);
    memset(r, 0, sizeof *r);
}
