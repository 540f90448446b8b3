/* arguments.c - see arguments.h. SPDX-License-Identifier: MIT */
#include "arguments.h"

#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "group/launch.h"
#include "groups.h"
#include "option.h"
#include "run/study.h"

enum {
    DEFAULT_LOSSES = 9,
    DEFAULT_ISSUES = 20,
    DEFAULT_ROUNDS = 4,
    MOST_ROUNDS = 1000,
    DEFAULT_PORT = 8127
};

// clang-format off
const struct argp_option arguments_options[] = {
    {"most-confused", OPT_CONFUSED,  "MIN",  OPTION_ARG_OPTIONAL, "classes confused MIN times or more (1)", 0},
    {"confusion",     OPT_CONFUSION, NULL,   0, "draw the confusion matrix and print it where it is small", 0},
    {"top-losses",    OPT_LOSSES,    "K",    OPTION_ARG_OPTIONAL, "the K pictures with the highest loss (9)", 0},
    {"show",          OPT_SHOW,      "FILE.png", 0, "with --top-losses: draw them", 0},
    {"issues",        OPT_ISSUES,    "K",    OPTION_ARG_OPTIONAL, "labels that are likely wrong, by the runs named "
        "(folds of a split) or a folder of runs; shows K (20), writes issues.csv", 0},
    {"with-train",    OPT_WITH_TRAIN, NULL,  0, "with --issues: training pictures, too (the network has seen them)", 0},
    {"plot",          OPT_PLOT,      NULL,   0, "curves of loss, error rate and learning rate in the terminal, also "
        "of a run in progress", 0},
    {"watch",         OPT_WATCH,     NULL,   0, "follow a run in progress and redraw its curves, until the "
        "run ends (status 1 when it is not done) or Ctrl-C (status 0); into a pipe, print a line "
        "per epoch", 0},
    {"report",        OPT_REPORT,    "FILE", OPTION_ARG_OPTIONAL, "write a page of the run or study (with "
        "--compare: of the comparison; with --issues: to mark labels, FILE or issues.html; with --predict: "
        "of the pictures, FILE or predicted.html) and print its path", 0},
    {"serve",         OPT_SERVE,     "PORT", OPTION_ARG_OPTIONAL, "show all runs in a browser of this machine, at PORT "
        "(8127; 0: a free one), and print the address", 0},
    {"compare",       OPT_COMPARE,   NULL,   0, "compare runs: eval --compare RUN RUN...", 0},
    {"groups",        OPT_GROUPS,    NULL,   0, "runs and studies by recipe, tested over seeds", 0},
    {"clean",         OPT_CLEAN,     "FILE", 0, "with --compare: judge all runs by the labels of this table", 0},
    {"fail-on-regression", OPT_FAIL, NULL,   0, "with --compare: status 3 when a run is worse than the first", 0},
    {"predict",       OPT_PREDICT,   NULL,   0, "predict pictures: eval [RUN] --predict FILE...", 0},
    {"cam",           OPT_CAM,       "FILE.png", 0, "with --predict: draw where the network saw the predicted class "
        "(Grad-CAM)", 0},
    {"top",           OPT_TOP,       "K",    0, "with --predict: the K most probable labels, or all (5)", 0},
    {"split",         OPT_SPLIT,     "PART", 0, "score the run on its train, valid or test pictures", 0},
    {"set",           OPT_SET,       "NAME", 0, "score the run on another prepared set with the same classes", 0},
    {"tta",           OPT_TTA,       "N",    OPTION_ARG_OPTIONAL, "average over N augmented rounds as well (4)", 0},
    {"beta",          OPT_BETA,      "B",    0, "with --tta: share of the prediction without augmentation (0.25)", 0},
    {"best",          OPT_BEST,      NULL,   0, "predict or score with the weights of the best epoch, not the last", 0},
    {"ranks",         OPT_RANKS,     "N",    0, "with --split, --set, --tta or --best: score in N processes, by "
        "mpirun; on CPUs the same bits", 0},
    {"backend",       'B',           "NAME", 0, "predict or score: short for exec.backend=NAME", 0},
    {"export",        OPT_EXPORT,    "DIR",  0, "make a folder for other programs: weights, ONNX, preprocessing, "
        "model card, origin. --export FILE.onnx: one file with the weights in it. "
        "--export mlflow DIR: add the run to a store that MLflow reads", 0},
    {"sign",          OPT_SIGN,      "KEY.pem", 0, "with --export: sign the files (model.sig, OpenSSF model "
        "signing) with this private key of an elliptic curve", 0},
    {"verify",        OPT_VERIFY,    NULL,   0, "check the chain of hashes back to the archive", 0},
    {"strict",        OPT_STRICT,    NULL,   0, "with --verify: status 4 when a link could not be checked", 0},
    {"list",          OPT_LIST,      "HOW",  OPTION_ARG_OPTIONAL, "all runs, the latest last; --list=error_rate sorts "
        "by a column, -error_rate the other way, --list=set=pets,error_rate filters first; eval STUDY --list", 0},
    {"json",          OPT_JSON,      NULL,   0, "print tables as JSON", 0},
    {"csv",           OPT_CSV,       NULL,   0, "print tables as CSV", 0},
    {0},
};
// clang-format on

static const char *name_of(int key)
{
    const struct argp_option *o = arguments_options;

    while (o->key != key)
        o++;
    return o->name;
}

/* --report says in which form, not what. */
static bool has_own_page(int action)
{
    return action == OPT_ISSUES || action == OPT_COMPARE || action == OPT_PREDICT;
}

static void set_action(struct args *a, int action)
{
    const char *name = name_of(action);

    if (a->action == OPT_REPORT && has_own_page(action))
        a->action = 0;
    if (a->action && a->action != action)
        die_usage("eval", "--%s and --%s: one at a time", a->action_name, name);
    a->action = action;
    a->action_name = name;
}

static void set_form(struct args *a, enum form form)
{
    if (a->request.form != FORM_TEXT && a->request.form != form)
        die_usage("eval", "--json and --csv: one at a time");
    a->request.form = form;
}

static error_t parse_action(int key, char *arg, struct args *a)
{
    struct request *r = &a->request;

    switch (key) {
    case OPT_CONFUSED:
        r->min = arg ? option_count("--most-confused", arg) : 1;
        break;
    case OPT_LOSSES:
        r->count = arg ? option_count("--top-losses", arg) : DEFAULT_LOSSES;
        break;
    case OPT_ISSUES:
        r->count = arg ? option_count("--issues", arg) : DEFAULT_ISSUES;
        break;
    case OPT_REPORT:
        r->report = true;
        r->page_file = arg;
        if (has_own_page(a->action))
            return 0;
        break;
    case OPT_SERVE:
        r->port = arg ? option_port(arg) : DEFAULT_PORT;
        break;
    case OPT_EXPORT:
        if (!*arg)
            die_usage("eval", "--export: expected a folder or FILE.onnx");
        r->model = text_ends_in(arg, ".onnx") ? arg : NULL;
        r->folder = r->model ? NULL : arg;
        break;
    case OPT_LIST:
        r->how = arg;
        break;
    case OPT_CONFUSION:
    case OPT_COMPARE:
    case OPT_GROUPS:
    case OPT_PREDICT:
    case OPT_VERIFY:
    case OPT_PLOT:
    case OPT_WATCH:
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    set_action(a, key);
    return 0;
}

/* What is scored. */
static error_t parse_scoring(int key, char *arg, struct args *a)
{
    struct request *r = &a->request;

    switch (key) {
    case OPT_SHOW:
        r->show = arg;
        return 0;
    case OPT_CAM:
        r->cam = arg;
        return 0;
    case OPT_SIGN:
        r->key = arg;
        return 0;
    case OPT_SPLIT:
        r->split = option_part(arg);
        return 0;
    case OPT_SET:
        r->set = arg;
        return 0;
    case OPT_TTA:
        r->rounds = arg ? (int)option_count("--tta", arg) : DEFAULT_ROUNDS;
        if (r->rounds > MOST_ROUNDS)
            die_usage("eval", "--tta=%s: at most %d rounds", arg, MOST_ROUNDS);
        return 0;
    case OPT_BETA:
        r->beta = option_beta(arg);
        a->has_beta = true;
        return 0;
    case OPT_BEST:
        r->which = "best";
        return 0;
    case OPT_TOP:
        r->top = option_top(arg);
        return 0;
    default:
        return parse_action(key, arg, a);
    }
}

static bool takes_number(int key)
{
    return key == OPT_CONFUSED || key == OPT_LOSSES || key == OPT_ISSUES || key == OPT_TTA ||
           key == OPT_SERVE;
}

/* A number that stands behind an option which may have one, as in "--top-losses 5". */
static bool take_number(struct args *a, int option, char *word)
{
    if (option == 0 || strspn(word, "0123456789") != strlen(word))
        return false;
    a->number = word;
    parse_scoring(option, word, a);
    return true;
}

error_t arguments_parse(int key, char *arg, struct argp_state *state)
{
    struct args *a = state->input;
    const int open = a->open;

    a->open = !arg && takes_number(key) ? key : 0;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        return 0;
    case OPT_FAIL:
        a->request.fail_on_regression = true;
        return 0;
    case OPT_STRICT:
        a->request.strict = true;
        return 0;
    case OPT_CLEAN:
        a->request.clean = arg;
        return 0;
    case OPT_WITH_TRAIN:
        a->request.with_train = true;
        return 0;
    case OPT_RANKS:
        a->ranks = (int)cli_number("eval", "--ranks", arg, 1, GROUP_MAX);
        return 0;
    case OPT_JSON:
        set_form(a, FORM_JSON);
        return 0;
    case OPT_CSV:
        set_form(a, FORM_CSV);
        return 0;
    case 'B':
        if (snprintf(a->backend, sizeof a->backend, "exec.backend=%s", arg) >=
            (int)sizeof a->backend)
            die_usage("eval", "--backend %s: no such backend", arg);
        a->request.backend = a->backend;
        return 0;
    case ARGP_KEY_ARG:
        if (take_number(a, open, arg))
            return 0;
        if (a->action)
            a->after[a->n_after++] = arg;
        else
            a->before[a->n_before++] = arg;
        return 0;
    default:
        return parse_scoring(key, arg, a);
    }
}

/* `--issues RUN --report FILE.html` (or --predict) is meant as --report=FILE.html. */
static void take_page_file(struct args *a)
{
    struct request *r = &a->request;
    int at = r->n_words - 1;

    if (!r->report || r->page_file)
        return;
    while (at >= 0 && (strlen(r->words[at]) < 6 || !text_ends_in(r->words[at], ".html")))
        at--;
    if (at < 0)
        return;
    r->page_file = r->words[at];
    r->n_words--;
    for (; at < r->n_words; at++)
        r->words[at] = r->words[at + 1];
}

/* Words into runs and files: RUN comes first, FILEs last. */
static void share_words(struct args *a)
{
    struct request *r = &a->request;
    char folder[PATH_LEN];

    if (a->action == OPT_COMPARE || a->action == OPT_GROUPS ||
        a->action == OPT_ISSUES) { /* all are runs */
        for (int i = 0; i < a->n_after; i++)
            a->before[a->n_before++] = a->after[i];
        r->words = a->before;
        r->n_words = a->n_before;
        if (a->action == OPT_ISSUES)
            take_page_file(a);
        else if (r->n_words < (a->action == OPT_COMPARE ? 2 : 1))
            die_usage("eval", a->action == OPT_COMPARE
                                  ? "--compare takes two runs or more: eval --compare RUN RUN..."
                                  : "--groups takes runs, studies and folders of runs: eval "
                                    "--groups RUN...");
        return;
    }
    if (r->folder && strcmp(r->folder, "mlflow") == 0 && a->n_after > 0) {
        r->mlflow = true;
        r->folder = a->after[--a->n_after];
    }
    if (a->action == OPT_PREDICT) {
        r->words = a->after;
        r->n_words = a->n_after;
        take_page_file(a);
        if (r->n_words == 0)
            die_usage("eval", "--predict: which pictures? eval [RUN] --predict FILE...");
    } else {
        for (int i = 0; i < a->n_after; i++)
            a->before[a->n_before++] = a->after[i];
    }
    if (a->n_before > 1)
        die_usage("eval", "%s and %s: one run at a time (or --compare)", a->before[0],
                  a->before[1]);
    r->run = a->n_before ? a->before[0] : NULL;
    if (a->action == OPT_LIST && r->run && !groups_find(folder, r, r->run))
        die_usage("eval", "--list shows all runs; `eval %s' shows one", r->run);
}

bool arguments_draw_curves(const struct args *a)
{
    return a->action == OPT_PLOT || a->action == OPT_WATCH;
}

static void check_ranks(const struct args *a)
{
    const struct request *r = &a->request;
    char folder[PATH_LEN];
    const bool scores = a->action == OPT_CONFUSED || a->action == OPT_CONFUSION ||
                        a->action == OPT_LOSSES ||
                        (a->action == 0 && !(r->run && groups_find(folder, r, r->run)));

    if ((a->ranks > 1 || a->place.ranks > 1) && !(scores && request_is_scoring(r)))
        die_usage("eval", "several processes (--ranks, mpirun, srun) score a run: --split, --set, "
                          "--tta or --best; for anything else start one");
    if (a->ranks > 1 && a->place.ranks > 1 && !launch_by_ranks())
        die_usage("eval",
                  "--ranks starts processes of its own: leave it out under mpirun and srun");
}

/* --json and --csv want tables. */
static void check_form(const struct args *a)
{
    const struct request *r = &a->request;
    char folder[PATH_LEN];

    if (r->form != FORM_TEXT && r->report && a->action != OPT_ISSUES)
        die_usage("eval", "--report prints a path only");
    if (r->form != FORM_TEXT && arguments_draw_curves(a))
        die_usage("eval", "--%s draws; the numbers are in RUN/metrics.jsonl", a->action_name);
    if (a->action == OPT_SERVE && (r->form != FORM_TEXT || r->run))
        die_usage("eval", "--serve shows all runs of --results, and prints an address only");
    if (r->form == FORM_CSV && a->action == 0 && !request_is_scoring(r) &&
        !(r->run && groups_find(folder, r, r->run)))
        die_usage("eval", "the overview is no table; take --json");
}

static void check_page(const struct args *a)
{
    const struct request *r = &a->request;

    if (r->page_file && a->action != OPT_ISSUES && a->action != OPT_PREDICT)
        die_usage("eval", "--report=FILE goes with --issues and --predict; a run's report is "
                          "RUN/report.html");
    if (r->report && r->cam)
        die_usage("eval", "--cam and --report: one at a time");
    if (r->report && request_is_file(r) && !r->page_file)
        die_usage("eval", "%s: a checkpoint's file has no folder for a page: --report=FILE.html",
                  r->run);
}

static void check_options(const struct args *a)
{
    const struct request *r = &a->request;
    char path[PATH_LEN], folder[PATH_LEN];

    if (a->number && path_format(path, NULL, "%s/%s", r->results, a->number) == 0 &&
        path_exists(path))
        die_usage("eval", "%s is a number, and a run: write --OPTION=%s, or `eval %s --OPTION'",
                  a->number, a->number, a->number);
    if (r->top > 0 && a->action != OPT_PREDICT)
        die_usage("eval", "--top goes with --predict");
    if (request_is_file(r) && a->action != OPT_PREDICT)
        die_usage("eval",
                  "%s: a checkpoint's file alone predicts pictures: eval %s --predict FILE...; "
                  "for all else name its run folder",
                  r->run, r->run);
    if (request_is_file(r) && (r->rounds > 0 || r->which))
        die_usage("eval", "--tta and --best need the run's folder, not a checkpoint's file");
    if (r->cam && a->action != OPT_PREDICT)
        die_usage("eval", "--cam goes with --predict; reports have such maps of the top losses");
    if (r->key && (!r->folder || r->mlflow))
        die_usage("eval", "--sign goes with --export DIR");
    if (r->model && r->split)
        die_usage("eval", "--export FILE.onnx goes without --split: it has no model card");
    if (r->mlflow && (r->which || r->split))
        die_usage("eval", "--export mlflow goes without --best and --split");
    if (r->fail_on_regression && a->action != OPT_COMPARE)
        die_usage("eval", "--fail-on-regression goes with --compare");
    if (r->clean && a->action != OPT_COMPARE)
        die_usage("eval", "--clean goes with --compare; training takes data.clean=FILE");
    if (r->with_train && a->action != OPT_ISSUES)
        die_usage("eval", "--with-train goes with --issues");
    if (a->action == OPT_ISSUES && (r->set || r->rounds > 0 || (r->with_train && r->split)))
        die_usage("eval",
                  "--issues goes without --set and --tta, and --with-train without --split");
    if (a->action == OPT_EXPORT && (r->set || r->rounds > 0))
        die_usage("eval", "--export goes without --set and --tta");
    if (r->run && a->action && a->action != OPT_LIST && groups_find(folder, r, r->run) &&
        !(a->action == OPT_REPORT && study_find(folder, r->results, r->run)))
        die_usage("eval", "%s is a study; name one of its runs: eval %s --list", r->run, r->run);
    if (r->strict && a->action != OPT_VERIFY)
        die_usage("eval", "--strict goes with --verify");
    if (r->show && a->action != OPT_LOSSES)
        die_usage("eval", "--show goes with --top-losses");
    if (request_is_scoring(r) && a->action &&
        (a->action == OPT_REPORT || a->action == OPT_VERIFY || a->action == OPT_LIST ||
         a->action == OPT_SERVE || arguments_draw_curves(a)))
        die_usage("eval", "--split, --set, --tta and --best go with predictions, not with --%s",
                  a->action_name);
    if ((r->split || r->set) && a->action == OPT_PREDICT)
        die_usage("eval", "--predict takes files; --split and --set score pictures with labels");
    if (r->backend && a->action != OPT_PREDICT && !request_is_scoring(r))
        die_usage("eval", "--backend goes with --predict, --split, --set, --tta and --best");
    if (a->has_beta && r->rounds == 0)
        die_usage("eval", "--beta goes with --tta");
    check_page(a);
    check_form(a);
    check_ranks(a);
}

void arguments_finish(struct args *a)
{
    share_words(a);
    check_options(a);
}
