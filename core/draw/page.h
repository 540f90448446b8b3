/* page.h - pages of one file, which open without a network: a template of core/draw/page filled in, with style, script
 * and data inside.
 *
 * A page NAME has NAME.html, NAME.js and perhaps NAME.css. page.css and page.js are in every page; page.html is the
 * frame around NAME.html, which is its {{body}}. {{policy}}, {{served}}, {{home}}, {{style}}, {{script}} and {{data}}
 * stand for what page_write() knows, any other {{part}} for what the caller prints. {{heading}} is the title where the
 * caller has no part of that name. The content policy lets the page's own style and script run, by their hashes, and
 * nothing else. Every text from outside goes through markup_text().
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_PAGE_H
#define PRESIZE_DRAW_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

struct page_part {
    const char *name;
    /* Prints the part of OF. A write error stays in OUT. */
    int (*put)(FILE *out, void *of, struct err *err);
};

/* A page for a browser that a server talks to (eval --serve): its script may ask that server, and nobody else. */
struct page_served {
    FILE *out;         /* where the page is printed */
    const char *name;  /* out: the page's, for page_policy(); NULL: none was printed */
    const char *token; /* what the script sends with all that writes; NULL: it may not */
    const char *run;   /* whose pictures and predictions the script may ask for; NULL: nobody's */
    const char *study; /* that the page belongs to, and leads to; NULL: none */
};

/* Replaces PATH by page NAME, whole or not at all; where SERVED is not NULL, the page is printed there, and PATH is not
 * used. PARTS: N, one for each part of the template; OF goes to them. DATA (borrowed) is what the script finds as JSON
 * in the element with id "data". ERR_IO, ERR_FULL, ERR_NOMEM and what parts say. */
int page_write(const char *path, struct page_served *served, const char *name,
               const struct page_part *parts, size_t n, void *of, const json_t *data,
               struct err *err) MUST_USE;

/* The content policy of page NAME: what a page of one file has inside, or, SERVED, what a server says with the page.
 * ERR_NOMEM. */
int page_policy(FILE *out, const char *name, bool served, struct err *err) MUST_USE;

/* The files of core/draw/page, embedded by the build; the last has no name. */
struct page_file {
    const char *name;
    const char *text; /* size bytes */
    size_t size;
};
extern const struct page_file page_files[];

#endif
