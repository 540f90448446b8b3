/* model_card.c - fills the template in: {{part}} by {{part}}.
 *
 * A text from outside is a JSON string in the head, which is YAML of one line, and escaped in the Markdown below.
 * SPDX-License-Identifier: MIT */
#include "model_card.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "data/dataset.h"
#include "draw/page.h"
#include "experiment/checkpoint_record.h"
#include "run/leaks.h"
#include "run/metrics.h"
#include "run/stats.h"

struct card {
    const struct look *l;
    const struct export_record *facts;
    struct checkpoint_parents parents; /* of them */
    const char *part;
    struct metrics m;
    struct dataset_options *set; /* the set's description; all zero where it is not there */
    double low, high;            /* of the accuracy */
};

/* TEXT as Markdown that shows it: what would be markup is escaped, control characters are blanks. */
static void put_markdown(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\`*_{}[]<>#|~", *text))
            fputc('\\', out);
        fputc((unsigned char)*text < ' ' || *text == 127 ? ' ' : *text, out);
    }
}

static void put_quoted(FILE *out, const char *text)
{
    json_t *value = json_string(text);
    char *quoted = value ? json_text(value, 0) : NULL;

    fputs(quoted ? quoted : "\"\"", out);
    free(quoted);
    json_decref(value);
}

static const char *set_title(const struct card *c)
{
    return c->set->title[0] ? c->set->title : c->facts->set;
}

/* The licences that Hugging Face knows by these names (hub documentation, "Licenses"), as descriptions of sets begin
 * with them; NULL: another. */
static const char *known_licence(const char *text)
{
    static const char *const known[][2] = {{"CC BY-SA 4.0", "cc-by-sa-4.0"},
                                           {"CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"},
                                           {"CC BY-NC 4.0", "cc-by-nc-4.0"},
                                           {"CC BY 4.0", "cc-by-4.0"},
                                           {"CC0", "cc0-1.0"},
                                           {"MIT", "mit"},
                                           {"Apache 2.0", "apache-2.0"}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i][0]);

        if (strncmp(text, known[i][0], n) == 0 && !isalnum((unsigned char)text[n]))
            return known[i][1];
    }
    return NULL;
}

static void put_licence(FILE *out, const struct card *c)
{
    const char *text = c->set->licence, *known = known_licence(text);

    fputs(known ? known : text[0] ? "other" : "unknown", out);
}

static void put_licence_name(FILE *out, const struct card *c)
{
    if (!c->set->licence[0] || known_licence(c->set->licence))
        return;
    fputs("license_name: ", out);
    put_quoted(out, c->set->licence);
    fputc('\n', out);
}

static void put_licence_text(FILE *out, const struct card *c)
{
    if (!c->set->licence[0])
        return;
    fputs(" (licence of the pictures: ", out);
    put_markdown(out, c->set->licence);
    fputc(')', out);
}

static void put_name(FILE *out, const struct card *c)
{
    char name[256];

    snprintf(name, sizeof name, "%s-%s", c->facts->architecture, c->facts->set);
    put_quoted(out, name);
}

static void put_leaks(FILE *out, const struct card *c)
{
    char text[128];

    if (!leaks_are(&c->l->leaks))
        return;
    leaks_text(text, sizeof text, &c->l->leaks);
    fprintf(out,
            "Some of these pictures have a duplicate in training. Error rate without them: %s.\n\n",
            text);
}

/* Numbers, and texts that are words of presize's own. */
static bool put_figure(FILE *out, const struct card *c, const char *name)
{
    const struct predictions *p = c->l->p;

    if (strcmp(name, "accuracy") == 0)
        fprintf(out, "%.4f", 1 - (double)c->l->errors / p->n);
    else if (strcmp(name, "accuracy_name") == 0)
        fprintf(out, "\"accuracy, 95 %% interval %.4f to %.4f\"", c->low, c->high);
    else if (strcmp(name, "low") == 0)
        fprintf(out, "%.4f", c->low);
    else if (strcmp(name, "high") == 0)
        fprintf(out, "%.4f", c->high);
    else if (strcmp(name, "f1") == 0)
        fprintf(out, "%.4f", c->m.macro_f1);
    else if (strcmp(name, "loss") == 0)
        fprintf(out, "%.4f", c->m.log_loss);
    else if (strcmp(name, "n") == 0)
        fprintf(out, "%u", p->n);
    else if (strcmp(name, "classes") == 0)
        fprintf(out, "%d", p->classes);
    else if (strcmp(name, "size") == 0)
        fprintf(out, "%lld", (long long)c->facts->size);
    else
        return false;
    return true;
}

static void put_part(FILE *out, const struct card *c, const char *name)
{
    static const struct {
        const char *name;
        void (*put)(FILE *, const struct card *);
    } parts[] = {{"license", put_licence},
                 {"license_name", put_licence_name},
                 {"licence_text", put_licence_text},
                 {"name", put_name},
                 {"leaks", put_leaks}};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].name, name) == 0) {
            parts[i].put(out, c);
            return;
        }
    if (put_figure(out, c, name))
        return;
    if (strcmp(name, "set") == 0)
        put_quoted(out, c->facts->set);
    else if (strcmp(name, "set_title") == 0)
        put_quoted(out, set_title(c));
    else if (strcmp(name, "set_text") == 0)
        put_markdown(out, set_title(c));
    else if (strcmp(name, "split") == 0)
        put_quoted(out, c->part);
    else if (strcmp(name, "pictures") == 0)
        put_markdown(out, c->l->pictures);
    else if (strcmp(name, "arch") == 0)
        fputs(c->facts->architecture, out);
    else if (strcmp(name, "version") == 0)
        fputs(PRESIZE_VERSION, out);
    else if (strcmp(name, "precision") == 0)
        put_markdown(out, c->facts->precision);
    else if (strcmp(name, "weights_sha256") == 0)
        put_markdown(out, c->facts->weights_sha256);
    else if (strcmp(name, "config_sha256") == 0)
        put_markdown(out, c->parents.config ? c->parents.config : "unknown");
    else if (strcmp(name, "index_sha256") == 0)
        put_markdown(out, c->parents.index ? c->parents.index : "unknown");
    else
        BUG_IF("a part of the template that nobody fills in");
}

/* TEXT, SIZE bytes, with its parts. */
static void fill_in(FILE *out, const struct card *c, const char *text, size_t size)
{
    const char *const end = text + size;

    while (text < end) {
        const char *open = memmem(text, (size_t)(end - text), "{{", 2);
        const char *close = open ? memmem(open, (size_t)(end - open), "}}", 2) : NULL;
        char name[32];

        if (!close) {
            fwrite(text, 1, (size_t)(end - text), out);
            return;
        }
        fwrite(text, 1, (size_t)(open - text), out);
        snprintf(name, sizeof name, "%.*s", (int)(close - open - 2), open + 2);
        put_part(out, c, name);
        text = close + 2;
    }
}

int model_card_write(FILE *out, const struct look *l, const struct export_record *facts,
                     const char *part, struct err *err)
{
    struct card c = {.l = l, .facts = facts, .part = part};
    const struct page_file *f = page_files;
    int rc = -1;

    fields_read(checkpoint_parent_fields, 0, &c.parents, facts->parents, NULL);
    c.set = calloc(1, sizeof *c.set);
    if (!c.set)
        return err_set(err, ERR_NOMEM, "README.md");
    if (dataset_read(c.set, facts->set, NULL, 0, NULL) < 0)
        *c.set = (struct dataset_options){0};
    while (f->name && strcmp(f->name, "model_card.md") != 0)
        f++;
    BUG_IF(!f->name);
    if (metrics_of(&c.m, l->p, err) == 0) {
        stats_wilson(&c.low, &c.high, l->p->n - l->errors, l->p->n);
        fill_in(out, &c, f->text, f->size);
        rc = 0;
    }
    free(c.set);
    return rc;
}
