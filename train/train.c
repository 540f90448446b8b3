/* train.c - the command: train an experiment, resume a run, or look at what would be done.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/fold.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "base/version.h"
#include "cli/cli.h"
#include "data/dataset.h"
#include "draw/canvas.h"
#include "draw/sheet.h"
#include "experiment/experiment.h"
#include "experiment/team.h"
#include "forecast.h"
#include "group/launch.h"
#include "image/decode.h"
#include "learn/begin.h"
#include "learn/facts.h"
#include "learn/useful.h"
#include "range_test.h"
#include "remote/remote.h"
#include "replay.h"
#include "run/run.h"
#include "selftest/selftest.h"
#include "show_batch.h"
#include "summary.h"
#include "tensorfile/tensorfile.h"
#include "worker.h"

enum {
    TRAIN = 0, /* an action without an option */
    OPT_RESUME = 256,
    OPT_SUMMARY,
    OPT_PLAN,
    OPT_KEYS,
    OPT_STOP_AFTER,
    OPT_LR_FIND,
    OPT_SHOW_BATCH,
    OPT_UNIQUE,
    OPT_SELFTEST,
    OPT_QUICK,
    OPT_GPUS,
    OPT_RANKS,
    OPT_LINK,
    OPT_REPLAY,
    OPT_STUDY,
    OPT_SEEDS,
    OPT_SPLIT_SEEDS,
    OPT_FOLDS,
    OPT_TASK,
    OPT_IN,
    OPT_WORKER
};

struct args {
    struct cli_common common;
    struct request request;
    struct worker study; /* of which study, seeds, ..., task are given */
    long worker;         /* 0: none */
    int action;          /* TRAIN, or the OPT_ of something else */
    const char *png;     /* --show-batch */
    bool unique;
    bool ops;         /* --summary=ops */
    bool quick;       /* --selftest */
    int gpus;         /* --gpus; 0: not given */
    int ranks;        /* --ranks; 0: not given */
    struct link link; /* --link; 0: not given */
    char **words;     /* room for argc */
    char backend[64];
};

// clang-format off
static const struct argp_option options[] = {
    {"exp",        'e',            "NAME", 0, "run experiments/NAME.yaml (or a FILE.yaml)", 0},
    {"name",       'n',            "RUN",  0, "name of the run folder (default: time, experiment, hash)", 0},
    {"backend",    'B',            "NAME", 0, "short for exec.backend=NAME", 0},
    {"resume",     OPT_RESUME,     "RUN",  0, "resume a run from its last checkpoint", 0},
    {"replay",     OPT_REPLAY,     "RUN",  0, "compute a run again from its record: equal, or what differs first", 0},
    {"study",      OPT_STUDY,      "FILE", 0, "train the runs of a study: FILE.yaml, or a study's folder", 0},
    {"seeds",      OPT_SEEDS,      "N",    0, "a study: each recipe with N seeds, or with those listed (1,2,7)", 0},
    {"split-seeds", OPT_SPLIT_SEEDS, "N",  0, "a study: likewise with N splits", 0},
    {"folds",      OPT_FOLDS,      "K",    0, "a study: K-fold cross-validation", 0},
    {"task",       OPT_TASK,       "I",    0, "run number I of the study alone, as in a job array", 0},
    {"in",         OPT_IN,         "DIR",  OPTION_HIDDEN, "make the run in DIR, a study's folder", 0},
    {"worker",     OPT_WORKER,     "PID",  OPTION_HIDDEN, "end when the study's process PID does", 0},
    {"gpus",       OPT_GPUS,       "N",    0, "train on N GPUs, from exec.device on: N processes, by mpirun", 0},
    {"ranks",      OPT_RANKS,      "N",    0, "train in N processes, by mpirun; on CPUs the same bits", 0},
    {"link",       OPT_LINK,       "US,GBIT", 0, "with --plan --ranks: links of so many us and Gbit/s (50,10)", 0},
    {"stop-after", OPT_STOP_AFTER, "N",    0, "stop after N epochs of the run; --resume continues", 0},
    {"lr-find",    OPT_LR_FIND,    NULL,   0, "try rates from 1e-7 to 10 and suggest some; no training", 0},
    {"summary",    OPT_SUMMARY,    "ops",  OPTION_ARG_OPTIONAL,
     "show the parts, the first batch and the network by stages, or every op (long lines); no training", 0},
    {"plan",       OPT_PLAN,       NULL,   0, "estimate memory and time by three steps a phase, and what a study can "
        "detect; no training", 0},
    {"show-batch", OPT_SHOW_BATCH, "FILE.png", 0, "draw nine pictures as the network sees them; no training", 0},
    {"unique",     OPT_UNIQUE,     NULL,   0, "with --show-batch: nine augmentations of one picture", 0},
    {"selftest",   OPT_SELFTEST,   NULL,   0, "compare --backend with another backend", 0},
    {"quick",      OPT_QUICK,      NULL,   0, "with --selftest: smaller pictures, fewer steps and networks", 0},
    {"keys",       OPT_KEYS,       NULL,   0, "print every key as Markdown", 0},
    {0},
};
// clang-format on

/* Options that make a study of it. */
static error_t parse_study(int key, char *arg, struct args *a)
{
    switch (key) {
    case OPT_STUDY:
        a->study.study = arg;
        return 0;
    case OPT_SEEDS:
        a->study.axes.seeds = arg;
        return 0;
    case OPT_SPLIT_SEEDS:
        a->study.axes.split_seeds = arg;
        return 0;
    case OPT_FOLDS:
        a->study.axes.folds = arg;
        return 0;
    case OPT_TASK:
        a->study.task = cli_number("train", "--task", arg, 1, 1000000);
        return 0;
    case OPT_IN:
        a->request.in = arg;
        return 0;
    case OPT_WORKER:
        a->worker = cli_number("train", "--worker", arg, 1, INT_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Options that do something else than train. */
static error_t parse_action(int key, char *arg, struct args *a)
{
    switch (key) {
    case OPT_SUMMARY:
        if (arg && strcmp(arg, "ops") != 0)
            die_usage("train", "--summary=%s: expected --summary, or --summary=ops for every op",
                      arg);
        a->ops = arg != NULL;
        break;
    case OPT_SHOW_BATCH:
        a->png = arg;
        break;
    case OPT_PLAN:
    case OPT_SELFTEST:
    case OPT_KEYS:
        break;
    default:
        return parse_study(key, arg, a);
    }
    if (a->action != TRAIN)
        die_usage("train", "one of --summary --plan --show-batch --selftest --keys at a time");
    a->action = key;
    return 0;
}

static bool is_study(const struct args *a)
{
    const struct axes_request *axes = &a->study.axes;

    return a->study.study || axes->seeds || axes->split_seeds || axes->folds;
}

static error_t parse_link(const char *arg, struct args *a)
{
    if (!link_parse(&a->link, arg))
        die_usage("train",
                  "--link %s: expected US,GBIT, microseconds and Gbit/s, as in --link 50,10", arg);
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct args *a = state->input;
    struct request *r = &a->request;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        return 0;
    case 'e':
        r->experiment = arg;
        return 0;
    case 'n':
        r->name = arg;
        return 0;
    case 'B':
        if (snprintf(a->backend, sizeof a->backend, "exec.backend=%s", arg) >=
            (int)sizeof a->backend)
            die_usage("train", "--backend %s: no such backend", arg);
        a->words[r->n_words++] = a->backend;
        return 0;
    case OPT_RESUME:
        r->resume = arg;
        return 0;
    case OPT_REPLAY:
        r->replay = arg;
        return 0;
    case OPT_STOP_AFTER:
        r->stop_after = cli_number("train", "--stop-after", arg, 1, 1000000);
        return 0;
    case OPT_GPUS:
        a->gpus = (int)cli_number("train", "--gpus", arg, 1, GROUP_MAX);
        return 0;
    case OPT_RANKS:
        a->ranks = (int)cli_number("train", "--ranks", arg, 1, GROUP_MAX);
        return 0;
    case OPT_LINK:
        return parse_link(arg, a);
    case OPT_LR_FIND:
        r->instead = range_run;
        r->suffix = "-lr_find";
        return 0;
    case OPT_UNIQUE:
        a->unique = true;
        return 0;
    case OPT_QUICK:
        a->quick = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!strchr(arg, '='))
            die_usage("train", "%s: expected KEY=VALUE (an experiment is named with --exp %s)", arg,
                      arg);
        a->words[r->n_words++] = arg;
        return 0;
    default:
        return parse_action(key, arg, a);
    }
}

static void say_experiments(void)
{
    fputs("train: which experiment? train --exp NAME [KEY=VALUE ...]\n\n", stderr);
    path_describe_share(stderr, SHARE_EXPERIMENTS);
    log_usage("\nTry `train --help' for the options, `train --keys' for every key.\n");
}

/* --summary, --plan and --show-batch. */
static int look(const struct args *a, struct err *err)
{
    const struct summary_ranks ranks = {.ranks = a->ranks,
                                        .link = a->link.bytes_per_s > 0 ? a->link : LINK_DEFAULT};
    const struct request *r = &a->request;
    struct experiment *e;
    struct session *s;
    FILE *out;
    int rc;

    if (useful_read(&e, r->experiment, r->words, r->n_words, err) < 0)
        return -1;
    if (a->action == OPT_SHOW_BATCH) /* pictures are all it needs */
        snprintf(e->model.weights, sizeof e->model.weights, "none");
    if (session_open(&s, e, r->data, r->results, err) < 0)
        return -1;
    out = a->ops ? stdout : fold_begin(stdout); /* a line of ops is a line */
    if (a->action == OPT_SHOW_BATCH)
        rc = show_batch(stdout, s, a->png, a->unique, err);
    else if (a->action == OPT_SUMMARY)
        rc = summary_print(out, s, a->ops, err);
    else
        rc = summary_plan(out, s, &ranks, r->data, r->results, err);
    fold_end(out, stdout);
    session_close(s);
    return rc;
}

/* That --gpus or --ranks asks for; 1: neither. */
static int processes(const struct args *a)
{
    return a->gpus > 1 ? a->gpus : a->ranks > 1 ? a->ranks : 1;
}

/* The study that A asks for, or with --plan what it would cost. */
static int train_study(struct args *a, char folder[PATH_LEN], struct err *err)
{
    struct worker *w = &a->study;
    char several[32];
    int n = 0;

    w->name = a->request.name;
    w->axes.experiment = a->request.experiment;
    w->axes.words = a->request.words;
    w->axes.n_words = a->request.n_words;
    w->data = a->request.data;
    w->results = a->request.results;
    w->program = a->request.argv[0];
    if (a->common.verbose)
        w->passed[n++] = a->common.verbose > 0 ? "--verbose" : "--quiet";
    if (processes(a) > 1) {
        snprintf(several, sizeof several, a->gpus > 1 ? "--gpus=%d" : "--ranks=%d", processes(a));
        w->passed[n++] = several;
    }
    if (strcmp(sandbox_name(), "off") == 0)
        w->passed[n++] = "--no-sandbox";
    return a->action == OPT_PLAN ? forecast_print(stdout, w, err) : worker_train(w, folder, err);
}

static int train(struct args *a, struct err *err)
{
    char folder[PATH_LEN];

    if (is_study(a)) {
        if (train_study(a, folder, err) < 0)
            return -1;
        if (a->action == TRAIN) {
            printf("%s\n", folder);
            fflush(stdout);
            cli_next(&a->common, "eval", (const char *const[]){path_base(folder), NULL});
        }
        return 0;
    }
    if (a->action == OPT_SELFTEST)
        return selftest_run(stdout,
                            &(struct selftest_options){a->request.words, a->request.n_words,
                                                       a->request.results, a->quick},
                            err);
    if (a->action != TRAIN)
        return look(a, err);
    if (a->request.replay)
        return replay_run(stdout, &a->request, err);
    if (a->request.resume) {
        if (begin_resume(&a->request, folder, err) < 0)
            return -1;
    } else if (begin_run(&a->request, folder, err) < 0) {
        return -1;
    }
    printf("%s\n", folder);
    fflush(stdout);
    if (a->request.instead)
        cli_next(&a->common, "train",
                 (const char *const[]){"--exp", a->request.experiment, "lr=RATE", NULL});
    else if (!a->worker && team_leads(a->request.team))
        cli_next(&a->common, "eval", (const char *const[]){path_base(folder), NULL});
    return 0;
}

static void refuse_misuse_of_study(const struct args *a)
{
    const struct request *r = &a->request;

    if (a->study.task > 0 && !is_study(a))
        die_usage("train", "--task I goes with a study: --study FILE, --seeds, --split-seeds or "
                           "--folds");
    if (is_study(a) && (r->resume || r->replay || r->instead || r->stop_after || r->in ||
                        (a->action != TRAIN && a->action != OPT_PLAN)))
        die_usage("train",
                  "a study (--study, --seeds, --split-seeds, --folds) trains, or is planned "
                  "with --plan: leave out --resume, --replay, --lr-find, --stop-after, "
                  "--summary, --show-batch and --selftest");
    if (a->study.task > 0 && a->action == OPT_PLAN)
        die_usage("train", "--plan is of the whole study: leave out --task");
}

/* --plan --ranks N: one process says what N would exchange. */
static bool plans_ranks(const struct args *a, const struct group_place *place)
{
    return a->action == OPT_PLAN && a->ranks > 1 && place->ranks == 1;
}

/* Options that PLACE, one of several processes, or the asking for several does not go with. */
static void refuse_lonely(const struct args *a, const struct group_place *place)
{
    const bool trains = a->action == TRAIN && !a->request.instead && !a->request.replay;
    const bool several = place->ranks > 1 || processes(a) > 1;

    if (a->gpus > 0 && a->ranks > 0)
        die_usage("train", "--gpus N and --ranks N both start N processes: leave one out");
    if (is_study(a) && place->ranks > 1)
        die_usage("train", "processes of mpirun and srun train one run together; of a study, start "
                           "one process, or a job array with --task");
    if (processes(a) > 1 && place->ranks > 1 && !launch_by_ranks())
        die_usage("train", "%s starts processes of its own: leave it out under mpirun and srun",
                  a->gpus > 1 ? "--gpus" : "--ranks");
    if (a->link.bytes_per_s > 0 && (is_study(a) || !plans_ranks(a, place)))
        die_usage("train", "--link goes with --plan --ranks N of one run");
    if (!trains && !is_study(a) && several && !plans_ranks(a, place))
        die_usage("train", "several processes (--gpus, --ranks, mpirun, srun) train one run: for "
                           "anything else, --lr-find too, start one");
}

/* Options that do not go together. */
static void refuse_misuse(const struct args *a, const struct group_place *place)
{
    const struct request *r = &a->request;
    struct err err = {0};

    refuse_misuse_of_study(a);
    refuse_lonely(a, place);
    if ((r->name && begin_check_name(r->name, &err) < 0) ||
        (a->png && sheet_check_path(a->png, &err) < 0))
        die_usage("train", "%s", err.msg);
    if (r->replay && (r->experiment || r->name || r->resume || r->stop_after || r->instead ||
                      a->action != TRAIN || processes(a) > 1)) {
        die_usage("train",
                  "--replay computes a run again as it was recorded: only keys that change "
                  "no result go with it");
    } else if (r->resume && (r->experiment || r->name)) {
        die_usage("train", "--resume keeps the run's own experiment and name: leave out --exp "
                           "and --name");
    } else if (r->instead && a->action != TRAIN) {
        die_usage("train",
                  "--lr-find is a run of its own: leave out --summary, --plan, --show-batch, "
                  "--selftest and --keys");
    } else if (r->instead && (r->resume || r->stop_after)) {
        die_usage("train", "--lr-find tries rates on an experiment's first phase: leave out "
                           "--resume and --stop-after");
    } else if (a->action != TRAIN && r->resume) {
        die_usage("train",
                  "--resume trains: leave out --summary, --plan, --show-batch and --selftest");
    } else if (a->unique && a->action != OPT_SHOW_BATCH) {
        die_usage("train", "--unique goes with --show-batch FILE.png");
    } else if (a->quick && a->action != OPT_SELFTEST) {
        die_usage("train", "--quick goes with --selftest");
    } else if (a->action == OPT_SELFTEST && r->experiment) {
        die_usage("train", "--selftest needs no experiment: leave out --exp");
    }
}

/* What the action writes: a new run's folder is narrowed down to when it is there. Threads that are started later are
 * bound as well, so this comes before the first one; what must be executed, git, and MPI's start come before. */
static int give_up_rights(struct args *a, struct err *err)
{
    const struct request *r = &a->request;
    struct sandbox_place place = {r->in ? r->in : r->results, SANDBOX_WRITE};
    char folder[PATH_LEN];
    bool writes = a->action == TRAIN || a->action == OPT_SELFTEST;

    if (a->action == OPT_SHOW_BATCH) {
        if (path_folder(folder, a->png, err) < 0)
            return -1;
        place.path = folder;
        writes = true;
    } else if (r->resume && run_find(folder, r->results, r->resume, NULL) == 0) {
        place.path = folder;
    } else if (r->replay) {
        writes = false;
    }
    backend_wake_driver();
    if (writes)
        canvas_find_font();
    sandbox_enter(&place, writes ? 1 : 0);
    return 0;
}

/* What --gpus or --ranks starts, or mpirun has; this process may be the one that waits for them. */
static int gather_team(struct args *a, const struct group_place *place, struct err *err)
{
    int status;

    if (is_study(a)) /* each run gathers its own */
        return 0;
    if (processes(a) > 1 && place->ranks == 1 && !plans_ranks(a, place)) {
        if (launch_ranks(processes(a), a->request.argv,
                         "`train --resume` continues from the last checkpoint", &status, err) < 0)
            return -1;
        exit(status);
    }
    a->request.gpus = a->gpus > 1;
    if (a->action == TRAIN && !a->request.resume && !a->request.replay && place->rank == 0)
        a->request.git = facts_git();
    if (team_join(&a->request.team, "train", place, err) < 0)
        return -1;
    return give_up_rights(a, err);
}

noreturn static void end_badly(const struct args *a, const struct err *err)
{
    if (!team_leads(a->request.team)) /* rank 0 says it; another status would have mpirun end it */
        exit(0);
    die("train", err);
}

static const struct version_layer libraries[] = {{image_libraries},
                                                 {data_libraries},
                                                 {remote_libraries},
                                                 {tensorfile_libraries},
                                                 {backend_libraries},
                                                 {draw_libraries},
                                                 {NULL}};

int main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_argp, 0, "Common options:", 0}, {0}};
    static const struct argp cli = {
        options,
        parse,
        "[KEY=VALUE...]",
        "Train an experiment. The last line on stdout is the run "
        "folder's path.\v"
        "KEY=VALUE overrides a key of the experiment, as in "
        "train.batch=32 or train.phases.0.epochs=3; --batch 32, bs=32, --epochs 3 and --lr 1e-3 "
        "are short for their keys. Ctrl-C, SIGTERM, SIGHUP, "
        "SIGUSR1 and SIGUSR2 finish the step, write a checkpoint and say how to resume.\n"
        "Status 0 done, 1 failed or stopped, 2 misused.",
        children,
        NULL,
        NULL};
    struct group_place place;
    struct args a = {.common = {.tool = "train",
                                .libraries = libraries,
                                .find_data = remote_data,
                                .place = &place,
                                /* until loop_catch_signals() there is nothing to keep */
                                .early = "stopped by a signal before the training began"}};
    struct err err = {0};

    a.words = calloc((size_t)argc + 1, sizeof *a.words);
    if (!a.words) {
        err_set(&err, ERR_NOMEM, "arguments");
        die("train", &err);
    }
    a.request.words = a.words;
    a.request.argc = argc;
    a.request.argv = argv;
    a.request.signals = true;
    a.request.table = stdout;
    a.common.keys = experiment_keys(&a.common.n_keys);
    cli_parse(&cli, argc, argv, &a.common, &a);
    a.request.data = a.common.data;
    a.request.results = a.common.results;
    refuse_misuse(&a, &place);
    cli_speak();
    if ((a.worker > 0 && !launch_by_ranks() && worker_follow(a.worker, &err) < 0) ||
        gather_team(&a, &place, &err) < 0)
        die("train", &err);
    if (a.action == OPT_KEYS) {
        experiment_document(stdout);
    } else if (a.action != OPT_SELFTEST && !a.request.experiment && !a.request.resume &&
               !a.request.replay && !is_study(&a)) {
        say_experiments();
        exit(2);
    } else if (train(&a, &err) < 0) {
        end_badly(&a, &err);
    }
    json_decref(a.request.git);
    free(a.words);
    cli_finish("train");
    return 0;
}
