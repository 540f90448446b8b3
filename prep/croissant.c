/* croissant.c - the set as Croissant 1.1 (MLCommons), from its description and its manifest.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "data/entry_path.h"
#include "data/label.h"
#include "data/manifest.h"
#include "data/source.h"
#include "prep.h"

/* Terms of the specification's context that are "cr:TERM". */
static const char *const terms[] = {
    "arrayShape", "citeAs",     "column",      "containedIn",   "extract",
    "field",      "fileObject", "fileSet",     "fileProperty",  "equivalentProperty",
    "format",     "includes",   "isArray",     "isLiveDataset", "jsonPath",
    "key",        "md5",        "parentField", "path",          "recordSet",
    "references", "regex",      "repeated",    "replace",       "samplingRate",
    "separator",  "source",     "subField",    "transform"};

static json_t *make_context(void)
{
    json_t *c = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s}, "
        "s:{s:s}}",
        "@language", "en", "@vocab", "https://schema.org/", "sc", "https://schema.org/", "cr",
        "http://mlcommons.org/croissant/", "rai", "http://mlcommons.org/croissant/RAI/", "dct",
        "http://purl.org/dc/terms/", "conformsTo", "dct:conformsTo", "data", "@id", "cr:data",
        "@type", "@json", "examples", "@id", "cr:examples", "@type", "@json", "dataType", "@id",
        "cr:dataType", "@type", "@vocab", "name", "@container", "@language", "description",
        "@container", "@language");

    for (size_t i = 0; c && i < sizeof terms / sizeof *terms; i++)
        json_object_set_new(c, terms[i], json_sprintf("cr:%s", terms[i]));
    return c;
}

/* A table of labels that Croissant can join with the pictures. */
struct label_table {
    struct csv csv;
    char path[ENTRY_PATH_MAX + 1]; /* below the tree, as a manifest has it; "": outside */
    uint64_t size;                 /* of the file that was read */
    char sha256[SHA256_HEX];
};

/* --- distribution ---------------------------------------------------------------------------------- */

static const char *type_of(const char *file)
{
    return text_ends_in(file, ".zip") ? "application/zip" : "application/x-tar";
}

/* The endings of the listing without their dot, once each. No archive has a file with an ending that is no text. */
static json_t *endings_of(const struct prep *p)
{
    json_t *list = json_array(), *seen = json_object();

    for (uint32_t i = 0; i < p->dataset->n; i++) {
        const char *dot = strrchr(path_base(p->dataset->items[i].path), '.');

        if (dot && !text_fault(dot) && !json_object_get(seen, dot)) {
            json_object_set_new(seen, dot, json_true());
            json_array_append_new(list, json_string(dot + 1));
        }
    }
    json_decref(seen);
    return list;
}

/* TEXT as a pattern that matches TEXT alone. */
static void as_glob(char *out, size_t size, const char *text)
{
    size_t n = 0;

    for (; *text && n + 4 <= size; text++)
        n += (size_t)snprintf(out + n, size - n, strchr("[]*?", *text) ? "[%c]" : "%c", *text);
    out[n] = '\0';
}

/* Patterns of names without an ending, to LIST: of each length, as many characters that are no dot. "*" would match the
 * README beside them, too, and the archive itself. */
static void add_bare(json_t *list, const struct prep *p, const char *below)
{
    bool seen[ENTRY_NAME_MAX + 1] = {false};
    char glob[5 * ENTRY_NAME_MAX + 1];

    for (uint32_t i = 0; i < p->dataset->n; i++) {
        const char *name = path_base(p->dataset->items[i].path);
        size_t n = 0;

        if (strchr(name, '.'))
            continue;
        for (; *name; name++)
            n += ((unsigned char)*name & 0xc0) != 0x80; /* characters, not bytes, of UTF-8 */
        if (n > ENTRY_NAME_MAX || seen[n])
            continue;
        seen[n] = true;
        for (size_t k = 0; k < n; k++)
            memcpy(glob + 5 * k, "[!./]", 6);
        json_array_append_new(list, json_sprintf("%s%s", below, glob));
        json_array_append_new(list, json_sprintf("%s*/%s", below, glob));
    }
}

/* Patterns below the set's pictures: in images/, all that end with .jpg. */
static json_t *patterns_of(const struct prep *p)
{
    json_t *list = json_array(), *endings = endings_of(p), *ending, *below;
    char images[ENTRY_PATH_MAX + 1], glob[3 * sizeof images];
    size_t i;

    if (entry_path_clean(images, p->options.images, NULL) < 0)
        images[0] = '\0';
    as_glob(glob, sizeof glob, images);
    below = glob[0] ? json_sprintf("*%s/", glob) : json_string("");
    json_array_foreach(endings, i, ending)
    {
        as_glob(glob, sizeof glob, json_string_value(ending));
        json_array_append_new(list, json_sprintf("%s*.%s", json_string_value(below), glob));
    }
    add_bare(list, p, json_string_value(below));
    json_decref(below);
    json_decref(endings);
    return list;
}

/* What the pictures are by their first bytes: a text, or a list where they are of several formats. */
static json_t *formats_of(const struct prep *p)
{
    json_t *list = json_array(), *one;

    for (unsigned f = 0; f < IMAGE_FORMATS; f++)
        if (p->formats >> f & 1)
            json_array_append_new(list, json_string(image_media_type((enum image_format)f)));
    if (json_array_size(list) > 1)
        return list;
    one = json_array_size(list) ? json_incref(json_array_get(list, 0)) : json_string("image/*");
    json_decref(list);
    return one;
}

static void add_file(json_t *list, const char *id, const char *url, uint64_t size, const char *type,
                     const char *sha256)
{
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "@type", "cr:FileObject",
                                    "@id", id, "name", id, "contentUrl", url, "contentSize",
                                    json_sprintf("%llu B", (unsigned long long)size),
                                    "encodingFormat", type, "sha256", sha256));
}

/* The file with the labels, beside the archives. Where it lies inside of an archive is not known: fetch may have taken
 * a folder off all paths. Size and hash are those of the file whose columns are named, which may have been edited. */
static void add_table(json_t *list, const struct prep *p, const struct manifest *m,
                      const struct label_table *table)
{
    const char *const name = p->options.label_csv;
    const struct manifest_file *fetched = manifest_find(m, table->path);

    add_file(list, path_base(name), path_base(name), table->size,
             table->csv.separator == '\t' ? "text/tab-separated-values" : "text/csv",
             table->sha256);
    if (fetched && strcmp(fetched->sha256, table->sha256) != 0)
        log_warn("%s is another file now than the one that was fetched: its SHA-256 is %s, in the "
                 "manifest %s. The description has the file as it is now",
                 name, table->sha256, fetched->sha256);
    log_info("the labels are in %s/%s%s: put this file beside the description", p->tree, name,
             fetched ? "" : ", which is in no archive");
}

/* Whether M has the file PATH, below the folder of the set's pictures. */
static bool was_fetched(const struct manifest *m, const struct prep *p, const char *path)
{
    const char *const images = p->options.images;
    char full[PATH_LEN], clean[ENTRY_PATH_MAX + 1];

    return path_format(full, NULL, "%s/%s", images[0] ? images : ".", path) == 0 &&
           entry_path_clean(clean, full, NULL) == 0 && manifest_find(m, clean);
}

/* A picture that was put into the tree after the fetch is in no archive, and so not in the description. */
static void warn_unfetched(const struct prep *p, const struct manifest *m)
{
    const char *first = NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->dataset->n; i++) {
        if (was_fetched(m, p, p->dataset->items[i].path))
            continue;
        first = first ? first : p->dataset->items[i].path;
        n++;
    }
    if (n > 0)
        log_warn("%u picture%s of the set came after the fetch, for example %s: the description "
                 "has only what is in the archive",
                 n, PLURAL(n), first);
}

/* TABLE: NULL where the labels are in the names of the files. */
static json_t *distribution(const struct prep *p, const struct manifest *m,
                            const struct label_table *table)
{
    const struct source *known = source_find(m->source);
    json_t *list = json_array(), *within = json_array();

    for (size_t i = 0; i < m->n_archives; i++) {
        const struct manifest_archive *a = &m->archives[i];
        const char *url = known ? source_url(known, a->file, a->sha256) : NULL;

        add_file(list, a->file, url ? url : a->file, a->size, type_of(a->file), a->sha256);
        json_array_append_new(within, json_pack("{s:s}", "@id", a->file));
    }
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "@type", "cr:FileSet", "@id",
                                    "pictures", "name", "pictures", "containedIn", within,
                                    "encodingFormat", formats_of(p), "includes", patterns_of(p)));
    warn_unfetched(p, m);
    if (table)
        add_table(list, p, m, table);
    return list;
}

/* --- records --------------------------------------------------------------------------------------- */

/* KIND "fileSet" or "fileObject", its name, what is taken of it; REGEX, owned, may be NULL. A Croissant expression is
 * matched from the beginning, and group 1 counts. */
static json_t *source(const char *kind, const char *id, const char *what, const char *of,
                      json_t *regex)
{
    json_t *s = json_pack("{s:{s:s}, s:{s:s}}", kind, "@id", id, "extract", what, of);

    if (regex)
        json_object_set_new(s, "transform", json_pack("{s:o}", "regex", regex));
    return s;
}

static json_t *field(const char *set, const char *name, const char *type, json_t *from)
{
    return json_pack("{s:s, s:o, s:s, s:s, s:o}", "@type", "cr:Field", "@id",
                     json_sprintf("%s/%s", set, name), "name", name, "dataType", type, "source",
                     from);
}

/* A label in the name of the file or of its folder. The field does not refer to the classes, as mlcroissant 1.1.1 would
 * apply the expression to the label once more. */
static json_t *name_field(const struct prep *p)
{
    const bool folder = p->options.label_from == LABEL_FOLDER;
    const char *regex = p->options.label_regex;

    return field("records", "label", "sc:Text",
                 source("fileSet", "pictures", "fileProperty", folder ? "fullpath" : "filename",
                        folder            ? json_string(".*?([^/]+)/[^/]+$")
                        : regex[0] == '^' ? json_string(regex)
                                          : json_sprintf(".*?(?:%s)", regex)));
}

enum { JOINED_MAX = 1024 }; /* bytes of a regular expression for endings */

/* The endings that are no part of a name by which tables and files are joined, as keys of an object. An ending with
 * other characters than letters and digits stays part of the name, on both sides. */
static json_t *joined_endings(const struct prep *p)
{
    json_t *list = endings_of(p), *set = json_object(), *ending;
    size_t i, used = 0;

    json_array_foreach(list, i, ending)
    {
        const char *text = json_string_value(ending);
        const size_t n = strlen(text);

        if (n > 0 && used + n + 2 < JOINED_MAX &&
            strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == n) {
            json_object_set_new(set, text, json_true());
            used += n + 1;
        }
    }
    json_decref(list);
    return set;
}

/* What a path of the table and that of a file have in common: the last part, without the endings of pictures. The
 * expression changes nothing the second time, as mlcroissant 1.1.1 applies it to what is joined once more. It finds
 * the same as stem_of(). */
static json_t *stem_regex(const struct prep *p)
{
    json_t *endings = joined_endings(p), *ending, *regex;
    char any[JOINED_MAX] = "";
    const char *text;
    size_t used = 0;

    json_object_foreach(endings, text, ending)
    {
        used += (size_t)snprintf(any + used, sizeof any - used, "%s%s", used ? "|" : "", text);
    }
    regex =
        used ? json_sprintf(".*?([^/\\\\]+?)(?:\\.(?:%s))*$", any) : json_string(".*?([^/\\\\]+)$");
    json_decref(endings);
    return regex;
}

/* A record set of the table's rows, to RECORDS; and the fields that join them with the pictures, to FIELDS. */
static void add_table_records(json_t *records, json_t *fields, const struct prep *p,
                              const struct csv *table)
{
    const char *const file = path_base(p->options.label_csv);
    json_t *join = field("records", "name", "sc:Text",
                         source("fileSet", "pictures", "fileProperty", "fullpath", stem_regex(p)));

    json_object_set_new(join, "references", json_pack("{s:{s:s}}", "field", "@id", "labels/name"));
    json_array_append_new(fields, join);
    json_array_append_new(fields, field("records", "label", "sc:Text",
                                        json_pack("{s:{s:s}}", "field", "@id", "labels/label")));
    json_array_append_new(
        records, json_pack("{s:s, s:s, s:s, s:{s:s}, s:[o, o]}", "@type", "cr:RecordSet", "@id",
                           "labels", "name", "labels", "key", "@id", "labels/name", "field",
                           field("labels", "name", "sc:Text",
                                 source("fileObject", file, "column", table->key, stem_regex(p))),
                           field("labels", "label", "sc:Text",
                                 source("fileObject", file, "column", table->value, NULL))));
}

static json_t *records(const struct prep *p, const struct csv *table)
{
    json_t *fields = json_array(), *classes = json_array(), *all;

    json_array_append_new(fields,
                          field("records", "picture", "sc:ImageObject",
                                source("fileSet", "pictures", "fileProperty", "content", NULL)));
    json_array_append_new(fields,
                          field("records", "file", "sc:Text",
                                source("fileSet", "pictures", "fileProperty", "filename", NULL)));
    for (int32_t c = 0; c < p->dataset->n_classes; c++)
        json_array_append_new(classes, json_pack("{s:s}", "classes/name", p->dataset->vocab[c]));
    all = json_pack("[{s:s, s:s, s:s, s:{s:s}, s:s, s:[{s:s, s:s, s:s, s:s}], s:o}]", "@type",
                    "cr:RecordSet", "@id", "classes", "name", "classes", "key", "@id",
                    "classes/name", "dataType", "sc:Enumeration", "field", "@type", "cr:Field",
                    "@id", "classes/name", "name", "name", "dataType", "sc:Text", "data", classes);
    if (table)
        add_table_records(all, fields, p, table);
    else if (p->options.label_from != LABEL_CSV)
        json_array_append_new(fields, name_field(p));
    json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:o}", "@type", "cr:RecordSet", "@id",
                                         "records", "name", "records", "field", fields));
    return all;
}

/* --- the table of labels --------------------------------------------------------------------------- */

/* The last part of PATH, without ENDINGS: what stem_regex() finds. */
static void stem_of(char out[PATH_LEN], const char *path, const json_t *endings)
{
    const char *back = strrchr(path_base(path), '\\');
    char *dot;

    snprintf(out, PATH_LEN, "%s", back ? back + 1 : path_base(path));
    while ((dot = strrchr(out, '.')) && dot > out && json_object_get(endings, dot + 1))
        *dot = '\0';
}

/* Notes the stem of PATH in SEEN; whether another path has noted the same. */
static bool note_stem(json_t *seen, const char *path, const json_t *endings)
{
    char stem[PATH_LEN];
    bool again;

    stem_of(stem, path, endings);
    again = json_object_get(seen, stem) != NULL;
    json_object_set_new_nocheck(seen, stem, json_true());
    return again;
}

/* The first picture whose name, without folder and ending, is that of another picture; else the first row of TABLE of
 * which that is so; WHAT says which of the two. NULL: all names differ, among pictures and among rows. */
static const char *twice(const char **what, const struct prep *p, const struct csv *table)
{
    json_t *pictures = json_object(), *rows = json_object(), *endings = joined_endings(p);
    const char *found = NULL;

    *what = "pictures";
    for (uint32_t i = 0; i < p->dataset->n && !found; i++)
        if (note_stem(pictures, p->dataset->items[i].path, endings))
            found = p->dataset->items[i].path;
    if (!found)
        *what = "rows";
    for (size_t i = 0; i < table->n && !found; i++)
        if (note_stem(rows, table->rows[i].key, endings))
            found = table->rows[i].key;
    json_decref(pictures);
    json_decref(rows);
    json_decref(endings);
    return found ? path_base(found) : NULL;
}

/* 1: TABLE is read; 0: there is none, or none that Croissant can join with the pictures, which is said. */
static int open_table(struct label_table *out, const struct prep *p, struct err *err)
{
    const struct csv_columns columns = label_columns(&p->options);
    const char *name = p->options.label_csv, *same, *what;
    const struct csv *table = &out->csv;
    char path[PATH_LEN];

    if (p->options.label_from != LABEL_CSV)
        return 0;
    if (entry_path_clean(out->path, name, NULL) < 0)
        out->path[0] = '\0';
    if (path_format(path, err, "%s/%s", p->tree, name) < 0 ||
        sha256_file(path, out->sha256, &out->size, err) < 0 ||
        csv_read(&out->csv, path, &columns, err) < 0)
        return -1;
    same = twice(&what, p, table);
    if (same)
        log_warn(
            "the records have no labels: Croissant joins pictures and %s by the names of files, "
            "and several %s are called %s",
            name, what, same);
    else if (table->separator != ',' && table->separator != '\t')
        log_warn("the records have no labels: the columns of %s are parted by %c, where Croissant "
                 "knows commas and tabs",
                 name, table->separator);
    else
        return 1;
    return 0;
}

static json_t *describe(const struct prep *p, const struct manifest *m,
                        const struct label_table *table, struct err *err)
{
    const struct source *known = source_find(m->source);
    json_t *all;

    all = json_pack("{s:o, s:s, s:s, s:s, s:o, s:s, s:s*, s:s, s:o, s:o}", "@context",
                    make_context(), "@type", "sc:Dataset", "conformsTo",
                    "http://mlcommons.org/croissant/1.1", "name", p->set, "description",
                    json_sprintf("%s: %u pictures of %d classes",
                                 p->options.title[0] ? p->options.title : p->set, p->dataset->n,
                                 (int)p->dataset->n_classes),
                    "license", p->options.licence[0] ? p->options.licence : "unknown", "url",
                    known ? known->page : NULL, "version", "1.0.0", "distribution",
                    distribution(p, m, table), "recordSet", records(p, table ? &table->csv : NULL));
    if (!all)
        err_set(err, ERR_NOMEM, "Croissant");
    return all;
}

int prep_croissant(struct prep *p, struct err *err)
{
    struct manifest m = {0};
    struct label_table table = {0};
    json_t *all = NULL;
    char *text = NULL;
    int has;

    if (!p->manifest[0] || !path_exists(p->manifest))
        return err_set(err, ERR_INPUT,
                       "--croissant names the archive of a set that was fetched; %s has none",
                       p->name);
    if (prep_list(p, err) < 0)
        return -1;
    has = open_table(&table, p, err);
    if (has >= 0 && manifest_read(&m, p->manifest, err) == 0)
        all = describe(p, &m, has ? &table : NULL, err);
    manifest_free(&m);
    csv_free(&table.csv);
    if (all && !(text = json_text(all, 2)))
        err_set(err, ERR_NOMEM, "Croissant");
    json_decref(all);
    if (!text)
        return -1;
    puts(text);
    free(text);
    return 0;
}
