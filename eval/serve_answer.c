/* serve_answer.c - see serve_answer.h. SPDX-License-Identifier: MIT */
#include "serve_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "comparison.h"
#include "draw/thumb.h"
#include "experiment/cams.h"
#include "issues_page.h"
#include "look.h"
#include "predict.h"
#include "run_page.h"
#include "saved_marks.h"
#include "serve_pages.h"
#include "study_page.h"

enum { SIDE_MIN = 16, SIDE_MAX = 2048 };

static const char html[] = "text/html; charset=utf-8", json[] = "application/json",
                  bytes[] = "application/octet-stream";

void answer_free(struct answer *a)
{
    free(a->body);
    memset(a, 0, sizeof *a);
}

/* --- what is asked for ---------------------------------------------------------------------------- */

const char *ask_argument(const struct ask *q, const char *name)
{
    for (int i = 0; i < q->n_arguments; i++)
        if (strcmp(q->arguments[i].name, name) == 0)
            return q->arguments[i].value ? q->arguments[i].value : "";
    return NULL;
}

/* The runs that Q names, all of them in the list; *n of them. NULL: ERR_INPUT, ERR_NOMEM. The texts are the list's. */
static char **asked_runs(int *n, struct serve *s, const struct ask *q, struct err *err)
{
    char **words = calloc(SERVE_ARGUMENTS, sizeof *words);

    *n = 0;
    if (!words) {
        err_set(err, ERR_NOMEM, "runs");
        return NULL;
    }
    for (int i = 0; i < q->n_arguments; i++)
        if (strcmp(q->arguments[i].name, "run") == 0 && q->arguments[i].value &&
            !serve_listed(s, q->arguments[i].value)) {
            (void)!serve_list(s, NULL); /* once, and first of all: runs move in memory */
            break;
        }
    for (int i = 0; i < q->n_arguments; i++) {
        const struct served_run *run;

        if (strcmp(q->arguments[i].name, "run") != 0)
            continue;
        run = q->arguments[i].value ? serve_listed(s, q->arguments[i].value) : NULL;
        if (!run) {
            err_set(err, ERR_INPUT, "no such run in the results folder");
            free(words);
            return NULL;
        }
        words[(*n)++] = (char *)(uintptr_t)run->folder;
    }
    if (*n > 0)
        return words;
    err_set(err, ERR_INPUT, "no run was named");
    free(words);
    return NULL;
}

static const struct served_run *asked_run(struct serve *s, const struct ask *q, struct err *err)
{
    const char *name = ask_argument(q, "run");
    const struct served_run *run = name ? serve_find(s, name) : NULL;

    if (!run)
        err_set(err, ERR_INPUT, "no such run in the results folder");
    return run;
}

/* The shards of the run in FOLDER, opened once for the pictures that are asked for one after the other. */
static const struct shard_set *open_shards(struct serve *s, const char *folder, struct err *err)
{
    struct look l;

    if (s->shards && strcmp(s->shards_of, folder) == 0)
        return s->shards;
    shard_set_close(s->shards);
    s->shards = NULL;
    if (look_open(&l, &s->r, folder, err) < 0)
        return NULL;
    s->shards = look_open_shards(&l, &s->r, err);
    look_close(&l);
    snprintf(s->shards_of, sizeof s->shards_of, "%s", folder);
    return s->shards;
}

/* The run's checkpoints as they are now: a run in progress writes others, and one may be made again under its name. */
static void name_model(char *out, size_t size, const char *folder)
{
    static const char *const files[] = {"last", "best"};
    size_t used = (size_t)snprintf(out, size, "%s", folder);
    char path[PATH_LEN];

    for (size_t i = 0; i < 2 && used < size; i++) {
        struct stat st = {0};

        if (path_format(path, NULL, "%s/checkpoints/%s.json", folder, files[i]) < 0 ||
            stat(path, &st) < 0)
            continue;
        used += (size_t)snprintf(out + used, size - used, " %s %llu %lld.%09ld", files[i],
                                 (unsigned long long)st.st_ino, (long long)st.st_mtim.tv_sec,
                                 st.st_mtim.tv_nsec);
    }
}

/* The network of the run in FOLDER, opened once for the questions that come one after the other. */
static int open_model(struct serve *s, const char *folder, struct err *err)
{
    char name[sizeof s->model_of];

    name_model(name, sizeof name, folder);
    if (s->model && strcmp(s->model_of, name) == 0)
        return 0;
    serve_close_model(s);
    if (trained_open(&s->model, folder, NULL, NULL, 0, NULL, err) < 0)
        return err_wrap(err, "%s", path_base(folder));
    snprintf(s->model_of, sizeof s->model_of, "%s", name);
    return 0;
}

/* --- answers -------------------------------------------------------------------------------------- */

static int make_policy(struct answer *a, const char *page, struct err *err)
{
    FILE *out = fmemopen(a->policy, sizeof a->policy, "w");
    int rc;

    if (!out)
        return err_set(err, ERR_NOMEM, "policy");
    rc = page_policy(out, page, true, err);
    return fclose(out) != 0 && rc == 0 ? err_set(err, ERR_NOMEM, "policy") : rc;
}

struct page_job {
    struct serve *s;
    const struct ask *q;
    const char *title, *text; /* of a message */
};

/* The page that PUT prints becomes the body. */
static int answer_page(struct answer *a, struct page_job *job, const char *run,
                       int (*put)(struct page_job *, struct page_served *, struct err *),
                       struct err *err)
{
    /* who is refused, or sees a message only, needs no token */
    struct page_served served = {.token = job->title ? NULL : job->s->token, .run = run};
    int rc;

    served.out = open_memstream(&a->body, &a->size);
    if (!served.out)
        return err_set(err, ERR_NOMEM, "page");
    rc = put(job, &served, err);
    if (fclose(served.out) != 0 && rc == 0)
        rc = err_set(err, ERR_NOMEM, "page");
    if (rc == 0)
        rc = make_policy(a, served.name, err);
    if (rc < 0) {
        free(a->body);
        a->body = NULL;
        a->size = 0;
        return -1;
    }
    a->type = html;
    return 0;
}

static int put_message(struct page_job *job, struct page_served *served, struct err *err)
{
    return serve_message_page(served, job->title, job->text, err);
}

/* Without words where there is no memory for them. A page, so that the list of runs is one click away. */
void answer_message(struct answer *a, const struct serve *s, int status, const char *title,
                    const char *text)
{
    struct page_job job = {(struct serve *)(uintptr_t)s, NULL, title, text};

    a->status = status;
    (void)!answer_page(a, &job, NULL, put_message, NULL);
}

static int answer_json(struct answer *a, json_t *value, struct err *err)
{
    a->body = value ? json_text(value, 0) : NULL;
    json_decref(value);
    if (!a->body)
        return err_set(err, ERR_NOMEM, "answer");
    a->size = strlen(a->body);
    a->type = json;
    return 0;
}

static int put_runs(struct page_job *job, struct page_served *served, struct err *err)
{
    return serve_runs_page(job->s, served, err);
}

static int get_runs(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    struct page_job job = {.s = s, .q = q};

    if (serve_list(s, err) < 0)
        return -1;
    return answer_page(a, &job, NULL, put_runs, err);
}

static int put_run(struct page_job *job, struct page_served *served, struct err *err)
{
    const struct served_run *run = asked_run(job->s, job->q, err);
    struct request r = job->s->r;

    if (!run)
        return -1;
    served->study = run->study[0] ? run->study : NULL;
    r.run = run->folder;
    r.served = served;
    r.verify = ask_argument(job->q, "verify") != NULL;
    return run_page_write(&r, err);
}

static int get_run(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    struct page_job job = {.s = s, .q = q};

    return answer_page(a, &job, ask_argument(q, "run"), put_run, err);
}

static const struct served_study *asked_study(struct serve *s, const struct ask *q, struct err *err)
{
    const char *name = ask_argument(q, "study");
    const struct served_study *study = name ? serve_find_study(s, name) : NULL;

    if (!study)
        err_set(err, ERR_INPUT, "no such study in the results folder");
    return study;
}

static int put_study(struct page_job *job, struct page_served *served, struct err *err)
{
    const struct served_study *study = asked_study(job->s, job->q, err);
    struct request r = job->s->r;

    if (!study)
        return -1;
    r.served = served;
    return study_page_write(NULL, &r, study->folder, err);
}

static int get_study(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    struct page_job job = {.s = s, .q = q};

    return answer_page(a, &job, NULL, put_study, err);
}

static int put_comparison(struct page_job *job, struct page_served *served, struct err *err)
{
    struct request r = job->s->r;
    bool regression;
    int rc = -1;

    r.words = asked_runs(&r.n_words, job->s, job->q, err);
    r.served = served;
    r.report = true;
    if (r.words && r.n_words < 2)
        err_set(err, ERR_INPUT, "tick two runs or more to compare them");
    else if (r.words)
        rc = comparison_print(NULL, &r, &regression, err);
    free(r.words);
    return rc;
}

static int get_comparison(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    struct page_job job = {.s = s, .q = q};

    return answer_page(a, &job, ask_argument(q, "run"), put_comparison, err);
}

/* The page of S; pictures and marks are asked for by the first of its runs: all have the same set. */
static int print_suspects(struct suspects *suspects, const struct request *r,
                          struct page_served *served, const struct serve *s, struct err *err)
{
    const char *folder = suspects->runs[0].run.folder;
    const size_t n = strlen(s->results);
    char unused[PATH_LEN];

    if (strncmp(folder, s->results, n) != 0 || folder[n] != '/')
        return err_set(err, ERR_INPUT, "the run is not in the results folder");
    served->run = folder + n + 1;
    return issues_page_write(unused, suspects, r, NULL, err);
}

static int print_issues(struct request *r, struct page_served *served, const struct serve *s,
                        struct err *err)
{
    struct suspects suspects;
    int rc;

    r->served = served;
    if (suspects_find(&suspects, r, err) < 0)
        return -1;
    rc = print_suspects(&suspects, r, served, s, err);
    suspects_free(&suspects);
    served->run = NULL;
    return rc;
}

/* By all runs of a study that are done, or by the runs that are named. */
static int put_issues(struct page_job *job, struct page_served *served, struct err *err)
{
    const bool of_study = ask_argument(job->q, "study") != NULL;
    struct request r = job->s->r;
    const struct served_study *study;
    char *folder[1];
    int rc;

    if (!of_study) {
        r.words = asked_runs(&r.n_words, job->s, job->q, err);
        rc = r.words ? print_issues(&r, served, job->s, err) : -1;
        free(r.words);
        return rc;
    }
    if (ask_argument(job->q, "run"))
        return err_set(err, ERR_INPUT, "name a study or runs, not both");
    study = asked_study(job->s, job->q, err);
    if (!study)
        return -1;
    served->study = study->name;
    folder[0] = (char *)(uintptr_t)study->folder;
    r.words = folder;
    r.n_words = 1;
    return print_issues(&r, served, job->s, err);
}

static int get_issues(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    struct page_job job = {.s = s, .q = q};

    return answer_page(a, &job, NULL, put_issues, err);
}

/* run=NAME&id=PICTURE[&side=PX]: a picture of a run. */
struct asked_picture {
    const struct served_run *run;
    const struct shard_set *shards;
    uint32_t rank, side;
};

static int asked_picture(struct asked_picture *p, struct serve *s, const struct ask *q,
                         struct err *err)
{
    const char *id = ask_argument(q, "id"), *side = ask_argument(q, "side");
    long px = SIDE_MAX;
    int64_t rank;
    char *end;

    p->run = asked_run(s, q, err);
    if (!p->run)
        return -1;
    if (side) {
        px = isdigit((unsigned char)side[0]) && strlen(side) < 6 ? strtol(side, &end, 10) : -1;
        if (px < SIDE_MIN || px > SIDE_MAX || *end)
            return err_set(err, ERR_INPUT, "side: expected %d to %d pixels", SIDE_MIN, SIDE_MAX);
    }
    p->shards = open_shards(s, p->run->folder, err);
    if (!p->shards)
        return -1;
    rank = id ? shard_set_rank(p->shards, id) : -1;
    if (rank < 0)
        return err_set(err, ERR_INPUT, "the run's set has no such picture");
    p->rank = (uint32_t)rank;
    p->side = (uint32_t)px;
    return 0;
}

static int answer_jpeg(struct answer *a, uint8_t *jpeg)
{
    a->body = (char *)jpeg;
    a->type = "image/jpeg";
    return 0;
}

static int get_picture(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    struct asked_picture p;
    uint8_t *jpeg;

    if (asked_picture(&p, s, q, err) < 0 ||
        thumb_jpeg(&jpeg, &a->size, p.shards, p.rank, p.side, err) < 0)
        return -1;
    return answer_jpeg(a, jpeg);
}

/* The class that the run predicts for picture ID; -1: ERR_INPUT. */
static int predicted_class(const struct look *l, const char *id, struct err *err)
{
    for (uint32_t i = 0; l->p && i < l->p->n; i++)
        if (strcmp(l->p->ids[i], id) == 0)
            return l->p->predicted[i];
    return err_set(err, ERR_INPUT, "the run did not predict this picture");
}

/* The class activation map of what the run predicts. */
static int get_cam(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    struct asked_picture p;
    struct look l;
    uint8_t *jpeg;
    int class;

    if (asked_picture(&p, s, q, err) < 0 || look_open(&l, &s->r, p.run->folder, err) < 0)
        return -1;
    class = predicted_class(&l, shard_set_picture(p.shards, p.rank)->path, err);
    look_close(&l);
    if (class < 0)
        return -1;
    if (open_model(s, p.run->folder, err) < 0 ||
        (!s->cams && cams_new(&s->cams, s->model, err) < 0) ||
        cams_jpeg(&jpeg, &a->size, s->cams, p.shards, p.rank, class, (int)p.side, err) < 0)
        return -1;
    return answer_jpeg(a, jpeg);
}

static int post_marks(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    const struct served_run *run = asked_run(s, q, err);
    const struct shard_set *shards;
    char path[PATH_LEN], sha256[SHA256_HEX];
    struct look l;
    int rc;

    if (!run || look_open(&l, &s->r, run->folder, err) < 0)
        return -1;
    rc = saved_marks_path(path, &l, &s->r, err);
    look_close(&l);
    if (rc < 0)
        return -1;
    shards = open_shards(s, run->folder, err);
    if (!shards || saved_marks_write(sha256, path, q->body, q->size, shards, err) < 0)
        return -1;
    log_info("%s was written", path);
    return answer_json(a, json_pack("{s:s, s:s}", "file", path, "was", sha256), err);
}

static int post_picture(struct serve *s, const struct ask *q, struct answer *a, struct err *err)
{
    const struct served_run *run = asked_run(s, q, err);
    json_t *found;

    if (!run || open_model(s, run->folder, err) < 0 ||
        (!s->predictor && predictor_new(&s->predictor, s->model, err) < 0) ||
        predict_bytes(&found, s->predictor, q->body, q->size, err) < 0)
        return -1;
    json_object_del(found, "file");
    return answer_json(a, found, err);
}

/* --- which question is answered by what ----------------------------------------------------------- */

static const struct route routes[] = {
    {"GET", "/", NULL, 0, get_runs},
    {"GET", "/run", NULL, 0, get_run},
    {"GET", "/study", NULL, 0, get_study},
    {"GET", "/compare", NULL, 0, get_comparison},
    {"GET", "/issues", NULL, 0, get_issues},
    {"GET", "/picture", NULL, 0, get_picture},
    {"GET", "/cam", NULL, 0, get_cam},
    {"POST", "/marks", json, SERVE_SAVED_MAX, post_marks},
    {"POST", "/predict", bytes, SERVE_PICTURE_MAX, post_picture},
};
enum { ROUTES = sizeof routes / sizeof *routes };

const char *ask_method(const struct ask *q)
{
    return strcmp(q->method, "HEAD") == 0 ? "GET" : q->method;
}

const struct route *route_find(const struct ask *q, const char **methods)
{
    *methods = NULL;
    for (int i = 0; i < ROUTES; i++) {
        if (strcmp(routes[i].path, q->path) != 0)
            continue;
        if (strcmp(routes[i].method, ask_method(q)) == 0)
            return &routes[i];
        *methods = strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD" : routes[i].method;
    }
    return NULL;
}

/* --- answered ------------------------------------------------------------------------------------- */

static int status_of(const struct err *err)
{
    switch (err->kind) {
    case ERR_INPUT:
    case ERR_FORMAT:
        return 400;
    case ERR_LOCKED:
        return 409;
    case ERR_FULL:
        return 507;
    default:
        return 500;
    }
}

void serve_answer(struct serve *s, const struct ask *q, struct answer *a)
{
    const char *methods;
    const struct route *route = route_find(q, &methods);
    struct err err = {0};

    BUG_IF(!route); /* serve_admit() was not asked */
    memset(a, 0, sizeof *a);
    a->status = 200;
    if (route->answer(s, q, a, &err) == 0)
        return;
    answer_free(a);
    log_debug("%s: %s", q->path, err.msg);
    if (!route->type) {
        answer_message(a, s, status_of(&err), "This cannot be shown", err.msg);
        return;
    }
    a->status = status_of(&err);
    if (answer_json(a, json_pack("{s:o}", "error", tabular_string(err.msg)), NULL) < 0)
        a->size = 0;
}
