/* page.c - fills a template in. SPDX-License-Identifier: MIT */
#include "draw/page.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/markup.h"
#include "base/path.h"

struct page {
    const char *name;
    const struct page_part *parts;
    size_t n;
    void *of;
    const json_t *data;
    const struct page_served *served; /* NULL: a file */
};

static const struct page_file *find_file(const char *name, const char *ending)
{
    const struct page_file *f = page_files;

    while (f->name && (strncmp(f->name, name, strlen(name)) != 0 ||
                       strcmp(f->name + strlen(name), ending) != 0))
        f++;
    return f->name ? f : NULL;
}

/* What every page has, then the page's own: both in one element, so that one hash covers them. */
static void put_files(FILE *out, const char *name, const char *ending)
{
    const struct page_file *files[] = {find_file("page", ending), find_file(name, ending)};

    for (int i = 0; i < 2; i++)
        if (files[i])
            fwrite(files[i]->text, 1, files[i]->size, out);
}

/* 'sha256-...' of what put_files() prints (W3C, Content Security Policy Level 3, 2.3.1). */
static int put_hash(FILE *out, const char *name, const char *ending, struct err *err)
{
    char hex[SHA256_HEX], *text = NULL;
    unsigned char digest[(SHA256_HEX - 1) / 2];
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);

    if (!memory)
        return err_set(err, ERR_NOMEM, "page");
    put_files(memory, name, ending);
    if (fclose(memory) != 0) {
        free(text);
        return err_set(err, ERR_NOMEM, "page");
    }
    sha256_of(text, size, hex);
    free(text);
    for (size_t i = 0; i < sizeof digest; i++) {
        const char digits[] = {hex[2 * i], hex[2 * i + 1], 0};

        digest[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    fputs("'sha256-", out);
    markup_base64(out, digest, sizeof digest);
    fputc('\'', out);
    return 0;
}

int page_policy(FILE *out, const char *name, bool served, struct err *err)
{
    fprintf(out, "default-src 'none'; base-uri 'none'; form-action %s; img-src %sdata:; style-src ",
            served ? "'self'" : "'none'", served ? "'self' blob: " : "");
    if (put_hash(out, name, ".css", err) < 0)
        return -1;
    fputs("; script-src ", out);
    if (put_hash(out, name, ".js", err) < 0)
        return -1;
    if (served) /* a meta element cannot say frame-ancestors */
        fputs("; connect-src 'self'; frame-ancestors 'none'", out);
    return 0;
}

/* A server sends the policy itself. */
static int put_policy(FILE *out, const struct page *p, struct err *err)
{
    if (p->served)
        return 0;
    fputs("<meta http-equiv=\"Content-Security-Policy\" content=\"", out);
    if (page_policy(out, p->name, false, err) < 0)
        return -1;
    fputs("\">\n", out);
    return 0;
}

static void put_meta(FILE *out, const char *name, const char *text)
{
    fprintf(out, "<meta name=\"presize-%s\" content=\"", name);
    markup_text(out, text);
    fputs("\">\n", out);
}

/* What the script needs to talk to the server. */
static void put_served(FILE *out, const struct page_served *served)
{
    if (!served)
        return;
    fputs("<link rel=\"icon\" href=\"data:,\">\n", out); /* else a browser asks for one */
    if (served->token)
        put_meta(out, "token", served->token);
    if (served->token && served->run)
        put_meta(out, "run", served->run);
}

/* JSON in a script element: a "<" could end the element, so it is written as an escape. It only occurs in strings. */
static int put_data(FILE *out, const struct page *p, struct err *err)
{
    char *text = json_text(p->data, 0);

    if (!text)
        return err_set(err, ERR_NOMEM, "page");
    for (const char *at = text; *at; at++) {
        if (*at == '<')
            fputs("\\u003c", out);
        else
            fputc(*at, out);
    }
    free(text);
    return 0;
}

/* Links up: to the list of runs, and to a run's study. */
static void put_home(FILE *out, const struct page *p)
{
    if (!p->served || strcmp(p->name, "runs") == 0)
        return;
    fputs("<p class=\"home\"><a href=\"/\">All runs</a>", out);
    if (p->served->study) {
        fputs(" / <a href=\"/study?study=", out);
        markup_address(out, p->served->study);
        fputs("\">", out);
        markup_text(out, p->served->study);
        fputs("</a>", out);
    }
    fputs("</p>\n", out);
}

static int put_template(FILE *out, const struct page *p, const char *name, struct err *err);

static int put_part(FILE *out, const struct page *p, const char *name, size_t length,
                    struct err *err)
{
    char part[64];

    BUG_IF(length >= sizeof part);
    memcpy(part, name, length);
    part[length] = 0;
    if (strcmp(part, "body") == 0)
        return put_template(out, p, p->name, err);
    if (strcmp(part, "policy") == 0)
        return put_policy(out, p, err);
    if (strcmp(part, "data") == 0)
        return put_data(out, p, err);
    if (strcmp(part, "style") == 0 || strcmp(part, "script") == 0) {
        put_files(out, p->name, part[1] == 't' ? ".css" : ".js");
        return 0;
    }
    if (strcmp(part, "served") == 0) {
        put_served(out, p->served);
        return 0;
    }
    if (strcmp(part, "home") == 0) {
        put_home(out, p);
        return 0;
    }
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->parts[i].name, part) == 0)
            return p->parts[i].put(out, p->of, err);
    if (strcmp(part, "heading") == 0) {
        fputs("<h1>", out);
        if (put_part(out, p, "title", strlen("title"), err) < 0)
            return -1;
        fputs("</h1>\n", out);
        return 0;
    }
    BUG_IF(true); /* the template has a part that its caller does not know */
    return -1;
}

/* page.html is the frame of all pages; its body is the page's own. */
static int put_template(FILE *out, const struct page *p, const char *name, struct err *err)
{
    const struct page_file *template = find_file(name, ".html");
    const char *at, *open, *close, *end;

    BUG_IF(!template);
    end = template->text + template->size;
    for (at = template->text; (open = memmem(at, (size_t)(end - at), "{{", 2)) != NULL;
         at = close + 2) {
        fwrite(at, 1, (size_t)(open - at), out);
        close = memmem(open, (size_t)(end - open), "}}", 2);
        BUG_IF(!close);
        if (put_part(out, p, open + 2, (size_t)(close - open - 2), err) < 0)
            return -1;
    }
    fwrite(at, 1, (size_t)(end - at), out);
    return 0;
}

int page_write(const char *path, struct page_served *served, const char *name,
               const struct page_part *parts, size_t n, void *of, const json_t *data,
               struct err *err)
{
    const struct page p = {name, parts, n, of, data, served};
    struct new_file f;

    if (served) {
        served->name = name;
        return put_template(served->out, &p, "page", err);
    }
    if (new_file_begin(&f, path, err) < 0)
        return -1;
    if (put_template(f.file, &p, "page", err) < 0) {
        new_file_abort(&f);
        return -1;
    }
    return new_file_finish(&f, err);
}
