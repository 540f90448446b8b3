/* propose.c - prep --init: look at a folder of pictures and propose its description as YAML.
 *
 * The proposals are tried out by the very listing that prep uses, so what is printed works.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "prep.h"

enum { CLASSES_SHOWN = 8 };

#define NAME_PATTERN "(.+)_\\d+\\.[^.]+$"

struct proposal {
    struct dataset_options options;
    struct dataset *dataset;
};

static const struct key_table tables[] = {{dataset_keys, 0}};

/* Lists FOLDER by one way of labelling; useful when there are at least two classes, and fewer classes
 * than pictures. Otherwise NULL, with the reason in WHY. */
static struct dataset *try_labels(struct dataset_options *o, const char *folder, const char *images,
                                  enum label_from from, struct err *why)
{
    struct dataset *d;

    keys_default(tables, 1, KEYS_NEWEST, o);
    snprintf(o->images, sizeof o->images, "%s", images);
    o->label_from = (int)from;
    if (from == LABEL_REGEX)
        snprintf(o->label_regex, sizeof o->label_regex, "%s", NAME_PATTERN);
    if (dataset_list(&d, o, folder, image_is_picture, why) < 0)
        return NULL;
    if (d->n_classes < 2 || (uint32_t)d->n_classes == d->n) {
        err_set(why, ERR_INPUT, "%u pictures would be of %d classes", d->n, d->n_classes);
        dataset_free(d);
        return NULL;
    }
    return d;
}

/* DATA/NAME/tree is where prep looks anyway; any other folder must be named by the key root. */
static bool is_fetched(const char *folder)
{
    const size_t n = strlen(folder);

    return n >= 5 && strcmp(folder + n - 5, "/tree") == 0;
}

static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            putchar('\'');
        putchar(*text);
    }
    putchar('\'');
}

static void print(const struct proposal *p, const char *folder, const char *absolute)
{
    const struct dataset *d = p->dataset;
    const char *slash;
    char title[128];
    int shown = d->n_classes < CLASSES_SHOWN ? d->n_classes : CLASSES_SHOWN;

    snprintf(title, sizeof title, "%s", absolute);
    if (is_fetched(title))
        title[strlen(title) - 5] = 0;
    slash = strrchr(title, '/');
    printf("# Proposed by `prep --init %s`: %u pictures of %d classes, %u other files.\n# Classes:",
           folder, d->n, d->n_classes, d->n_skipped);
    for (int i = 0; i < shown; i++)
        printf(" %s%s", d->vocab[i], i + 1 < shown ? "," : "");
    printf("%s\n# Save it as prep/datasets/NAME.yaml, then run `prep NAME`.\n",
           shown < d->n_classes ? ", ..." : "");
    fputs("title: ", stdout);
    print_quoted(slash && slash[1] ? slash + 1 : title);
    putchar('\n');
    if (!is_fetched(absolute)) {
        fputs("root: ", stdout);
        print_quoted(absolute);
        putchar('\n');
    }
    if (p->options.images[0]) {
        fputs("images: ", stdout);
        print_quoted(p->options.images);
        putchar('\n');
    }
    if (p->options.label_from == LABEL_FOLDER) {
        puts("label: {from: folder}");
    } else {
        fputs("label: {from: regex, regex: ", stdout);
        print_quoted(p->options.label_regex);
        puts("}");
    }
    printf("presize: {size: %jd}\n", (intmax_t)p->options.size);
}

int prep_propose(const char *folder, struct err *err)
{
    struct proposal p = {.dataset = NULL};
    struct err by_folder = {0}, by_name = {0};
    char images[PATH_LEN], *absolute;

    if (!path_is_dir(folder))
        return err_set(err, ERR_INPUT, "%s: no such folder", folder);
    if (path_format(images, err, "%s/images", folder) < 0)
        return -1;
    /* Oxford's layout first: beside images/ there may be pictures that are annotations. */
    if (path_is_dir(images))
        p.dataset = try_labels(&p.options, folder, "images", LABEL_REGEX, &by_name);
    if (!p.dataset && path_is_dir(images))
        p.dataset = try_labels(&p.options, folder, "images", LABEL_FOLDER, &by_folder);
    if (!p.dataset)
        p.dataset = try_labels(&p.options, folder, "", LABEL_FOLDER, &by_folder);
    if (!p.dataset)
        p.dataset = try_labels(&p.options, folder, "", LABEL_REGEX, &by_name);
    if (!p.dataset)
        return err_set(err, ERR_INPUT,
                       "%s: cannot see how its pictures are labelled. By folder: %.500s. By name "
                       "(" NAME_PATTERN
                       "): %.500s. Write prep/datasets/NAME.yaml with root, label.from and "
                       "label.regex by hand",
                       folder, by_folder.msg, by_name.msg);
    absolute = realpath(folder, NULL);
    print(&p, folder, absolute ? absolute : folder);
    free(absolute);
    dataset_free(p.dataset);
    return 0;
}
