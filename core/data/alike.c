/* alike.c - texts are sorted by their folded form, so that what is alike stands side by side.
 * SPDX-License-Identifier: MIT */
#include "data/alike.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/text.h"

struct folded {
    char *key; /* folded, '/' as 1: below all that a name has, so that folders stay together */
    const char *text;
};

static int by_key(const void *a, const void *b)
{
    const struct folded *x = a, *y = b;
    int order = strcmp(x->key, y->key);

    return order ? order : strcmp(x->text, y->text);
}

/* How many bytes of A and B their first names that differ end at, where these fold alike: into *LA, *LB. */
static bool differ_alike(const struct folded *a, const struct folded *b, size_t *la, size_t *lb)
{
    const char *ka = a->key, *kb = b->key, *ta = a->text, *tb = b->text;

    for (;;) {
        const size_t fa = strcspn(ka, "\1"), fb = strcspn(kb, "\1");
        const size_t na = strcspn(ta, "/"), nb = strcspn(tb, "/");

        if (fa != fb || memcmp(ka, kb, fa) != 0)
            return false;
        *la = (size_t)(ta - a->text) + na;
        *lb = (size_t)(tb - b->text) + nb;
        if (na != nb || memcmp(ta, tb, na) != 0)
            return true;
        if (!ka[fa] || !kb[fb] || !ta[na] || !tb[nb])
            return false;
        ka += fa + 1;
        kb += fb + 1;
        ta += na + 1;
        tb += nb + 1;
    }
}

static void report(const struct folded *f, size_t n,
                   void (*found)(void *ctx, const char *a, const char *b), void *ctx)
{
    char last[2][PATH_LEN] = {"", ""}, now[2][PATH_LEN];

    for (size_t i = 1; i < n; i++) {
        size_t la, lb;

        if (!differ_alike(&f[i - 1], &f[i], &la, &lb))
            continue;
        snprintf(now[0], PATH_LEN, "%.*s", (int)la, f[i - 1].text);
        snprintf(now[1], PATH_LEN, "%.*s", (int)lb, f[i].text);
        /* pictures of two such folders alternate: once is enough */
        if ((strcmp(now[0], last[0]) == 0 && strcmp(now[1], last[1]) == 0) ||
            (strcmp(now[0], last[1]) == 0 && strcmp(now[1], last[0]) == 0))
            continue;
        memcpy(last, now, sizeof last);
        found(ctx, now[0], now[1]);
    }
}

int alike_find(const char *const *texts, size_t n, bool blanks,
               void (*found)(void *ctx, const char *a, const char *b), void *ctx, struct err *err)
{
    struct folded *f = calloc(n + 1, sizeof *f);
    int rc = f ? 0 : err_set(err, ERR_NOMEM, "%zu names: out of memory", n);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        f[i] = (struct folded){text_fold(texts[i], blanks), texts[i]};
        if (!f[i].key)
            rc = err_set(err, ERR_NOMEM, "%zu names: out of memory", n);
        for (char *p = f[i].key; p && (p = strchr(p, '/')) != NULL;)
            *p = '\1';
    }
    if (rc == 0) {
        qsort(f, n, sizeof *f, by_key);
        report(f, n, found, ctx);
    }
    for (size_t i = 0; f && i < n; i++)
        free(f[i].key);
    free(f);
    return rc;
}
