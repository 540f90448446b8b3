/* serve_pages.c - see serve_pages.h. SPDX-License-Identifier: MIT */
#include "serve_pages.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/markup.h"
#include "base/text.h"
#include "draw/element.h"
#include "run/study.h"

/* --- a message ------------------------------------------------------------------------------------- */

struct message {
    const char *title, *text;
};

static int put_title(FILE *out, void *of, struct err *err)
{
    (void)err;
    markup_text(out, ((const struct message *)of)->title);
    return 0;
}

static int put_text(FILE *out, void *of, struct err *err)
{
    (void)err;
    fputs("<p>", out);
    markup_text(out, ((const struct message *)of)->text);
    fputs("</p>\n", out);
    return 0;
}

static int print_page(struct page_served *served, const char *name, const struct page_part *parts,
                      size_t n, void *of, struct err *err)
{
    json_t *data = json_object();
    int rc = data ? page_write(NULL, served, name, parts, n, of, data, err)
                  : err_set(err, ERR_NOMEM, "page");

    json_decref(data);
    return rc;
}

int serve_message_page(struct page_served *served, const char *title, const char *text,
                       struct err *err)
{
    static const struct page_part parts[] = {{"title", put_title}, {"summary", put_text}};
    struct message m = {title, text};

    return print_page(served, "message", parts, sizeof parts / sizeof *parts, &m, err);
}

/* --- the list of runs ------------------------------------------------------------------------------ */

/* "3 h" since START ("2026-01-31T23:59:59Z..."), and the seconds to sort by; "" and -1 where it cannot be read. */
static double age_of(char out[32], const char *start)
{
    static const struct {
        double seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    const int64_t began = clock_read_utc(start);
    double age;

    out[0] = 0;
    if (began < 0)
        return -1;
    age = difftime(time(NULL), (time_t)began);
    age = age < 0 ? 0 : age;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (age >= units[i].seconds || i + 1 == sizeof units / sizeof *units) {
            snprintf(out, 32, "%.0f %s", age / units[i].seconds, units[i].unit);
            break;
        }
    return age;
}

/* <td> of a number, and a word after it. */
static void put_number(FILE *out, double value, const char *after)
{
    if (isnan(value))
        fputs("<td class=\"n\"></td>", out);
    else
        fprintf(out, "<td class=\"n\">%.4f%s</td>", value, after);
}

/* The address of PAGE with its argument. */
static void put_link(FILE *out, const char *page, const char *name)
{
    fprintf(out, "<a href=\"/%s?%s=", page, page);
    markup_address(out, name);
    fputs("\">", out);
}

/* A run of a study: "STUDY/RUN", both of which lead somewhere. */
static void put_name(FILE *out, const struct served_run *run)
{
    const char *own = run->name + (run->study[0] ? strlen(run->study) + 1 : 0);

    fputs("<td><input type=\"checkbox\" name=\"run\" value=\"", out);
    markup_text(out, run->name);
    fputs("\" aria-label=\"choose ", out);
    markup_text(out, run->name);
    fprintf(out, "\"%s></td><th scope=\"row\">", run->readable ? "" : " disabled");
    if (run->study[0]) {
        put_link(out, "study", run->study);
        element_name(out, run->study);
        fputs("</a>/", out);
    }
    if (run->readable)
        put_link(out, "run", run->name);
    element_name(out, own);
    fputs(run->readable ? "</a>" : "", out);
    if (run->fault[0]) {
        fputs("<br><span class=\"note bad\">", out);
        element_name(out, run->fault);
        fputs("</span>", out);
    }
    fputs("</th>", out);
}

static void put_run(FILE *out, const struct served_run *run)
{
    char age[32], after[64] = "";
    const double seconds = age_of(age, run->start);

    if (run->epoch != FIELD_NO_INT)
        snprintf(after, sizeof after, " <span class=\"note\">epoch %lld</span>",
                 (long long)run->epoch);
    fprintf(out, "<tr data-status=\"%s\">", run->status);
    put_name(out, run);
    fputs("<td>", out);
    element_badge(out, run->status);
    fputs("</td>", out);
    put_number(out, run->error_rate, after);
    put_number(out, run->valid_loss, "");
    element_td(out, run->set);
    element_td(out, run->experiment);
    if (run->seed == FIELD_NO_INT)
        fputs("<td class=\"n\"></td>", out);
    else
        fprintf(out, "<td class=\"n\">%lld</td>", (long long)run->seed);
    fprintf(out, "<td class=\"n\" data-sort=\"%.0f\" title=\"", seconds);
    markup_text(out, run->start);
    fprintf(out, "\">%s</td></tr>\n", age);
}

static int put_list_title(FILE *out, void *of, struct err *err)
{
    const struct serve *s = of;

    (void)err;
    fputs("Runs in ", out);
    markup_text(out, path_base(s->results));
    return 0;
}

static int put_list_summary(FILE *out, void *of, struct err *err)
{
    const struct serve *s = of;

    (void)err;
    fprintf(out, "<p class=\"note\">%zu run%s in ", s->n_runs, PLURAL(s->n_runs));
    markup_text(out, s->results);
    fputs(s->n_runs ? ", the latest first.</p>\n"
                    : ". <code>train --exp NAME</code> makes one.</p>\n",
          out);
    return 0;
}

/* How many of a study's runs are done, of all that it lists. */
static void put_study(FILE *out, const struct serve *s, const struct served_study *study)
{
    struct err why = {0};
    struct study read;
    size_t done = 0;

    fputs("<li>", out);
    put_link(out, "study", study->name);
    element_name(out, study->name);
    fputs("</a>", out);
    if (study_read(&read, study->folder, &why) < 0) {
        fputs(": <span class=\"bad\">", out);
        element_name(out, why.msg);
        fputs("</span></li>\n", out);
        return;
    }
    for (size_t i = 0; i < s->n_runs; i++)
        done +=
            strcmp(s->runs[i].study, study->name) == 0 && strcmp(s->runs[i].status, "done") == 0;
    fprintf(out, ": %zu of %zu runs done", done, read.n);
    if (read.record.title && read.record.title[0]) {
        fputs(" <span class=\"note\">", out);
        element_name(out, read.record.title);
        fputs("</span>", out);
    }
    fputs("</li>\n", out);
    study_free(&read);
}

static int put_studies(FILE *out, void *of, struct err *err)
{
    const struct serve *s = of;

    (void)err;
    if (s->n_studies == 0)
        return 0;
    fputs("<section id=\"studies\">\n<h2>Studies</h2>\n<ul class=\"remarks\">\n", out);
    for (size_t i = 0; i < s->n_studies; i++)
        put_study(out, s, &s->studies[i]);
    fputs("</ul>\n</section>\n", out);
    return 0;
}

static int put_list(FILE *out, void *of, struct err *err)
{
    static const struct {
        const char *name;
        int number;
    } heads[] = {{"run", 0}, {"status", 0},     {"error rate", 1}, {"valid loss", 1},
                 {"set", 0}, {"experiment", 0}, {"seed", 1},       {"age", 1}};
    const struct serve *s = of;

    (void)err;
    fputs("<div class=\"wide\"><table class=\"sort\" id=\"list\">\n<thead><tr><td></td>", out);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        element_th(out, heads[i].name, heads[i].number);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t i = s->n_runs; i-- > 0;)
        put_run(out, &s->runs[i]);
    fputs("</tbody></table></div>\n", out);
    return 0;
}

int serve_runs_page(const struct serve *s, struct page_served *served, struct err *err)
{
    static const struct page_part parts[] = {{"title", put_list_title},
                                             {"summary", put_list_summary},
                                             {"studies", put_studies},
                                             {"list", put_list}};

    return print_page(served, "runs", parts, sizeof parts / sizeof *parts, (void *)(uintptr_t)s,
                      err);
}
