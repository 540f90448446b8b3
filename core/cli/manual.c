/* manual.c - options and keys as man(7) and as lines of words.
 *
 * A text of argp keeps its lines: those that begin with two blanks are shown as they are, "Examples:" and
 * "Status ..." (or "Exit status: ...") begin sections. SPDX-License-Identifier: MIT */
#include "cli/manual.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/key.h"
#include "base/path.h"
#include "base/version.h"

enum { LINE_COLUMNS = 68 };

/* TEXT of SIZE bytes in man(7): a hyphen that is typed, a backslash, and no request at the beginning of a line. */
static void put_roff(FILE *file, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (i == 0 && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", file);
        if (text[i] == '-')
            fputs("\\-", file);
        else if (text[i] == '\\')
            fputs("\\e", file);
        else
            fputc(text[i], file);
    }
}

/* A paragraph of SIZE bytes, in lines of its words. */
static void put_paragraph(FILE *file, const char *text, size_t size)
{
    size_t column = 0;

    for (size_t i = 0, n; i < size; i += n + 1) {
        n = strcspn(text + i, " ");
        n = n > size - i ? size - i : n;
        if (n == 0)
            continue;
        if (column > 0)
            fputc(column + 1 + n > LINE_COLUMNS ? '\n' : ' ', file);
        column = column == 0 || column + 1 + n > LINE_COLUMNS ? n : column + 1 + n;
        put_roff(file, text + i, n);
    }
    fputc('\n', file);
}

static void put_line(FILE *file, const char *text)
{
    put_paragraph(file, text, strlen(text));
}

static bool ends(const struct argp_option *o)
{
    return !o || !(o->name || o->key || o->doc);
}

static void each_option(FILE *file, const struct argp *argp,
                        void (*say)(FILE *file, const struct argp_option *o))
{
    for (const struct argp_option *o = argp->options; !ends(o); o++)
        if (o->name && !(o->flags & OPTION_HIDDEN))
            say(file, o);
    for (const struct argp_child *c = argp->children; c && c->argp; c++)
        each_option(file, c->argp, say);
}

static bool has_short(const struct argp_option *o)
{
    return o->key > ' ' && o->key < 0x7f;
}

/* --- words --- */

static void say_option(FILE *file, const struct argp_option *o)
{
    const bool optional = o->flags & OPTION_ARG_OPTIONAL;
    const char letter[3] = {'-', (char)o->key, '\0'};

    fprintf(file, "--%s\t%s\t%s%s%s\t%s\n", o->name, has_short(o) ? letter : "",
            optional ? "[" : "", o->arg ? o->arg : "", optional ? "]" : "", o->doc);
}

static void say_key(void *to, const char *name, const char *range, const struct key *row)
{
    fprintf(to, "%s\t%s\t%s\t%s\n", name, row->preset ? row->preset : "", range,
            row->help ? row->help : "");
}

/* --- man(7) --- */

static void man_option(FILE *file, const struct argp_option *o)
{
    const bool optional = o->flags & OPTION_ARG_OPTIONAL;

    fputs(".TP\n", file);
    if (has_short(o))
        fprintf(file, "\\fB\\-%c\\fR, ", o->key);
    fputs("\\fB\\-\\-", file);
    put_roff(file, o->name, strlen(o->name));
    fputs("\\fR", file);
    if (o->arg)
        fprintf(file, "%s=\\fI%s\\fR%s", optional ? "[" : "", o->arg, optional ? "]" : "");
    fputc('\n', file);
    put_line(file, o->doc);
}

static void man_key(void *to, const char *name, const char *range, const struct key *row)
{
    FILE *file = to;

    fputs(".TP\n\\fB", file);
    put_roff(file, name, strlen(name));
    fputs("\\fR (", file);
    put_roff(file, range, strlen(range));
    if (row->unit && strlen(row->unit) > 1)
        fprintf(file, ", %s", row->unit);
    if (row->preset && *row->preset) {
        fputs("; default: ", file);
        put_roff(file, row->preset, strlen(row->preset));
    }
    fputs(")\n", file);
    put_line(file, row->help ? row->help : "");
}

/* Where the section of the line TEXT is named in the text itself; *TITLE: how man(7) calls it. */
static const char *section(const char *text, const char **title)
{
    static const struct {
        const char *begins, *title;
        size_t skip;
    } known[] = {{"Examples:\n", "EXAMPLES", 10},
                 {"Exit status: ", "EXIT STATUS", 13},
                 {"Status ", "EXIT STATUS", 7}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strncmp(text, known[i].begins, strlen(known[i].begins)) == 0) {
            *title = known[i].title;
            return text + known[i].skip;
        }
    return NULL;
}

/* A text of argp, up to where it ends or the \v. */
static void man_text(FILE *file, const char *text)
{
    bool shown = false;

    while (*text && *text != '\v') {
        const char *title, *rest = section(text, &title);
        size_t size = strcspn(text, "\n\v");
        const bool typed = strncmp(text, "  ", 2) == 0;

        if (rest || (shown && !typed)) {
            fputs(shown ? ".EE\n" : "", file);
            shown = false;
        }
        if (rest) {
            fprintf(file, ".SH %s\n", title);
            text = rest;
            continue;
        }
        if (typed && !shown)
            fputs(".EX\n", file);
        shown = shown || typed;
        if (size > 0 && shown) {
            put_roff(file, text, size);
            fputc('\n', file);
        } else if (size > 0) {
            put_paragraph(file, text, size);
        } else if (text[1] && text[1] != '\v') {
            const char *next;

            fputs(section(text + 1, &next) ? "" : ".PP\n", file);
        }
        text += size + (text[size] == '\n');
    }
    if (shown)
        fputs(".EE\n", file);
}

/* The title line and NAME: the first sentence of DOC, without its capital and full stop. */
static void man_head(FILE *file, const char *page, int number, const char *doc)
{
    const char *stop = strstr(doc, ". ");
    const size_t whole = strcspn(doc, "\v");
    size_t size = stop && stop < doc + whole ? (size_t)(stop - doc) : whole;

    while (size > 0 && doc[size - 1] == '.')
        size--;
    fputs(".TH PRESIZE\\-", file);
    for (const char *c = page; *c; c++)
        fputc(toupper((unsigned char)*c), file);
    fprintf(file, " %d " PRESIZE_DATE " \"presize %s\" \"presize\"\n", number, presize_version);
    fprintf(file, ".SH NAME\npresize\\-%s \\-\n%c", page, tolower((unsigned char)doc[0]));
    put_paragraph(file, doc + 1, size - 1);
}

static void man_tool(FILE *file, const struct argp *argp, const struct cli_common *common)
{
    const char *after = strchr(argp->doc, '\v'), *rest;

    man_head(file, common->tool, 1, argp->doc);
    fputs(".SH SYNOPSIS\n", file);
    for (const char *form = argp->args_doc; form; form = rest ? rest + 1 : NULL) {
        rest = strchr(form, '\n');
        fprintf(file, ".B presize %s\n[\\fIOPTION\\fR...] ", common->tool);
        put_roff(file, form, strcspn(form, "\n"));
        fputs(rest ? "\n.br\n" : "\n", file);
    }
    fputs(".SH DESCRIPTION\n", file);
    man_text(file, argp->doc);
    fputs(".SH OPTIONS\n", file);
    each_option(file, argp, man_option);
    fputs(".TP\n\\fB\\-?\\fR, \\fB\\-\\-help\\fR\nprint all options\n"
          ".TP\n\\fB\\-\\-usage\\fR\nprint the options in short\n",
          file);
    if (after) {
        const char *title;

        fputs(section(after + 1, &title) ? "" : ".SH NOTES\n", file);
        man_text(file, after + 1);
    }
    fputs(".SH \"SEE ALSO\"\n", file);
    if (common->n_keys > 0)
        fprintf(file, ".BR presize\\-%s (5),\n",
                strcmp(common->tool, "prep") == 0 ? "dataset" : "experiment");
    fputs(".BR presize (1)\n", file);
}

static void man_keys(FILE *file, const struct cli_common *common)
{
    const bool prep = strcmp(common->tool, "prep") == 0;

    man_head(file, prep ? "dataset" : "experiment", 5,
             prep ? "Keys of the description of a data set" : "Keys of an experiment");
    fprintf(file,
            ".SH DESCRIPTION\nA file in YAML, \\fI%s/NAME.yaml\\fR.\n"
            "Maps inside maps make the parts of a key's name.\nOn the command line of\n"
            ".BR presize\\-%s (1)\na key is given as \\fBKEY\\fR=\\fIVALUE\\fR,\n"
            "an item of a list by its number in the place of N.\n.SH KEYS\n",
            prep ? SHARE_DATASETS : SHARE_EXPERIMENTS, common->tool);
    keys_each(common->keys, common->n_keys, man_key, file);
    fprintf(file, ".SH \"SEE ALSO\"\n.BR presize\\-%s (1),\n.BR presize (1)\n", common->tool);
}

int manual_words(FILE *file, const char *kind, const struct argp *argp,
                 const struct cli_common *common, struct err *err)
{
    if (strcmp(kind, "options") == 0)
        each_option(file, argp, say_option);
    else if (strcmp(kind, "keys") == 0)
        keys_each(common->keys, common->n_keys, say_key, file);
    else if (strcmp(kind, SHARE_EXPERIMENTS) == 0)
        path_list_share(file, SHARE_EXPERIMENTS);
    else if (strcmp(kind, "datasets") == 0)
        path_list_share(file, SHARE_DATASETS);
    else if (strcmp(kind, "man") == 0)
        man_tool(file, argp, common);
    else if (strcmp(kind, "man-keys") == 0 && common->n_keys > 0)
        man_keys(file, common);
    else
        return err_set(err, ERR_INPUT,
                       "--words %.40s: expected options, keys, experiments, datasets, man%s", kind,
                       common->n_keys > 0 ? " or man-keys" : "");
    return 0;
}
