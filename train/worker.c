/* worker.c - a study's folder, and a child process for each of its runs.
 *
 * A child is this program again, as a user would call it: what one run leaks, locks or crashes of is its own. It holds
 * the claim on its run, too, so a run whose worker was killed stays claimed until it has ended.
 * SPDX-License-Identifier: MIT */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "learn/begin.h"
#include "run/study.h"

enum { ARGS_MOST = 32 };

static volatile sig_atomic_t caught, child;

/* SIGUSR1 stops a training as the others do, but a second one does not end it at once: from a terminal, the child has
 * the same signal already. */
static void on_signal(int number)
{
    caught = number;
    if (child > 0)
        kill((pid_t)child, SIGUSR1);
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    const struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 &&
            before.sa_handler != SIG_IGN) /* nohup ignores SIGHUP */
            sigaction(numbers[i], &action, NULL);
}

/* --- one run -------------------------------------------------------------------------------------- */

struct command {
    const char *args[ARGS_MOST];
    int n;
};

static void add(struct command *c, const char *option, const char *value)
{
    BUG_IF(c->n + 3 > ARGS_MOST);
    c->args[c->n++] = option;
    if (value)
        c->args[c->n++] = value;
}

/* Runs the command line ARGS; its exit status, 128 + the signal that ended it, -1. */
static int run_child(char *const *args, struct err *err)
{
    int status = 0, why;
    pid_t pid;

    why = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ);
    if (why != 0) {
        errno = why;
        return err_errno(err, "cannot start a process");
    }
    child = pid;
    if (caught)
        kill(pid, SIGUSR1);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) {
            child = 0;
            return err_errno(err, "cannot wait for a process");
        }
    child = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int worker_follow(long worker, struct err *err)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    return getppid() == (pid_t)worker ? 0
                                      : err_set(err, ERR_STOPPED, "the study's process has ended");
}

/* What is left of a run that was ended while it was made, or nothing: there is no record to resume from. */
static bool has_record(const char *folder)
{
    static const char *const parts[] = {"resolved.yaml", "checkpoints/last.json"};
    char path[PATH_LEN];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (path_format(path, NULL, "%s/%s", folder, parts[i]) == 0 && path_exists(path))
            return true;
    return false;
}

static int train_one(const struct worker *w, const struct study *s, size_t i, struct err *err)
{
    const struct study_run run = study_run(s, i);
    const json_t *words = run.words;
    const char *name = run.name;
    struct command c = {.args = {w->program}, .n = 1};
    const char **all;
    char folder[PATH_LEN], worker[32];
    int n, rc;

    snprintf(worker, sizeof worker, "--worker=%ld", (long)getpid());
    if (path_format(folder, err, "%s/%s", s->folder, name) < 0)
        return -1;
    if (path_exists(folder) && !has_record(folder) && path_remove_tree(folder, err) < 0)
        return -1;
    add(&c, worker, NULL);
    add(&c, "--data", w->data);
    add(&c, "--results", w->results);
    for (int k = 0; w->passed[k]; k++)
        add(&c, w->passed[k], NULL);
    if (path_exists(folder)) {
        add(&c, "--resume", folder);
    } else {
        add(&c, "--in", s->folder);
        add(&c, "--name", name);
        add(&c, "--exp", run.experiment);
    }
    n = c.n;
    all = calloc((size_t)n + json_array_size(words) + 1, sizeof *all);
    if (!all)
        return err_set(err, ERR_NOMEM, "study");
    memcpy(all, c.args, (size_t)n * sizeof *all);
    for (size_t k = 0; k < json_array_size(words) && !path_exists(folder); k++)
        all[n++] = json_string_value(json_array_get(words, k));
    rc = run_child((char *const *)(uintptr_t)all, err);
    free(all);
    return rc;
}

/* --- all of them ---------------------------------------------------------------------------------- */

struct tally {
    size_t done, tried, failed, elsewhere;
};

/* Run I, claimed by this process. */
static int try_run(const struct worker *w, struct study *s, size_t i, struct tally *t,
                   struct err *err)
{
    const char *name = study_run_name(s, i), *status;
    char fault[512], folder[PATH_LEN];
    int rc;

    status = study_status(s, i, fault);
    if (strcmp(status, "done") == 0) {
        t->done++;
        return 0;
    }
    if (strcmp(status, "running") == 0) { /* by hand, with --resume */
        t->elsewhere++;
        return 0;
    }
    if (path_format(folder, err, "%s/%s", s->folder, name) < 0 || axes_check_base(s->json, err) < 0)
        return -1;
    if (strcmp(status, "unreadable") == 0 && has_record(folder)) {
        log_warn("run %s is damaged and left out (%s): remove %s to train it again", name, fault,
                 folder);
        t->failed++;
        return 0;
    }
    log_info("run %zu of %zu: %s%s", i + 1, s->n, name,
             strcmp(status, "due") == 0 ? "" : ", resumed");
    t->tried++;
    rc = train_one(w, s, i, err);
    if (rc < 0)
        return -1;
    if (strcmp(study_status(s, i, fault), "done") == 0) {
        t->done++;
    } else if (!caught) {
        t->failed++;
        if (!path_exists(folder))
            return err_set(err, ERR_INPUT, "run %s could not begin, for the reason above", name);
        log_warn("run %s is not done: %s", name,
                 fault[0] ? fault : "its process ended without a word");
    }
    return 0;
}

static int try_runs(const struct worker *w, struct study *s, struct tally *t, struct err *err)
{
    const size_t first = w->task > 0 ? (size_t)w->task - 1 : 0;
    const size_t end = w->task > 0 ? first + 1 : s->n;

    for (size_t i = first; i < end && i < s->n && !caught; i++) {
        int rc;

        if (strcmp(study_status(s, i, NULL), "done") ==
            0) { /* most of them, when a study is resumed */
            t->done++;
            continue;
        }
        rc = study_claim(s, i, err);
        if (rc == 0)
            t->elsewhere++;
        if (rc > 0) {
            rc = try_run(w, s, i, t, err);
            study_release(s, i);
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* --- the folder ----------------------------------------------------------------------------------- */

static bool is_made(void *ctx, const char *run)
{
    char path[PATH_LEN];

    return path_format(path, NULL, "%s/%s", (const char *)ctx, run) == 0 && path_exists(path);
}

/* FOLDER is a study's, or may become one. */
static int check_folder(const char *folder, struct err *err)
{
    static const char *const parts[] = {"run.json", "resolved.yaml", "metrics.jsonl"};
    char path[PATH_LEN];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (path_format(path, err, "%s/%s", folder, parts[i]) < 0)
            return -1;
        if (path_exists(path))
            return err_set(err, ERR_INPUT,
                           "%s is a run, not a study: choose another --name for the study", folder);
    }
    return 0;
}

/* The study in its folder, made, grown or as it is. */
static int open_study(struct study *s, const char *folder, json_t *plan, struct err *err)
{
    char path[PATH_LEN];
    struct study old = {.claims = -1};
    bool changes = true;
    int rc = -1;

    *s = (struct study){.claims = -1};
    if (check_folder(folder, err) < 0 || path_make_dirs(folder, err) < 0 ||
        path_format(s->folder, err, "%s", folder) < 0 || study_lock(s, err) < 0 ||
        path_format(path, err, "%s/" STUDY_FILE, folder) < 0)
        goto out;
    if (path_exists(path)) {
        if (study_read(&old, folder, err) < 0)
            goto out;
        rc = axes_check_base(old.json, err);
        if (rc == 0)
            rc = axes_extend(plan, old.json, is_made, s->folder, err);
        changes = !json_equal(plan, old.json);
        if (rc < 0) {
            err_wrap(err, "%s", folder);
            goto out;
        }
    }
    rc = changes ? study_write(s, plan, err) : study_reread(s, err);
    if (rc == 0 && old.json && s->n != old.n)
        log_info("%s has %zu runs now, %zu before", folder, s->n, old.n);
out:
    study_unlock(s);
    study_free(&old);
    return rc;
}

int worker_plan(json_t **plan, char name[256], const struct worker *w, struct err *err)
{
    struct axes_request axes = w->axes;
    char folder[PATH_LEN];
    struct study s;

    *plan = NULL;
    if (w->study && study_find(folder, w->results, w->study)) {
        if (axes.seeds || axes.split_seeds || axes.folds || axes.experiment || axes.n_words > 0)
            return err_in(err, NULL,
                          "--study %s continues a study as it is: leave out --exp, "
                          "--seeds, --split-seeds, --folds and keys",
                          w->study);
        if (study_read(&s, folder, err) < 0)
            return -1;
        *plan = json_incref(s.json);
        snprintf(name, 256, "%.255s", path_base(folder));
        study_free(&s);
        return 0;
    }
    if (w->study && !path_is_file(w->study))
        return err_set(err, ERR_INPUT,
                       path_is_dir(w->study) ? "%s is a folder without study.json: no study"
                                             : "%s: no such study file, and no such study in %s",
                       w->study, w->results);
    axes.file = w->study;
    if (axes_plan(plan, name, &axes, err) < 0)
        return -1;
    if (w->name)
        snprintf(name, 256, "%.255s", w->name);
    return 0;
}

int worker_train(const struct worker *w, char folder[PATH_LEN], struct err *err)
{
    struct tally t = {0};
    struct study s = {.claims = -1};
    struct study_record planned;
    json_t *plan;
    char name[256], there[PATH_LEN];
    size_t n;
    int rc;

    if (worker_plan(&plan, name, w, err) < 0)
        return -1;
    fields_read(study_fields, STUDY_VERSION, &planned, plan, NULL);
    n = json_array_size(planned.runs);
    if (w->task > 0 && (size_t)w->task > n) {
        json_decref(plan);
        return err_in(err, NULL, "--task %ld: the study has runs 1 to %zu", w->task, n);
    }
    if (!w->study || !study_find(there, w->results, w->study))
        rc = path_format(folder, err, "%s/%s", w->results, name);
    else
        rc = path_format(folder, err, "%s", there);
    if (rc == 0)
        rc = open_study(&s, folder, plan, err);
    json_decref(plan);
    if (rc == 0) {
        catch_signals();
        rc = try_runs(w, &s, &t, err);
    }
    if (rc == 0) {
        if (w->task == 0)
            log_info("%s: %zu of %zu runs done%s", folder, t.done, s.n,
                     t.elsewhere > 0 ? "; others are another process's" : "");
        if (caught)
            rc =
                err_set(err, ERR_STOPPED,
                        "stopped by a signal; %zu of %zu runs are done, the same command continues",
                        t.done, s.n);
        else if (t.failed > 0)
            rc = err_set(err, ERR_IO, "%zu of %zu runs failed; the same command tries them again",
                         t.failed, w->task > 0 ? (size_t)1 : s.n);
    }
    study_free(&s);
    return rc;
}
