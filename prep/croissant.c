/* croissant.c - the set as Croissant 1.1 (MLCommons), from its description and its manifest.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "data/manifest.h"
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

/* --- distribution ---------------------------------------------------------------------------------- */

static const char *type_of(const char *file)
{
    const size_t n = strlen(file);

    return n > 4 && strcmp(file + n - 4, ".zip") == 0 ? "application/zip" : "application/x-tar";
}

/* The endings of the listing, once each, as patterns below the set's pictures: in images/, all that end with .jpg. */
static json_t *patterns_of(const struct prep *p)
{
    json_t *list = json_array(), *seen = json_object();

    for (uint32_t i = 0; i < p->dataset->n; i++) {
        const char *dot = strrchr(path_base(p->dataset->items[i].path), '.');

        if (dot && !json_object_get(seen, dot)) {
            json_object_set_new(seen, dot, json_true());
            json_array_append_new(list, json_sprintf("*%s%s*%s", p->options.images,
                                                     p->options.images[0] ? "/" : "", dot));
        }
    }
    json_decref(seen);
    return list;
}

static json_t *distribution(const struct prep *p, const struct manifest *m)
{
    json_t *list = json_array(), *within = json_array();

    for (size_t i = 0; i < m->n_archives; i++) {
        const struct manifest_archive *a = &m->archives[i];

        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "@type", "cr:FileObject", "@id",
                            a->file, "name", a->file, "contentUrl", a->file, "contentSize",
                            json_sprintf("%llu B", (unsigned long long)a->size), "encodingFormat",
                            type_of(a->file), "sha256", a->sha256));
        json_array_append_new(within, json_pack("{s:s}", "@id", a->file));
    }
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "@type", "cr:FileSet", "@id",
                                    "pictures", "name", "pictures", "containedIn", within,
                                    "encodingFormat", "image/jpeg", "includes", patterns_of(p)));
    return list;
}

/* --- records --------------------------------------------------------------------------------------- */

static json_t *source(json_t *extract)
{
    return json_pack("{s:{s:s}, s:o}", "fileSet", "@id", "pictures", "extract", extract);
}

/* How the label follows from the file; NULL: by a table, which Croissant would need as a file of its own. A Croissant
 * expression is matched from the beginning, and group 1 counts. The field does not refer to the classes, as mlcroissant
 * 1.1.1 would apply the expression to the label once more. */
static json_t *label_field(const struct prep *p)
{
    const bool folder = p->options.label_from == LABEL_FOLDER;
    const char *regex = p->options.label_regex;
    json_t *from;

    if (p->options.label_from == LABEL_CSV)
        return NULL;
    from = source(json_pack("{s:s}", "fileProperty", folder ? "fullpath" : "filename"));
    json_object_set_new(from, "transform",
                        json_pack("{s:o}", "regex",
                                  folder            ? json_string(".*?([^/]+)/[^/]+$")
                                  : regex[0] == '^' ? json_string(regex)
                                                    : json_sprintf(".*?(?:%s)", regex)));
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "@type", "cr:Field", "@id", "records/label",
                     "name", "label", "dataType", "sc:Text", "source", from);
}

static json_t *records(const struct prep *p)
{
    json_t *fields = json_array(), *label = label_field(p), *classes = json_array();

    json_array_append_new(fields, json_pack("{s:s, s:s, s:s, s:s, s:o}", "@type", "cr:Field", "@id",
                                            "records/picture", "name", "picture", "dataType",
                                            "sc:ImageObject", "source",
                                            source(json_pack("{s:s}", "fileProperty", "content"))));
    json_array_append_new(fields,
                          json_pack("{s:s, s:s, s:s, s:s, s:o}", "@type", "cr:Field", "@id",
                                    "records/file", "name", "file", "dataType", "sc:Text", "source",
                                    source(json_pack("{s:s}", "fileProperty", "filename"))));
    if (label)
        json_array_append_new(fields, label);
    for (int32_t c = 0; c < p->dataset->n_classes; c++)
        json_array_append_new(classes, json_pack("{s:s}", "classes/name", p->dataset->vocab[c]));
    return json_pack(
        "[{s:s, s:s, s:s, s:{s:s}, s:s, s:[{s:s, s:s, s:s, s:s}], s:o}, {s:s, s:s, s:s, s:o}]",
        "@type", "cr:RecordSet", "@id", "classes", "name", "classes", "key", "@id", "classes/name",
        "dataType", "sc:Enumeration", "field", "@type", "cr:Field", "@id", "classes/name", "name",
        "name", "dataType", "sc:Text", "data", classes, "@type", "cr:RecordSet", "@id", "records",
        "name", "records", "field", fields);
}

int prep_croissant(struct prep *p, struct err *err)
{
    struct manifest m = {0};
    json_t *all;
    char *text;

    if (!p->manifest[0] || !path_exists(p->manifest))
        return err_set(err, ERR_INPUT,
                       "--croissant names the archive of a set that was fetched; %s has none",
                       p->name);
    if (prep_list(p, err) < 0 || manifest_read(&m, p->manifest, err) < 0)
        return -1;
    all = json_pack("{s:o, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o}", "@context", make_context(),
                    "@type", "sc:Dataset", "conformsTo", "http://mlcommons.org/croissant/1.1",
                    "name", p->set, "description",
                    json_sprintf("%s: %u pictures of %d classes",
                                 p->options.title[0] ? p->options.title : p->set, p->dataset->n,
                                 (int)p->dataset->n_classes),
                    "license", p->options.licence[0] ? p->options.licence : "unknown", "version",
                    "1.0.0", "distribution", distribution(p, &m), "recordSet", records(p));
    manifest_free(&m);
    text = all ? json_text(all, 2) : NULL;
    json_decref(all);
    if (!text)
        return err_set(err, ERR_NOMEM, "Croissant");
    puts(text);
    free(text);
    return 0;
}
