/* propose.c - prep --init: look at a folder of pictures and propose its description as YAML, printed or saved.
 *
 * The proposals are tried out by the very listing that prep uses, so what is printed works. A first listing, in
 * which the labels do not matter, shows what kind of folder it is (survey.c); then the ways of labelling are tried,
 * those first that cannot be true by chance. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/text.h"
#include "data/csv.h"
#include "data/part_folder.h"
#include "prep.h"
#include "survey.h"

enum { CLASSES_SHOWN = 8, TABLES_MAX = 32 };

#define NAME_PATTERN "(.+)_\\d+\\.[^.]+$"
#define LOOSE_PATTERN "^(.*?[^-_. ])[-_. ]*\\(?\\d+\\)?\\.[^.]+$"

struct proposal {
    const char *folder, *name; /* of the set, NULL: not known */
    bool fetched;              /* the folder is DATA/NAME/tree: no key root */
    struct survey survey;
    struct dataset_options options;
    struct dataset *dataset;
};

static const struct key_table tables[] = {{dataset_keys, 0}};

/* Whether the classes of D are names of parts (train, test), which nobody wants to tell apart. */
static bool are_parts(const struct dataset *d)
{
    for (int32_t c = 0; c < d->n_classes; c++)
        if (part_folder_of_name(d->vocab[c], strlen(d->vocab[c])) != PART_NONE)
            return true;
    return false;
}

/* Lists the folder as ->options say; useful when there are at least two classes, and fewer classes than pictures.
 * Else the reason is in WHY. */
static bool list(struct proposal *p, struct err *why)
{
    struct dataset *d;

    if (dataset_list(&d, &p->options, p->folder, survey_is_picture, why) < 0)
        return false;
    if (d->n_classes < 2 || (uint32_t)d->n_classes == d->n || are_parts(d)) {
        err_set(why, ERR_INPUT, "%u picture%s would be of %d class%s%s", d->n, PLURAL(d->n),
                d->n_classes, d->n_classes == 1 ? "" : "es",
                are_parts(d) ? ", which are named like parts of a set" : "");
        dataset_free(d);
        return false;
    }
    p->dataset = d;
    return true;
}

static void begin(struct proposal *p, const char *images, enum label_from from)
{
    keys_default(tables, 1, KEYS_NEWEST, &p->options);
    snprintf(p->options.images, sizeof p->options.images, "%s", images);
    snprintf(p->options.skip, sizeof p->options.skip, "%s", p->survey.skip);
    p->options.label_from = (int)from;
}

static bool try_folders(struct proposal *p, const char *images, struct err *why)
{
    begin(p, images, LABEL_FOLDER);
    return list(p, why);
}

static bool try_names(struct proposal *p, const char *images, struct err *why)
{
    static const char *const patterns[] = {NAME_PATTERN, LOOSE_PATTERN};

    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct err other = {0};

        begin(p, images, LABEL_REGEX);
        snprintf(p->options.label_regex, sizeof p->options.label_regex, "%s", patterns[i]);
        if (list(p, i ? &other : why))
            return true;
    }
    return false;
}

static int is_table(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');

    return e->d_name[0] != '.' && dot &&
           (strcasecmp(dot, ".csv") == 0 || strcasecmp(dot, ".tsv") == 0 ||
            strcasecmp(dot, ".txt") == 0);
}

/* A table beside the pictures that has the usual columns, and labels all pictures, or at least one in ten. */
static bool try_tables(struct proposal *p)
{
    struct dirent **names = NULL;
    const int n = scandir(p->folder, &names, is_table, alphasort);
    bool found = false;

    for (int missing = MISSING_FAIL; missing <= MISSING_SKIP; missing++)
        for (int i = 0; i < n && i < TABLES_MAX && !found; i++) {
            struct err why = {0};

            begin(p, "", LABEL_CSV);
            p->options.label_missing = missing;
            if (snprintf(p->options.label_csv, sizeof p->options.label_csv, "%s",
                         names[i]->d_name) >= (int)sizeof p->options.label_csv)
                continue;
            found = list(p, &why);
            log_debug("%s: %s", names[i]->d_name, found ? "labels the pictures" : why.msg);
            if (found && p->dataset->n < p->survey.n / 10) {
                dataset_free(p->dataset);
                p->dataset = NULL;
                found = false;
            }
        }
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return found;
}

/* --- printing ----------------------------------------------------------------------------------- */

/* DATA/NAME/tree is where prep looks anyway; any other folder must be named by the key root. Without a name the set is
 * called as the folder above the tree. */
static bool is_fetched(const char *absolute, const char *data, const char *name)
{
    char above[PATH_LEN], path[PATH_LEN], *there;
    bool same;

    if (!text_ends_in(absolute, "/tree") || path_folder(above, absolute, NULL) < 0 ||
        path_format(path, NULL, "%s/%s/tree", data, name ? name : path_base(above)) < 0)
        return false;
    there = realpath(path, NULL);
    same = there && strcmp(there, absolute) == 0;
    free(there);
    return same;
}

static void print_quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            fputc('\'', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

static void print_key(FILE *out, const char *key, const char *text)
{
    fprintf(out, "%s: ", key);
    print_quoted(out, text);
    fputc('\n', out);
}

static void print_remarks(FILE *out, const struct proposal *p)
{
    char text[2048];

    for (int k = 0; k < REMARK_KINDS; k++) {
        const bool of_set =
            k == REMARK_OTHER_FILES || /* with the table known, which is not left out */
            (k >= REMARK_TRIMMED_LABELS && k <= REMARK_IN_NO_LIST);

        if (k == REMARK_UNDECODABLE || k == REMARK_ENLARGED)
            continue;
        remarks_text(of_set ? &p->dataset->remarks : &p->survey.remarks, (enum remark_kind)k, text,
                     sizeof text);
        if (text[0])
            fprintf(out, "# %s.\n", text);
    }
}

/* Those of the sample; the set may have more. */
static void print_undecodable(FILE *out, const struct remark *m)
{
    if (m->n == 0)
        return;
    fprintf(out, "# %u of a sample cannot be decoded:", m->n);
    for (uint32_t i = 0; i < m->shown; i++)
        fprintf(out, "%s %s", i ? ";" : "", m->example[i]);
    fputs(". decode: {exif: apply, on_error: skip} leaves such pictures out.\n", out);
}

static void print_head(FILE *out, const struct proposal *p)
{
    const struct dataset *d = p->dataset;
    const int shown = d->n_classes < CLASSES_SHOWN ? d->n_classes : CLASSES_SHOWN;

    fprintf(
        out,
        "# Proposed by `prep --init %s`: %u pictures of %d classes, %u other file%s.\n# Classes:",
        p->folder, d->n, d->n_classes, d->n_skipped, PLURAL(d->n_skipped));
    for (int i = 0; i < shown; i++)
        fprintf(out, " %s%s", d->vocab[i], i + 1 < shown ? "," : "");
    fprintf(out, "%s\n# Formats: %s.\n", shown < d->n_classes ? ", ..." : "", p->survey.formats);
    print_remarks(out, p);
    print_undecodable(out, &p->survey.remarks.of[REMARK_UNDECODABLE]);
    if (p->survey.remarks.of[REMARK_ENLARGED].n > 0)
        fprintf(
            out,
            "# %u of a sample are smaller than the preset presize.size; nine in ten reach %d px.\n",
            p->survey.remarks.of[REMARK_ENLARGED].n, p->survey.size);
    if (p->survey.parts[PART_TRAIN] && (p->survey.parts[PART_VALID] || p->survey.parts[PART_TEST]))
        fprintf(
            out,
            "# Folders are parts of the set: %u pictures to train, %u to validate, %u to test%s.\n"
            "# Train with  data.split=folder  to keep to them.\n",
            p->survey.parts[PART_TRAIN], p->survey.parts[PART_VALID], p->survey.parts[PART_TEST],
            p->survey.unlabelled_test ? " (without labels: left out by skip)" : "");
    if (p->name)
        fprintf(out, "# `prep %s` makes the shards.\n", p->name);
    else
        fputs("# Save it as prep/datasets/NAME.yaml, then run `prep NAME`.\n", out);
}

static void print_label(FILE *out, const struct dataset_options *o)
{
    if (o->label_from == LABEL_FOLDER) {
        fputs("label: {from: folder}\n", out);
        return;
    }
    fputs(o->label_from == LABEL_CSV ? "label: {from: csv, csv: " : "label: {from: regex, regex: ",
          out);
    print_quoted(out, o->label_from == LABEL_CSV ? o->label_csv : o->label_regex);
    fputs(o->label_missing == MISSING_SKIP ? ", missing: skip}\n" : "}\n", out);
}

static void print(FILE *out, const struct proposal *p, const char *absolute)
{
    const char *slash;
    char title[128];

    snprintf(title, sizeof title, "%s", absolute);
    if (text_ends_in(title, "/tree"))
        title[strlen(title) - 5] = 0;
    slash = strrchr(title, '/');
    print_head(out, p);
    print_key(out, "title", slash && slash[1] ? slash + 1 : title);
    if (!p->fetched)
        print_key(out, "root", absolute);
    if (p->options.images[0])
        print_key(out, "images", p->options.images);
    if (p->options.skip[0])
        print_key(out, "skip", p->options.skip);
    print_label(out, &p->options);
    fputs("decode: {exif: apply}\n", out);
    fprintf(out, "presize: {size: %d}\n", p->survey.size);
}

static int cannot_see(const struct proposal *p, const struct err *by_folder,
                      const struct err *by_name, struct err *err)
{
    return err_set(err, ERR_INPUT,
                   "%s: cannot see how its pictures are labelled. By folder: %.500s. By name "
                   "(" NAME_PATTERN "): %.500s. No table beside them has columns of paths and "
                   "labels (path, label). Write prep/datasets/NAME.yaml with root, label.from and "
                   "label.regex by hand; `prep --keys` lists all keys",
                   p->folder, by_folder->msg, by_name->msg);
}

/* Into prep/datasets/NAME.yaml, which must not be there. */
static int save(const struct proposal *p, const char *absolute, struct err *err)
{
    struct new_file file = {0};
    char path[PATH_LEN];

    if (path_share_name(path, SHARE_DATASETS, p->name, err) < 0)
        return -1;
    if (path_exists(path))
        return err_set(err, ERR_INPUT, "%s is there already: edit it, or remove it first", path);
    if (new_file_begin(&file, path, err) < 0)
        return -1;
    print(file.file, p, absolute);
    if (new_file_finish(&file, err) < 0)
        return -1;
    puts(path);
    return 0;
}

int prep_propose(const char *folder, const char *name, const char *data, struct err *err)
{
    struct proposal p = {.folder = folder, .name = name};
    struct err by_folder = {0}, by_name = {0};
    char images[PATH_LEN], *absolute;
    int rc = 0;

    if (!path_is_dir(folder))
        return err_set(err, ERR_INPUT, "%s: no such folder", folder);
    if (path_format(images, err, "%s/images", folder) < 0 ||
        survey_make(&p.survey, folder, err) < 0)
        return -1;
    /* Oxford's layout first: beside images/ there may be pictures that are annotations. */
    if (!(path_is_dir(images) &&
          (try_names(&p, "images", &by_name) || try_folders(&p, "images", &by_folder))) &&
        !try_folders(&p, "", &by_folder) && !try_tables(&p) && !try_names(&p, "", &by_name))
        return cannot_see(&p, &by_folder, &by_name, err);
    absolute = realpath(folder, NULL);
    p.fetched = absolute && is_fetched(absolute, data, name);
    if (name)
        rc = save(&p, absolute ? absolute : folder, err);
    else
        print(stdout, &p, absolute ? absolute : folder);
    free(absolute);
    dataset_free(p.dataset);
    return rc;
}
