/* predict.c - files to presized pictures to probabilities, a batch at a time.
 * SPDX-License-Identifier: MIT */
#include "predict.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/path.h"
#include "data/augment.h"
#include "draw/sheet.h"
#include "draw/thumb.h"
#include "experiment/cams.h"
#include "experiment/infer.h"
#include "file_list.h"
#include "image/decode.h"
#include "image/encode_jpeg.h"
#include "image/resize.h"
#include "predict_page.h"
#include "run/run.h"
#include "scoring.h"

enum { CHUNK = 32, DEFAULT_TOP = 5, FILE_MAX = 1 << 30, MAPS_MAX = 100, MAP_SIDE = 320 };

struct job {
    const struct request *r;
    struct trained *owned; /* NULL: the network is the caller's */
    const struct trained *t;
    struct resizer resizer;
    struct image image;
    uint8_t *pixels[CHUNK]; /* presized */
    struct picture pictures[CHUNK];
    uint32_t crc[CHUNK]; /* of the pixels */
    const char *files[CHUNK];
    int n;      /* in the chunk */
    int failed; /* files in all */
    struct file_list files_given;
    int top, *order;     /* labels that are shown; room for them */
    struct cam *cam;     /* NULL: no class activation maps */
    struct sheet *sheet; /* that they are drawn on; NULL: they go to the list, as JPEG in base64 */
    int cell;            /* the next of the sheet */
    float *prob, *sum, *once; /* (CHUNK, classes); of the augmented rounds, of one of them */
    json_t *rows, *list;
};

static void job_free(struct job *j)
{
    for (int i = 0; i < CHUNK; i++)
        free(j->pixels[i]);
    resizer_free(&j->resizer);
    image_free(&j->image);
    cam_free(j->cam);
    sheet_free(j->sheet);
    trained_close(j->owned);
    free(j->prob);
    free(j->sum);
    free(j->once);
    json_decref(j->rows);
    json_decref(j->list);
    file_list_free(&j->files_given);
    free(j->order);
}

/* A picture file of SIZE BYTES, called PATH, joins the chunk. */
static int load_bytes(struct job *j, const char *path, const void *bytes, size_t size,
                      struct err *err)
{
    struct picture *p = &j->pictures[j->n];
    struct presize plan;

    if (image_decode(&j->image, bytes, size, j->t->exif, err) < 0)
        return -1;
    if (j->image.warning[0])
        log_warn("%s: %s", path, j->image.warning);
    plan = presize_plan(j->image.height, j->image.width, j->t->presize, j->t->max_aspect);
    free(j->pixels[j->n]);
    j->pixels[j->n] = malloc((size_t)plan.height * (size_t)plan.width * 3);
    if (!j->pixels[j->n])
        return err_set(err, ERR_NOMEM, "%d x %d pixels", plan.width, plan.height);
    if (resize_bilinear(&j->resizer, j->pixels[j->n], plan.height, plan.width, j->image.pixels,
                        j->image.height, j->image.width, plan.box, err) < 0)
        return -1;
    *p = (struct picture){.pixels = j->pixels[j->n],
                          .height = plan.height,
                          .width = plan.width,
                          .label = -1,
                          .position = (uint32_t)j->n};
    j->crc[j->n] = crc32c(0, p->pixels, (size_t)plan.height * (size_t)plan.width * 3);
    j->files[j->n++] = path;
    return 0;
}

static int load(struct job *j, const char *path, struct err *err)
{
    char *bytes;
    size_t size;
    int rc;

    if (path_read(&bytes, &size, path, FILE_MAX, err) < 0)
        return -1;
    rc = load_bytes(j, path, bytes, size, err);
    free(bytes);
    return rc;
}

/* The MOST largest, largest first; ties by label. Returns how many. */
static int find_best(int *best, int most, const float *prob, int classes)
{
    int n = 0;

    for (int c = 0; c < classes; c++) {
        int place = n;

        while (place > 0 && prob[c] > prob[best[place - 1]])
            place--;
        if (place == most)
            continue;
        if (n < most)
            n++;
        for (int k = n - 1; k > place; k--)
            best[k] = best[k - 1];
        best[place] = c;
    }
    return n;
}

static const struct field row_fields[] = {
    CELL_TEXT(predicted, file),
    CELL_TEXT(predicted, label),
    CELL_REAL(predicted, probability),
    CELL_TEXT(predicted, next),
    FIELD_END,
};

/* The N labels ORDER[1...] with their probabilities, "cat 0.2000, dog 0.1000", owned by the caller; NULL: out of
 * memory. */
static char *next_text(const struct job *j, const float *prob, int n)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    for (int k = 1; file && k < n; k++)
        fprintf(file, "%s%s %.4f", k > 1 ? ", " : "", j->t->vocab[j->order[k]],
                (double)prob[j->order[k]]);
    if (!file || fclose(file) == 0)
        return text;
    free(text);
    return NULL;
}

static int add_result(struct job *j, const char *file, const float *prob, struct err *err)
{
    const int n = find_best(j->order, j->top, prob, j->t->classes);
    json_t *best = json_array();
    char *next = next_text(j, prob, n);
    const struct predicted p = {file, j->t->vocab[j->order[0]], (double)prob[j->order[0]], best,
                                next};
    int rc = -1;

    for (int k = 0; k < n; k++) {
        const struct predicted_label l = {j->t->vocab[j->order[k]], (double)prob[j->order[k]]};

        json_array_append_new(best, tabular_object(predicted_label_fields, &l));
    }
    if (!best || !next || json_array_append_new(j->list, tabular_object(predicted_fields, &p)) < 0)
        err_set(err, ERR_NOMEM, "%s", file);
    else
        rc = tabular_add_record(j->rows, row_fields, &p, err);
    json_decref(best);
    free(next);
    return rc;
}

/* ROUND of test-time augmentation; -1: without. */
static int run_round(struct job *j, int round, float *prob, struct err *err)
{
    const struct experiment *e = j->t->experiment;

    for (int i = 0; i < j->n; i++) {
        struct picture *p = &j->pictures[i];

        if (round < 0)
            augment_validation(&p->map, &e->augment, p->height, p->width, j->t->size);
        else
            augment_tta(&p->map, &e->augment, p->height, p->width, j->t->size, (uint64_t)e->seed,
                        (uint32_t)round, j->crc[i]);
    }
    return infer_run(j->t->infer, j->pictures, j->n, prob, NULL, err);
}

static int run_tta(struct job *j, struct err *err)
{
    const struct tta tta = {.rounds = j->r->rounds, .beta = j->r->beta};
    size_t cells = (size_t)j->n * (size_t)j->t->classes;

    memset(j->sum, 0, cells * sizeof *j->sum);
    for (int round = 0; round < tta.rounds; round++) {
        if (run_round(j, round, j->once, err) < 0)
            return -1;
        for (size_t k = 0; k < cells; k++)
            j->sum[k] += j->once[k];
    }
    tta_blend(j->prob, j->sum, cells, &tta);
    return 0;
}

/* LAID, MAP_SIDE px, of picture I, predicted as BEST: beside the picture on the sheet, or into its row of the list. */
static int put_map(struct job *j, int i, int best, const uint8_t *laid, struct err *err)
{
    json_t *row = json_array_get(j->list, json_array_size(j->list) - (size_t)(j->n - i));
    const struct picture *p = &j->pictures[i];
    char text[512];
    uint8_t *jpeg;
    size_t size;
    int rc;

    if (j->sheet) {
        snprintf(text, sizeof text, "%.400s %.0f %%", j->t->vocab[best],
                 100 * (double)j->prob[(size_t)i * (size_t)j->t->classes + (size_t)best]);
        if (sheet_put(j->sheet, j->cell, p->pixels, p->height, p->width, path_base(j->files[i]), "",
                      err) < 0 ||
            sheet_put(j->sheet, j->cell + 1, laid, MAP_SIDE, MAP_SIDE, text, "", err) < 0)
            return -1;
        j->cell += 2;
        return 0;
    }
    if (encode_jpeg(&jpeg, &size, laid, MAP_SIDE, MAP_SIDE, THUMB_QUALITY, JPEG_420, err) < 0)
        return -1;
    rc = thumb_set(row, "cam", jpeg, size, err);
    free(jpeg);
    return rc;
}

/* The chunk's pictures join their rows of the list, as far as a page shows them. */
static int add_thumbs(struct job *j, struct err *err)
{
    const size_t first = json_array_size(j->list) - (size_t)j->n;

    for (size_t i = 0; i < (size_t)j->n && first + i < PREDICT_PICTURES; i++)
        if (thumb_of(json_array_get(j->list, first + i), j->pixels[i], j->pictures[i].height,
                     j->pictures[i].width, err) < 0)
            return -1;
    return 0;
}

/* Where the network saw what it predicts for each picture of the chunk. Each has its map of run_round(-1). */
static int run_maps(struct job *j, struct err *err)
{
    const size_t each = (size_t)MAP_SIDE * MAP_SIDE * 3;
    uint8_t *laid = malloc((size_t)j->n * each);
    int classes[CHUNK], rc;

    if (!laid)
        return err_set(err, ERR_NOMEM, "class activation maps");
    for (int i = 0; i < j->n; i++)
        (void)find_best(&classes[i], 1, j->prob + (size_t)i * (size_t)j->t->classes, j->t->classes);
    rc = cams_lay(laid, MAP_SIDE, j->cam, j->pictures, j->n, classes, err);
    for (int i = 0; i < j->n && rc == 0; i++)
        rc = put_map(j, i, classes[i], laid + (size_t)i * each, err);
    free(laid);
    return rc;
}

static int run_chunk(struct job *j, struct err *err)
{
    if (j->n == 0)
        return 0;
    if (run_round(j, -1, j->prob, err) < 0)
        return -1;
    if (j->r->rounds > 0 && run_tta(j, err) < 0)
        return -1;
    for (int i = 0; i < j->n; i++)
        if (add_result(j, j->files[i], j->prob + (size_t)i * (size_t)j->t->classes, err) < 0)
            return -1;
    if (j->r->report && add_thumbs(j, err) < 0)
        return -1;
    if (j->cam && j->r->rounds > 0 && run_round(j, -1, j->once, err) < 0) /* sets the maps again */
        return -1;
    if (j->cam && run_maps(j, err) < 0)
        return -1;
    j->n = 0;
    return 0;
}

static int run_files(struct job *j, struct err *err)
{
    for (size_t i = 0; i < j->files_given.n; i++) {
        const char *file = j->files_given.files[i];
        struct err why = {0};

        if (load(j, file, &why) < 0) {
            if (why.kind == ERR_NOMEM)
                return err_set(err, why.kind, "%s: %s", file, why.msg);
            if (strstr(why.msg, file))
                log_error("%s", why.msg);
            else
                log_error("%s: %s", file, why.msg);
            j->failed++;
        }
        if (j->n == CHUNK && run_chunk(j, err) < 0)
            return -1;
    }
    return run_chunk(j, err);
}

/* A run, or a checkpoint's file alone. */
static int open_model(struct job *j, const struct request *r, struct err *err)
{
    char folder[PATH_LEN], backend[80];
    char *words[1] = {backend};

    snprintf(backend, sizeof backend, "%s", r->backend ? r->backend : "");
    if (request_is_file(r)) {
        if (trained_open_file(&j->owned, r->run, words, r->backend ? 1 : 0, err) < 0)
            return strstr(err->msg, r->run) ? -1 : err_wrap(err, "%s", r->run);
        j->t = j->owned;
        return 0;
    }
    if (run_find(folder, r->results, r->run, err) < 0)
        return -1;
    if (trained_open(&j->owned, folder, r->which, words, r->backend ? 1 : 0, NULL, err) < 0)
        return err_wrap(err, "%s", folder);
    j->t = j->owned;
    return r->rounds > 0 ? scoring_check_tta(&j->t->experiment->augment, path_base(folder), err)
                         : 0;
}

/* A row of the sheet has two files, each as it is and with its map. */
static int open_sheet(struct job *j, struct err *err)
{
    const size_t n = j->files_given.n;

    if (n > MAPS_MAX)
        return err_set(err, ERR_INPUT, "--cam draws at most %d files, not %zu", MAPS_MAX, n);
    if (sheet_check_path(j->r->cam, err) < 0 || cams_check(j->t, err) < 0 ||
        cam_new(&j->cam, j->t, err) < 0)
        return -1;
    return n == 0 ? 0 : sheet_new(&j->sheet, 2 * (int)n, n == 1 ? 2 : 4, MAP_SIDE, err);
}

/* Room for what the network says. */
static int open_room(struct job *j, const struct request *r, struct err *err)
{
    j->r = r;
    log_debug("%d classes, %d px of %d px", j->t->classes, j->t->size, j->t->presize);
    j->top = r->top == 0 ? DEFAULT_TOP : r->top;
    j->top = j->top > j->t->classes ? j->t->classes : j->top;
    j->order = calloc((size_t)j->top, sizeof *j->order);
    j->prob = calloc((size_t)CHUNK * (size_t)j->t->classes, sizeof *j->prob);
    j->sum = calloc((size_t)CHUNK * (size_t)j->t->classes, sizeof *j->sum);
    j->once = calloc((size_t)CHUNK * (size_t)j->t->classes, sizeof *j->once);
    j->rows = json_array();
    j->list = json_array();
    if (!j->order || !j->prob || !j->sum || !j->once || !j->rows || !j->list)
        return err_set(err, ERR_NOMEM, "predictions");
    return 0;
}

static int open_job(struct job *j, const struct request *r, struct err *err)
{
    if (open_model(j, r, err) < 0 || file_list_read(&j->files_given, r, err) < 0 ||
        open_room(j, r, err) < 0)
        return -1;
    j->failed = j->files_given.failed;
    return r->cam ? open_sheet(j, err) : 0;
}

/* --report=FILE, else beside the run's own page; prints the path. */
static int write_page(FILE *out, const struct job *j, struct err *err)
{
    const struct request *r = j->r;
    char folder[PATH_LEN] = "", path[PATH_LEN];
    struct predict_page page = {
        .list = j->list, .labels = j->top, .rounds = r->rounds, .failed = j->failed};

    if (!request_is_file(r) && run_find(folder, r->results, r->run, err) < 0)
        return -1;
    page.run = path_base(folder[0] ? folder : r->run);
    if ((r->page_file ? path_format(path, err, "%s", r->page_file)
                      : path_format(path, err, "%s/predicted.html", folder)) < 0 ||
        predict_page_write(path, &page, err) < 0)
        return -1;
    tabular_text(out, path);
    fputc('\n', out);
    return 0;
}

int predict_files(FILE *out, const struct request *r, struct err *err)
{
    struct job *j = calloc(1, sizeof *j);
    int rc = -1;

    if (!j)
        return err_set(err, ERR_NOMEM, "predictions");
    if (open_job(j, r, err) < 0 || run_files(j, err) < 0)
        goto out;
    if (j->sheet && j->cell > 0 && sheet_write(j->sheet, r->cam, err) < 0)
        goto out;
    if (r->report)
        rc = json_array_size(j->list) > 0 ? write_page(out, j, err) : 0;
    else if (r->form == FORM_JSON)
        rc = tabular_json(out, j->list, err);
    else if (json_array_size(j->rows) > 0) {
        tabular_print_records(out, r->form, row_fields, j->rows);
        rc = 0;
    } else {
        rc = 0;
    }
    if (rc == 0 && j->cell > 0 && r->form == FORM_TEXT) {
        fputc('\n', out);
        tabular_text(out, r->cam);
        fputc('\n', out);
    }
    if (rc == 0 && j->failed > 0)
        rc = err_set(err, ERR_INPUT, "%d of %zu files cannot be read as pictures", j->failed,
                     j->files_given.n + (size_t)j->files_given.failed);
out:
    job_free(j);
    free(j);
    return rc;
}

struct predictor {
    struct job job;
};

int predictor_new(struct predictor **out, const struct trained *t, struct err *err)
{
    static const struct request plain = {0};
    struct predictor *p = calloc(1, sizeof *p);

    *out = NULL;
    if (!p)
        return err_set(err, ERR_NOMEM, "predictions");
    p->job.t = t;
    if (open_room(&p->job, &plain, err) < 0 ||
        (cams_check(t, NULL) == 0 && cam_new(&p->job.cam, t, err) < 0)) {
        predictor_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

void predictor_free(struct predictor *p)
{
    if (p)
        job_free(&p->job);
    free(p);
}

int predict_bytes(json_t **out, struct predictor *p, const void *bytes, size_t size,
                  struct err *err)
{
    struct job *j = &p->job;
    int rc = -1;

    *out = NULL;
    if (load_bytes(j, "the picture", bytes, size, err) == 0 && run_chunk(j, err) == 0) {
        *out = json_incref(json_array_get(j->list, 0));
        rc = 0;
    }
    j->n = 0;
    json_array_clear(j->rows);
    json_array_clear(j->list);
    return rc;
}
