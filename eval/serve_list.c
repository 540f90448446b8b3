/* serve_list.c - what the server knows: its secrets, the runs and the studies. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "experiment/cams.h"
#include "predict.h"
#include "run/epoch.h"
#include "run/run.h"
#include "run/study.h"
#include "serve_answer.h"

/* Of a run without final figures: those of its last epoch. */
static void take_last_epoch(struct served_run *run)
{
    struct field_lines lines;

    if (epochs_read(&lines, run->folder, NULL) == 0 && lines.n > 0) {
        const struct epoch_line *last = (const struct epoch_line *)lines.all + lines.n - 1;

        run->epoch = last->epoch;
        run->error_rate = last->metric[MONITOR_ERROR_RATE];
        run->valid_loss = last->metric[MONITOR_VALID_LOSS];
    }
    fields_free_lines(&lines);
}

static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%.*s", (int)size - 1, text ? text : "");
}

static void fill_in(struct served_run *run, const struct run_entry *e, const char *study)
{
    const struct run_facts *f = &e->facts;

    snprintf(run->name, sizeof run->name, "%.255s%s%.255s", study, study[0] ? "/" : "", e->name);
    memcpy(run->folder, e->folder, sizeof run->folder);
    copy_text(run->study, sizeof run->study, study);
    run->status = e->status;
    run->readable = e->run != NULL;
    copy_text(run->fault, sizeof run->fault, e->fault[0] ? e->fault : f->error);
    copy_text(run->start, sizeof run->start, f->start);
    copy_text(run->set, sizeof run->set, f->set);
    copy_text(run->experiment, sizeof run->experiment, f->experiment);
    run->seed = f->seed;
    run->epoch = FIELD_NO_INT;
    run->error_rate = e->figures.final.metric[MONITOR_ERROR_RATE];
    run->valid_loss = e->figures.final.metric[MONITOR_VALID_LOSS];
    if (e->run && !e->metrics)
        take_last_epoch(run);
}

static int add_runs(struct serve *s, const char *folder, const char *study, struct err *err)
{
    struct run_entry *runs;
    struct served_run *more;
    size_t n;

    if (run_list(&runs, &n, folder, err) < 0)
        return -1;
    more = realloc(s->runs, (s->n_runs + n + 1) * sizeof *more);
    if (!more) {
        run_list_free(runs, n);
        return err_set(err, ERR_NOMEM, "%zu runs", n);
    }
    s->runs = more;
    for (size_t i = 0; i < n; i++)
        fill_in(&more[s->n_runs++], &runs[i], study);
    run_list_free(runs, n);
    return 0;
}

static int add_study(struct serve *s, const char *name, const char *folder, struct err *err)
{
    struct served_study *more = realloc(s->studies, (s->n_studies + 1) * sizeof *more);

    if (!more)
        return err_set(err, ERR_NOMEM, "studies");
    s->studies = more;
    copy_text(more[s->n_studies].name, sizeof more->name, name);
    memcpy(more[s->n_studies++].folder, folder, sizeof more->folder);
    return add_runs(s, folder, name, err);
}

static int by_start(const void *a, const void *b)
{
    const struct served_run *x = a, *y = b;
    const int order = strcmp(x->start, y->start);

    return order ? order : strcmp(x->name, y->name);
}

int serve_list(struct serve *s, struct err *err)
{
    struct dirent **entries;
    int n, rc;

    s->n_runs = s->n_studies = 0;
    n = scandir(s->results, &entries, NULL, alphasort);
    rc = 0;
    for (int i = 0; i < n; i++) {
        char folder[PATH_LEN];
        struct err why = {0};

        if (rc == 0 && study_below(folder, s->results, entries[i]->d_name) &&
            add_study(s, entries[i]->d_name, folder, &why) < 0)
            rc = why.kind == ERR_NOMEM ? err_set(err, why.kind, "%s", why.msg) : 0;
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    if (rc < 0 || add_runs(s, s->results, "", err) < 0)
        return -1;
    if (s->n_runs > 0)
        qsort(s->runs, s->n_runs, sizeof *s->runs, by_start);
    return 0;
}

const struct served_run *serve_listed(const struct serve *s, const char *name)
{
    for (size_t i = 0; i < s->n_runs; i++)
        if (strcmp(s->runs[i].name, name) == 0)
            return &s->runs[i];
    return NULL;
}

const struct served_run *serve_find(struct serve *s, const char *name)
{
    const struct served_run *run = serve_listed(s, name);

    /* a run may have begun since the list was read */
    return run || serve_list(s, NULL) < 0 ? run : serve_listed(s, name);
}

static const struct served_study *listed_study(const struct serve *s, const char *name)
{
    for (size_t i = 0; i < s->n_studies; i++)
        if (strcmp(s->studies[i].name, name) == 0)
            return &s->studies[i];
    return NULL;
}

const struct served_study *serve_find_study(struct serve *s, const char *name)
{
    const struct served_study *study = listed_study(s, name);

    return study || serve_list(s, NULL) < 0 ? study : listed_study(s, name);
}

/* --- begin and end -------------------------------------------------------------------------------- */

static int draw_secret(char out[SERVE_SECRET], struct err *err)
{
    unsigned char random[(SERVE_SECRET - 1) / 2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(err, "cannot draw a random token");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
    return 0;
}

int serve_begin(struct serve *s, const struct request *r, struct err *err)
{
    char *results = realpath(r->results, NULL);

    memset(s, 0, sizeof *s);
    if (!results)
        return err_errno(err, "cannot serve %s", r->results);
    snprintf(s->results, sizeof s->results, "%s", results);
    free(results);
    s->r = *r;
    s->r.results = s->results;
    if (draw_secret(s->session, err) < 0 || draw_secret(s->token, err) < 0)
        return -1;
    return serve_list(s, err);
}

void serve_close_model(struct serve *s)
{
    predictor_free(s->predictor);
    cams_close(s->cams);
    trained_close(s->model);
    s->predictor = NULL;
    s->cams = NULL;
    s->model = NULL;
}

void serve_end(struct serve *s)
{
    free(s->runs);
    free(s->studies);
    shard_set_close(s->shards);
    serve_close_model(s);
}
