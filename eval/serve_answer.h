/* serve_answer.h - what the server answers, without the server: a question checked, looked up in a table, answered.
 *
 * Nothing that a client sends becomes a path: runs are looked up by name in the list of runs, pictures by name in the
 * index of the run's shards, labels among the classes. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_SERVE_ANSWER_H
#define PRESIZE_EVAL_SERVE_ANSWER_H

#include <stdint.h>

#include "base/path.h"
#include "data/shard.h"
#include "request.h"

enum {
    SERVE_SECRET = 33,
    SERVE_ARGUMENTS = 64,
    SERVE_SAVED_MAX = 8 << 20,
    SERVE_PICTURE_MAX = 64 << 20
};

/* A run that pages may show, and what the list says of it. */
struct served_run {
    char name[512]; /* below the results folder: "first", of a study "sizes/seed=1" */
    char folder[PATH_LEN];
    char study[256];                                       /* "sizes"; "": of none */
    const char *status;                                    /* as of struct run_entry */
    bool readable;                                         /* it has a page */
    char fault[512], start[64], set[256], experiment[256]; /* "": there is none */
    int64_t seed,
        epoch; /* FIELD_NO_INT: not known; epoch: the last of a run without final figures */
    double error_rate, valid_loss; /* NAN: not known */
};

struct served_study {
    char name[256];
    char folder[PATH_LEN];
};

struct serve {
    struct request r;           /* as typed; results is an absolute path */
    char results[PATH_LEN];     /* that path */
    char session[SERVE_SECRET]; /* in the address that is printed, then in a cookie */
    char token[SERVE_SECRET];   /* in the pages, then with all that writes */
    int port;                   /* that the server listens at */
    struct served_run *runs;    /* n_runs, newest last */
    size_t n_runs;
    struct served_study *studies; /* n_studies, by name */
    size_t n_studies;
    struct shard_set *shards; /* of the run SHARDS_OF; NULL: none is open */
    char shards_of[PATH_LEN];
    /* Likewise the network of the run MODEL_OF with its maps and predictions, made when they are first asked for. */
    struct trained *model;
    char model_of[PATH_LEN + 200];
    struct cams *cams;
    struct predictor *predictor;
};

/* A question as it came; strings are borrowed, NULL where the client sent none. */
struct ask {
    const char *method, *path;
    const char *host, *origin, *site,
        *mode; /* headers; the last two are Sec-Fetch-Site and Sec-Fetch-Mode */
    const char *cookie, *token, *type; /* headers; X-Presize-Token, Content-Type */
    const char *fault;                 /* what is wrong with its form; NULL: nothing */
    struct {
        const char *name, *value;
    } arguments[SERVE_ARGUMENTS];
    int n_arguments;
    uint64_t announced; /* bytes of the body by Content-Length; 0: not said */
    const char *body;   /* size bytes, once all of it is there */
    size_t size;
};

struct answer {
    int status;
    const char *type, *allow; /* headers */
    char location[64], cookie[160], policy[700];
    char *body; /* owned, size bytes */
    size_t size;
};

/* Fills in session, token and the lists of runs and studies. ERR_IO, ERR_INPUT, ERR_NOMEM. */
int serve_begin(struct serve *s, const struct request *r, struct err *err) MUST_USE;
void serve_end(struct serve *s); /* all zero is fine */
/* Reads the lists of runs and studies again. ERR_IO, ERR_NOMEM. */
int serve_list(struct serve *s, struct err *err) MUST_USE;
/* The run NAME of the list, which is read again where there is none of that name; NULL. Borrowed until then. */
const struct served_run *serve_find(struct serve *s, const char *name);
/* A study likewise. */
const struct served_study *serve_find_study(struct serve *s, const char *name);
/* Closes the network. */
void serve_close_model(struct serve *s);
/* A run from the list as it is, which then stays where it lies. */
const struct served_run *serve_listed(const struct serve *s, const char *name);

/* Most bytes that the body of Q may have; -1: Q is refused, and A says why. Before the body is read. */
int64_t serve_admit(const struct serve *s, const struct ask *q, struct answer *a);
/* After it, for what was admitted. A always has a status. */
void serve_answer(struct serve *s, const struct ask *q, struct answer *a);
void answer_free(struct answer *a);

#endif
