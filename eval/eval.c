/* eval.c - the command: look at runs, compare them, predict with them, check them.
 * SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>

#include "arguments.h"
#include "backend/backend.h"
#include "base/fold.h"
#include "base/path.h"
#include "base/version.h"
#include "cli/cli.h"
#include "comparison.h"
#include "curves.h"
#include "data/dataset.h"
#include "draw/canvas.h"
#include "experiment/team.h"
#include "export.h"
#include "group/launch.h"
#include "groups.h"
#include "image/decode.h"
#include "issues.h"
#include "look.h"
#include "mistakes.h"
#include "mlflow.h"
#include "outcome.h"
#include "overview.h"
#include "predict.h"
#include "remote/remote.h"
#include "rights.h"
#include "run/run.h"
#include "run/study.h"
#include "run_page.h"
#include "serve.h"
#include "study_page.h"
#include "tensorfile/tensorfile.h"
#include "verify.h"

enum { STATUS_REGRESSION = 3, STATUS_UNCHECKED = 4 };

/* Only folders of the runs in question are written, and the file that an option names; --list, --plot and --watch
 * write nothing. */
static int give_up_rights(const struct args *a, struct err *err)
{
    const struct request *r = &a->request;
    const bool runs =
        a->action == OPT_COMPARE || a->action == OPT_GROUPS || a->action == OPT_ISSUES;
    const struct writing w = {
        .run = a->action != OPT_LIST && a->action != OPT_VERIFY && a->action != OPT_SERVE &&
               (a->action != OPT_PREDICT || r->report) && !arguments_draw_curves(a),
        .runs = runs,
        .temporary = a->action == OPT_VERIFY || a->action == OPT_REPORT || a->action == OPT_SERVE,
        .file = r->page_file ? r->page_file
                : r->cam     ? r->cam
                : r->model   ? r->model
                             : r->show,
        .folder = a->action == OPT_SERVE ? r->results : r->folder};

    return rights_give_up(r, &w, err);
}

/* Whether recipes are asked for: --groups, a study or a folder of runs in place of a run, a study among those that are
 * compared. WORDS: in their place. */
static bool asks_for_groups(const struct args *a, struct request *r)
{
    char folder[PATH_LEN];
    bool asks = a->action == OPT_GROUPS;

    if (a->action == 0 && r->run && groups_find(folder, r, r->run)) {
        r->words = a->before;
        r->n_words = 1;
        return true;
    }
    for (int i = 0; i < r->n_words && a->action == OPT_COMPARE; i++)
        asks |= groups_find(folder, r, r->words[i]);
    return asks;
}

/* What --ranks starts, or mpirun or srun has; this process may be the one that waits for them. */
static int gather(struct args *a, char **argv, struct err *err)
{
    int status;

    if (a->ranks > 1 && a->place.ranks == 1) {
        if (launch_ranks(a->ranks, argv, "predictions that are whole are kept", &status, err) < 0)
            return -1;
        exit(status);
    }
    return team_join(&a->request.team, "eval", &a->place, err);
}

/* Of several processes, all score, and rank 0 stores and shows. */
static int score_along(const struct request *r, struct err *err)
{
    struct look l;

    if (look_open(&l, r, r->run, err) < 0)
        return -1;
    look_close(&l);
    return 0;
}

noreturn static void end_badly(const struct args *a, const struct err *err)
{
    fflush(stdout);
    if (a->request.team)
        team_fail(a->request.team, err);
    if (!team_leads(a->request.team)) /* rank 0 says it; another status would have mpirun end it */
        exit(0);
    die("eval", err);
}

/* What is asked for, on OUT. STATUS where it is not 0 without an error. */
static int eval(FILE *out, struct args *a, int *status, struct err *err)
{
    const struct request *r = &a->request;
    struct request groups = a->request;
    char study[PATH_LEN];
    bool regression = false;
    int rc, unchecked = 0;

    *status = 0;
    if (!team_leads(r->team))
        return score_along(r, err);
    if (asks_for_groups(a, &groups)) {
        if (r->fail_on_regression || r->report || r->clean)
            return err_in(err, NULL, "%s compares runs, not studies",
                          r->report  ? "--report"
                          : r->clean ? "--clean"
                                     : "--fail-on-regression");
        return groups_print(out, &groups, err);
    }
    switch (a->action) {
    case OPT_CONFUSED:
        return mistakes_confused(out, r, err);
    case OPT_CONFUSION:
        return mistakes_matrix(out, r, err);
    case OPT_LOSSES:
        return mistakes_losses(out, r, err);
    case OPT_ISSUES:
        return issues_print(out, r, err);
    case OPT_REPORT:
        return r->run && study_find(study, r->results, r->run)
                   ? study_page_write(out, r, study, err)
                   : run_page_write(r, err);
    case OPT_COMPARE:
        rc = comparison_print(out, r, &regression, err);
        *status = r->fail_on_regression && regression ? STATUS_REGRESSION : 0;
        return rc;
    case OPT_PREDICT:
        return predict_files(out, r, err);
    case OPT_EXPORT:
        return r->mlflow  ? mlflow_export(out, r, err)
               : r->model ? export_onnx(out, r, err)
                          : export_run(out, r, err);
    case OPT_SERVE:
        return serve_run(stdout, r, err);
    case OPT_VERIFY:
        rc = verify_run(out, r, &unchecked, err);
        *status = r->strict && unchecked > 0 ? STATUS_UNCHECKED : 0;
        return rc;
    case OPT_LIST:
        return groups_runs(out, r, err);
    case OPT_PLOT:
        return curves_print(out, r, err);
    case OPT_WATCH:
        return curves_watch(r, err);
    default:
        return request_is_scoring(r) ? outcome_print(out, r, err)
                                     : overview_run(out, r, &a->has_losses, err);
    }
}

static void say_next(const struct args *a)
{
    const char *run = a->request.run;

    if (a->has_losses && a->request.form == FORM_TEXT)
        cli_next(&a->common, "eval",
                 run ? (const char *const[]){run, "--top-losses", NULL}
                     : (const char *const[]){"--top-losses", NULL});
}

int main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&cli_argp, 0, "Common options:", 0}, {0}};
    static const struct argp cli = {
        arguments_options,
        arguments_parse,
        "[RUN]\n[RUN] --split PART\n[RUN] --predict FILE...\n--compare RUN RUN...\n--issues "
        "[RUN|STUDY...]\n--serve [PORT]\nSTUDY",
        "Show a run: its folder, its name below --results, or the latest when none is named. For a "
        "study or a folder of runs: show the recipes, their figures over seeds, and tests between "
        "them.\v"
        "--predict takes files, folders and - (a list on stdin); RUN may then be a checkpoint's "
        "file alone, "
        "last.safetensors.\n"
        "Status 0 done, 1 failed, 2 misused, 3 --fail-on-regression found a worse run, 4 --strict "
        "found "
        "links that could not be "
        "checked.",
        children,
        NULL,
        NULL};
    static const struct version_layer libraries[] = {
        {image_libraries},   {data_libraries}, {remote_libraries}, {tensorfile_libraries},
        {backend_libraries}, {draw_libraries}, {serve_libraries},  {NULL}};
    struct args a = {.common = {.tool = "eval",
                                .libraries = libraries,
                                .find_data = remote_data,
                                .place = &a.place,
                                .early = "stopped by a signal; what is stored is whole"},
                     .request.beta = 0.25};
    struct err err = {0};
    int status, rc;
    FILE *out;

    a.before = calloc(2 * (size_t)argc + 2, sizeof *a.before);
    if (!a.before) {
        err_set(&err, ERR_NOMEM, "arguments");
        die("eval", &err);
    }
    a.after = a.before + argc + 1;
    cli_parse(&cli, argc, argv, &a.common, &a);
    signal(SIGPIPE, SIG_DFL); /* `eval ... | head` ends quietly: nothing is lost but output */
    a.request.data = a.common.data;
    a.request.data_given = a.common.data_given;
    a.request.results = a.common.results;
    arguments_finish(&a);
    cli_speak();
    if (gather(&a, argv, &err) < 0)
        die("eval", &err);
    out = a.request.form == FORM_TEXT ? fold_begin(stdout) : stdout;
    rc = give_up_rights(&a, &err) < 0 ? -1 : eval(out, &a, &status, &err);
    fold_end(out, stdout);
    if (rc < 0)
        end_badly(&a, &err);
    team_leave(a.request.team);
    cli_finish("eval");
    say_next(&a);
    free(a.before);
    return status;
}
