/* curves.c - reads metrics.jsonl and the last checkpoint's curve, draws them as text.
 *
 * The curve of the training steps is that of the last checkpoint, then the epochs' lines follow.
 * SPDX-License-Identifier: MIT */
#include "curves.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fold.h"
#include "base/json.h"
#include "base/path.h"
#include "base/text.h"
#include "draw/plot.h"
#include "experiment/checkpoint_record.h"
#include "run/run.h"
#include "tabular.h"

enum { ROWS = 9, FEWEST_ROWS = 3, COLUMNS = 80, AROUND = 3, PLOTS = 3, POLL_MS = 250 };

struct curves {
    struct run_entry run;
    struct field_lines epochs; /* struct epoch_line, of metrics.jsonl */
    /* [epoch, loss, rate, rate of the first layers] of the last checkpoint; NULL: none */
    json_t *points;
    char fault[512]; /* why the points are not there */
};

/* --- the files ------------------------------------------------------------------------------------ */

static void read_points(struct curves *c)
{
    struct err why = {0};
    char path[PATH_LEN];
    struct checkpoint_record r;
    struct resume_record resume;
    json_t *last = NULL;

    if (path_format(path, NULL, "%s/checkpoints/last.json", c->run.folder) < 0 ||
        !path_exists(path))
        return;
    if (json_read(&last, path, &why) < 0) {
        snprintf(c->fault, sizeof c->fault, "%.*s", (int)sizeof c->fault - 1, why.msg);
        return;
    }
    checkpoint_record_read(&r, last);
    fields_read(resume_fields, 0, &resume, r.resume, NULL);
    c->points = json_incref((json_t *)(uintptr_t)resume.curve);
    json_decref(last);
}

static void curves_close(struct curves *c)
{
    fields_free_lines(&c->epochs);
    json_decref(c->points);
    run_entry_free(&c->run);
    memset(c, 0, sizeof *c);
}

/* run.json first: when it says that the run has ended, the rest is all there is. */
static int curves_open(struct curves *c, const char *folder, struct err *err)
{
    memset(c, 0, sizeof *c);
    if (run_open(&c->run, folder, err) < 0)
        return -1;
    if (c->run.facts.lr_find.steps != FIELD_NO_INT)
        err_set(
            err, ERR_INPUT,
            "%s looked for a learning rate: it has no epochs; its curve is in plots/lr_find.svg",
            folder);
    else if (epochs_read(&c->epochs, folder, err) == 0) {
        read_points(c);
        return 0;
    }
    curves_close(c);
    return -1;
}

/* --- the points ----------------------------------------------------------------------------------- */

static double number(const json_t *value) /* NAN: none */
{
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Epochs that are done when this one ends: the x of its values. */
static double end_of(const struct epoch_line *line)
{
    return field_number(&epoch_fields[0], line) + 1;
}

/* KEY of each epoch; where STEPS, first the points of the last checkpoint (PLACE in each), then the epochs behind
 * them. X and Y: room for all. */
static struct plot_series series_of(const struct curves *c, const char *name, const char *key,
                                    bool steps, size_t place, double *x, double *y)
{
    const struct field *row = field_find(epoch_fields, key);
    const struct epoch_line *lines = c->epochs.all;
    const json_t *item;
    int n = 0;
    size_t i;

    if (steps)
        json_array_foreach(c->points, i, item)
        {
            x[n] = number(json_array_get(item, 0));
            y[n++] = number(json_array_get(item, place));
        }
    for (i = 0; i < c->epochs.n; i++) {
        const double end = end_of(&lines[i]);

        if (steps && n > 0 && end <= x[n - 1] + 1e-6)
            continue;
        x[n] = end;
        y[n++] = field_number(row, &lines[i]);
    }
    return (struct plot_series){name, x, y, n, !steps};
}

static int put_plots(FILE *out, const struct curves *c, const struct plot_screen *screen,
                     struct err *err)
{
    const struct plot_options loss = {.title = "Loss",
                                      .x_label = "epochs trained",
                                      .whole_x = true,
                                      .y_label = "nat",
                                      .calm = true};
    const struct plot_options error = {.title = "Error rate",
                                       .x_label = "epochs trained",
                                       .whole_x = true,
                                       .y_label = "share of pictures"};
    const struct plot_options rate = {.title = "Learning rate",
                                      .x_label = "epochs trained",
                                      .whole_x = true,
                                      .y_label = "of the head"};
    const size_t room = json_array_size(c->points) + c->epochs.n + 1;
    double *values = calloc(4 * room, sizeof *values);
    struct plot_series series[2];
    int rc = -1;

    if (!values)
        return err_set(err, ERR_NOMEM, "curves");
    series[0] = series_of(c, "train", "train_loss", true, 1, values, values + room);
    series[1] = series_of(c, "valid", "valid_loss", false, 0, values + 2 * room, values + 3 * room);
    if (plot_lines_text(out, &loss, series, 2, screen, err) < 0)
        goto out;
    fputc('\n', out);
    series[0] = series_of(c, "valid", "error_rate", false, 0, values, values + room);
    if (c->epochs.n > 0) {
        if (plot_lines_text(out, &error, series, 1, screen, err) < 0)
            goto out;
        fputc('\n', out);
    }
    series[0] = series_of(c, "train", "lr", true, 2, values, values + room);
    rc = plot_lines_text(out, &rate, series, 1, screen, err);
out:
    free(values);
    return rc;
}

static int put_curves(FILE *out, const struct curves *c, const struct plot_screen *screen,
                      struct err *err)
{
    const size_t n = c->epochs.n;

    tabular_text(out, c->run.folder);
    fprintf(out, "  (%s, %zu epoch%s)\n", c->run.status, n, PLURAL(n));
    if (c->epochs.bad)
        fprintf(out, "metrics.jsonl: line %zu is no JSON object: left out\n", c->epochs.bad);
    if (c->fault[0]) {
        tabular_text(out, c->fault);
        fputs(": the training loss is that of the epochs' ends\n", out);
    }
    if (n == 0 && json_array_size(c->points) == 0) {
        fputs("no epoch has ended yet: there is no curve to draw\n", out);
        return 0;
    }
    fputc('\n', out);
    return put_plots(out, c, screen, err);
}

static bool is_utf8(void)
{
    const locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    bool utf8;

    if (locale == (locale_t)0)
        return false;
    utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

static struct plot_screen screen_of(void)
{
    const int columns = fold_columns(stdout);

    return (struct plot_screen){columns > 0 ? columns : COLUMNS, ROWS, is_utf8()};
}

int curves_print(FILE *out, const struct request *r, struct err *err)
{
    const struct plot_screen screen = screen_of();
    char folder[PATH_LEN];
    struct curves c;
    int rc;

    if (run_find(folder, r->results, r->run, err) < 0 || curves_open(&c, folder, err) < 0)
        return -1;
    rc = put_curves(out, &c, &screen, err);
    curves_close(&c);
    return rc;
}

/* --- a run in progress ---------------------------------------------------------------------------- */

static volatile sig_atomic_t is_interrupted;

static void note_signal(int signal)
{
    (void)signal;
    is_interrupted = 1;
}

/* What changes when an epoch or a checkpoint is written; 0 where a file is not there. */
struct stamp {
    long long size[2], seconds[2];
    long nanoseconds[2];
};

static struct stamp stamp_of(const char *folder)
{
    static const char *const names[2] = {"metrics.jsonl", "checkpoints/last.json"};
    struct stamp out;
    char path[PATH_LEN];
    struct stat st;

    memset(&out, 0, sizeof out); /* padding, too: it is compared as bytes */
    for (int i = 0; i < 2; i++)
        if (path_format(path, NULL, "%s/%s", folder, names[i]) == 0 && stat(path, &st) == 0) {
            out.size[i] = (long long)st.st_size;
            out.seconds[i] = (long long)st.st_mtim.tv_sec;
            out.nanoseconds[i] = st.st_mtim.tv_nsec;
        }
    return out;
}

/* As many rows as let all plots stand on the screen. */
static int rows_of(void)
{
    struct winsize window = {0};
    int rows = ROWS;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0)
        rows = (window.ws_row - 3) / PLOTS - AROUND - 1;
    return rows < FEWEST_ROWS ? FEWEST_ROWS : rows > ROWS ? ROWS : rows;
}

/* Clears the screen and draws; SCREEN takes control sequences, as stdout does not. */
static int redraw(FILE *screen, const struct curves *c, struct err *err)
{
    struct plot_screen size = screen_of();
    char *text = NULL;
    size_t n = 0;
    FILE *frame = open_memstream(&text, &n);
    int rc;

    if (!frame)
        return err_set(err, ERR_NOMEM, "curves");
    size.rows = rows_of();
    rc = put_curves(frame, c, &size, err);
    fclose(frame);
    if (rc == 0) {
        fputs("\033[H\033[2J", screen);
        fwrite(text, 1, n, screen);
        fflush(screen);
    }
    free(text);
    return rc;
}

/* Lines of the epochs from the first that was not printed yet. A resumed run may have fewer than before. */
static void put_lines(const struct curves *c, size_t *printed)
{
    const size_t n = c->epochs.n;

    if (n < *printed) {
        printf("resumed after epoch %zu\n", n);
        *printed = n;
    }
    for (; *printed < n; (*printed)++) {
        const struct epoch_line *line = (const struct epoch_line *)c->epochs.all + *printed;

        printf("epoch %.0f  ", end_of(line) - 1);
        tabular_text(stdout, line->phase ? line->phase : "?");
        printf("  train loss %.4f  valid loss %.4f  error rate %.4f  rate %g\n", line->train_loss,
               line->metric[MONITOR_VALID_LOSS], line->metric[MONITOR_ERROR_RATE], line->lr);
    }
    fflush(stdout);
}

static int ended(const struct curves *c, struct err *err)
{
    const char *why = c->run.facts.error;

    if (strcmp(c->run.status, "done") == 0) {
        tabular_text(stdout, c->run.folder);
        puts(": done");
        return 0;
    }
    err_set(err, ERR_INPUT, "%s: %s", c->run.folder, c->run.status);
    if (why)
        err_append(err, ": %s", why);
    err_append(err, "; `train --resume %s` resumes it", c->run.name);
    return -1;
}

static int follow(FILE *screen, const char *folder, struct err *err)
{
    const struct timespec pause = {0, POLL_MS * 1000000L};
    struct stamp drawn, now;
    size_t printed = 0;
    bool is_first = true, is_over = false;
    struct curves c;
    int rc = 0;

    while (!is_over && !is_interrupted) {
        now = stamp_of(folder);
        if (curves_open(&c, folder, err) < 0)
            return -1;
        is_over = strcmp(c.run.status, "running") != 0;
        if (!screen)
            put_lines(&c, &printed);
        else if (is_first || is_over || memcmp(&now, &drawn, sizeof now) != 0)
            rc = redraw(screen, &c, err);
        if (rc == 0 && is_over)
            rc = ended(&c, err);
        drawn = now;
        is_first = false;
        curves_close(&c);
        if (rc < 0)
            return -1;
        if (!is_over)
            nanosleep(&pause, NULL);
    }
    return 0;
}

int curves_watch(const struct request *r, struct err *err)
{
    const struct sigaction action = {.sa_handler = note_signal}; /* no SA_RESTART: the pause ends */
    FILE *screen = NULL;
    char folder[PATH_LEN];
    int fd, rc;

    if (run_find(folder, r->results, r->run, err) < 0)
        return -1;
    if (isatty(STDOUT_FILENO)) {
        fd = dup(STDOUT_FILENO);
        screen = fd < 0 ? NULL : fdopen(fd, "w");
        if (!screen)
            return err_errno(err, "cannot draw on the terminal");
    }
    sigaction(SIGINT, &action, NULL);
    rc = follow(screen, folder, err);
    if (screen)
        fclose(screen);
    return rc;
}
