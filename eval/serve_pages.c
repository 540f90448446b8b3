/* serve_pages.c - see serve_pages.h. SPDX-License-Identifier: MIT */
#include "serve_pages.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "draw/element.h"
#include "record/markup.h"

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

static int put_heading(FILE *out, void *of, struct err *err)
{
    fputs("<h1>", out);
    (void)put_title(out, of, err);
    fputs("</h1>\n", out);
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
    static const struct page_part parts[] = {
        {"title", put_title}, {"heading", put_heading}, {"summary", put_text}};
    struct message m = {title, text};

    return print_page(served, "message", parts, 3, &m, err);
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

/* NAME in an address: all but letters and digits as %XX (RFC 3986, 2.1). */
static void put_address(FILE *out, const char *name)
{
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        if ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z'))
            fputc(*c, out);
        else
            fprintf(out, "%%%02X", *c);
    }
}

static void put_name(FILE *out, const struct served_run *run)
{
    fputs("<td><input type=\"checkbox\" name=\"run\" value=\"", out);
    markup_text(out, run->name);
    fputs("\" aria-label=\"choose ", out);
    markup_text(out, run->name);
    fprintf(out, "\"%s></td><th scope=\"row\">", run->readable ? "" : " disabled");
    if (run->readable) {
        fputs("<a href=\"/run?run=", out);
        put_address(out, run->name);
        fputs("\">", out);
    }
    element_name(out, run->name);
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
                 (long long)run->epoch + 1);
    fprintf(out, "<tr data-status=\"%s\">", run->status);
    put_name(out, run);
    fprintf(out, "<td><span class=\"badge %s\">%s</span></td>",
            strcmp(run->status, "done") == 0      ? "good"
            : strcmp(run->status, "running") == 0 ? "running"
                                                  : "bad",
            run->status);
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

static int put_list_heading(FILE *out, void *of, struct err *err)
{
    fputs("<h1>", out);
    (void)put_list_title(out, of, err);
    fputs("</h1>\n", out);
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
                                             {"heading", put_list_heading},
                                             {"summary", put_list_summary},
                                             {"list", put_list}};

    return print_page(served, "runs", parts, 4, (void *)(uintptr_t)s, err);
}
