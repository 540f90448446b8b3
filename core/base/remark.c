/* remark.c - the table of all kinds of remarks, and how one is said.
 * SPDX-License-Identifier: MIT */
#include "base/remark.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

struct kind {
    const char *name;       /* in JSON */
    bool warn;              /* else information */
    const char *one, *many; /* what follows the count */
    const char *advice;     /* "" none */
};

// clang-format off
static const struct kind kinds[REMARK_KINDS] = {
    [REMARK_HIDDEN_ENTRIES] = {"hidden_entries", false,
        "hidden file of the archives (its name begins with a dot) is left out",
        "hidden files of the archives (their names begin with a dot) are left out", ""},
    [REMARK_OTHER_FILES] = {"other_files", false,
        "other file, not a picture by its first bytes or its ending, is left out",
        "other files, not pictures by their first bytes or their endings, are left out", ""},
    [REMARK_SKIPPED] = {"skipped", false,
        "file matches the key skip and is left out",
        "files match the key skip and are left out", ""},
    [REMARK_HIDDEN_FILES] = {"hidden_files", false,
        "hidden file or folder (its name begins with a dot) is left out",
        "hidden files and folders (their names begin with a dot) are left out", ""},
    [REMARK_BAD_NAMES] = {"bad_names", true,
        "picture has a name that cannot be stored (not UTF-8, or a control character) and is left out",
        "pictures have names that cannot be stored (not UTF-8, or a control character) and are left out",
        "rename them to have them in the set"},
    [REMARK_SYSTEM_FOLDERS] = {"system_folders", true,
        "picture lies in a folder that operating systems make (thumbnails, trash)",
        "pictures lie in folders that operating systems make (thumbnails, trash)",
        "leave them out with the key skip, as `prep --init` proposes"},
    [REMARK_NESTED_ARCHIVES] = {"nested_archives", true,
        "archive lies among the files; its content is not read",
        "archives lie among the files; their content is not read",
        "unpack each as a set: `fetch NAME --from FILE`"},
    [REMARK_SPECIAL_FILES] = {"special_files", true,
        "pipe, socket or device is not read",
        "pipes, sockets or devices are not read", ""},
    [REMARK_EMPTY_FOLDERS] = {"empty_folders", true,
        "folder has no picture in it: no class is named after it",
        "folders have no picture in them: no classes are named after them", ""},
    [REMARK_ALIKE_PATHS] = {"alike_paths", true,
        "pair of paths differs only in case, Unicode form or invisible characters",
        "pairs of paths differ only in case, Unicode form or invisible characters",
        "on some file systems the two would be one file"},
    [REMARK_OTHER_COLUMN] = {"other_column", true,
        "further column of the table may hold the labels",
        "further columns of the table may hold the labels",
        "label.column=NAME says which one counts"},
    [REMARK_TRIMMED_LABELS] = {"trimmed_labels", true,
        "label has blanks at its ends, which are removed",
        "labels have blanks at their ends, which are removed", ""},
    [REMARK_ALIKE_LABELS] = {"alike_labels", true,
        "pair of classes differs only in case, blanks, Unicode form or invisible characters",
        "pairs of classes differ only in case, blanks, Unicode form or invisible characters",
        "if they are the same class, write them alike"},
    [REMARK_UNLABELLED] = {"unlabelled", true,
        "picture has no label and is left out (label.missing=skip)",
        "pictures have no label and are left out (label.missing=skip)", ""},
    [REMARK_ROWS_WITHOUT_PICTURE] = {"rows_without_picture", true,
        "row of the table names no picture of the set",
        "rows of the table name no picture of the set", ""},
    [REMARK_LISTED_WITHOUT_PICTURE] = {"listed_without_picture", true,
        "name of the official lists is without a picture",
        "names of the official lists are without a picture", ""},
    [REMARK_IN_NO_LIST] = {"in_no_list", true,
        "picture is in no official list",
        "pictures are in no official list",
        "data.split=official leaves them out"},
    [REMARK_UNDECODABLE] = {"undecodable", true,
        "picture cannot be decoded and is left out (decode.on_error=skip)",
        "pictures cannot be decoded and are left out (decode.on_error=skip)", ""},
    [REMARK_EMPTY_CLASSES] = {"empty_classes", true,
        "class has no picture left", "classes have no picture left",
        "no network can learn a class without pictures"},
    [REMARK_ORIENTATION_IGNORED] = {"orientation_ignored", true,
        "picture carries an orientation (EXIF or XMP) that is not applied: it is stored as it lies in the file",
        "pictures carry an orientation (EXIF or XMP) that is not applied: they are stored as they lie in the file",
        "decode.exif=apply turns them upright"},
    [REMARK_ORIENTATION_APPLIED] = {"orientation_applied", false,
        "picture is turned upright by its orientation (decode.exif=apply)",
        "pictures are turned upright by their orientation (decode.exif=apply)", ""},
    [REMARK_ENLARGED] = {"enlarged", true,
        "picture is smaller than presize.size and is enlarged",
        "pictures are smaller than presize.size and are enlarged", ""},
    [REMARK_CUT] = {"cut", false,
        "picture is longer than presize.max_aspect allows and is cut, centred",
        "pictures are longer than presize.max_aspect allows and are cut, centred",
        "a larger presize.max_aspect keeps more of them"},
    [REMARK_FIRST_FRAME] = {"first_frame", true,
        "file has several pictures (animation, pages); the first is taken",
        "files have several pictures (animation, pages); the first is taken of each", ""},
    [REMARK_ALPHA] = {"alpha", false,
        "picture has transparency, which is dropped: the colours under it are seen",
        "pictures have transparency, which is dropped: the colours under it are seen", ""},
    [REMARK_DECODER_WARNINGS] = {"decoder_warnings", true,
        "picture is decoded with a warning of its decoder",
        "pictures are decoded with warnings of their decoders", ""},
    [REMARK_COPIES] = {"copies", true,
        "picture is an exact copy of another (the same bytes)",
        "pictures are exact copies of others (the same bytes)",
        "the random split keeps them on one side (data.duplicates=together)"},
    [REMARK_COPIES_OF_TWO_CLASSES] = {"copies_of_two_classes", true,
        "pair of copies has two labels", "pairs of copies have two labels",
        "one of the two labels is wrong"},
    [REMARK_NEAR_COPIES] = {"near_copies", true,
        "picture is nearly the same as another (scaled, saved again or mirrored)",
        "pictures are nearly the same as others (scaled, saved again or mirrored)",
        "the random split keeps them on one side (data.duplicates=together)"},
    [REMARK_STALE_SHARDS] = {"stale_shards", true,
        "folder of shards is of other pictures than those of today",
        "folders of shards are of other pictures than those of today",
        "run prep again"},
    [REMARK_IN_NO_PART] = {"in_no_part", true,
        "picture is in no part of the split and is left out",
        "pictures are in no part of the split and are left out", ""},
    [REMARK_CLASSES_IN_NO_PART] = {"classes_in_no_part", true,
        "class is in no part of the split: all its pictures are left out",
        "classes are in no part of the split: all their pictures are left out",
        "the network still has an output for each"},
    [REMARK_CLASSES_NOT_VALIDATED] = {"classes_not_validated", true,
        "class has no validation picture: its recall is not measured",
        "classes have no validation picture: their recall is not measured",
        "data.stratify=true or a larger data.valid helps where the split is random or official"},
    [REMARK_CLASSES_NOT_TRAINED] = {"classes_not_trained", true,
        "class has no training picture", "classes have no training picture",
        "the network cannot learn what it never sees"},
    [REMARK_FOLDERS_NOT_USED] = {"folders_not_used", true,
        "picture lies in a folder that is named like a part (train, valid, test), which the split does not use",
        "pictures lie in folders that are named like parts (train, valid, test), which the split does not use",
        "data.split=folder takes the parts from these folders"},
    [REMARK_COPIES_TO_TRAINING] = {"copies_to_training", true,
        "validation picture has a duplicate in training and trains instead",
        "validation pictures have duplicates in training and train instead",
        "data.duplicates=as_split leaves the split as it is"},
    [REMARK_LEAKS] = {"leaks", true,
        "validation or test picture has a duplicate in training: the error rate may be too good",
        "validation or test pictures have duplicates in training: the error rate may be too good",
        ""},
    [REMARK_DROPPED] = {"dropped", false,
        "picture is dropped by data.clean", "pictures are dropped by data.clean", ""},
    [REMARK_RELABELLED] = {"relabelled", false,
        "picture has another label by data.clean", "pictures have another label by data.clean", ""},
    [REMARK_CLEAN_WITHOUT_EFFECT] = {"clean_without_effect", true,
        "row of data.clean changes nothing", "rows of data.clean change nothing", ""},
    [REMARK_PLANTED] = {"planted", true,
        "picture has a wrong label on purpose (data.plant)",
        "pictures have a wrong label on purpose (data.plant)",
        "rates count these labels as if they were right; leave data.plant out for real results"},
};
// clang-format on

/* FORMAT into OUT, which is cut where a character would be. */
static void quote(char *out, size_t size, const char *format, va_list args)
{
    char text[4096];

    vsnprintf(text, sizeof text, format, args);
    text_quote(out, (int)size, text);
}

void remarks_add(struct remarks *r, enum remark_kind kind, const char *format, ...)
{
    struct remark *m = &r->of[kind];
    va_list args;

    m->n++;
    if (m->shown == REMARK_EXAMPLES)
        return;
    va_start(args, format);
    quote(m->example[m->shown++], REMARK_EXAMPLE_BYTES, format, args);
    va_end(args);
}

void remarks_advise(struct remarks *r, enum remark_kind kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    quote(r->of[kind].advice, sizeof r->of[kind].advice, format, args);
    va_end(args);
}

static const char *advice_of(const struct remarks *r, enum remark_kind kind)
{
    return r->of[kind].advice[0] ? r->of[kind].advice : kinds[kind].advice;
}

void remarks_text(const struct remarks *r, enum remark_kind kind, char *out, size_t size)
{
    const struct remark *m = &r->of[kind];
    size_t used;

    out[0] = 0;
    if (m->n == 0)
        return;
    snprintf(out, size, "%u %s", m->n, m->n == 1 ? kinds[kind].one : kinds[kind].many);
    for (uint32_t i = 0; i < m->shown; i++) {
        used = strlen(out);
        snprintf(out + used, size - used, "%s %s", i ? "," : ":", m->example[i]);
    }
    used = strlen(out);
    if (m->n > m->shown)
        snprintf(out + used, size - used, " and %u more", m->n - m->shown);
}

static void say(bool warn, const char *text, const char *advice)
{
    void (*line)(const char *format, ...) = warn ? log_warn : log_info;

    line("%s%s%s", text, advice[0] ? "; " : "", advice);
}

void remarks_print(const struct remarks *r)
{
    char text[2048];

    for (int k = 0; k < REMARK_KINDS; k++) {
        if (r->of[k].n == 0)
            continue;
        remarks_text(r, (enum remark_kind)k, text, sizeof text);
        say(kinds[k].warn, text, advice_of(r, (enum remark_kind)k));
    }
}

// clang-format off
const struct field remark_fields[] = {
    FIELD_TEXT(struct remark_record, kind, "kind", "its name"),
    FIELD_BOOL(struct remark_record, warning, "warning", "whether something may be wrong; else information"),
    FIELD_INT(struct remark_record, count, "count", 0, UINT32_MAX, "", "of how many things"),
    FIELD_LIST(struct remark_record, examples, "examples", "names of the first five"),
    FIELD_TEXT(struct remark_record, text, "text", "the sentence, as it was printed"),
    FIELD_TEXT(struct remark_record, advice, "advice", "what to do, may be empty"),
    FIELD_END,
};
// clang-format on

static json_t *one_json(const struct remarks *r, enum remark_kind kind)
{
    const struct remark *m = &r->of[kind];
    json_t *examples = json_array(), *out;
    char text[2048];

    for (uint32_t i = 0; examples && i < m->shown; i++)
        json_array_append_new(examples, json_string(m->example[i]));
    remarks_text(r, kind, text, sizeof text);
    out =
        fields_json(remark_fields, &(struct remark_record){kinds[kind].name, kinds[kind].warn, m->n,
                                                           examples, text, advice_of(r, kind)});
    json_decref(examples);
    return out;
}

json_t *remarks_json(const struct remarks *r)
{
    json_t *list = json_array();

    for (int k = 0; list && k < REMARK_KINDS; k++)
        if (r->of[k].n > 0 && json_array_append_new(list, one_json(r, (enum remark_kind)k)) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

void remarks_print_json(const json_t *list)
{
    const json_t *m;
    size_t i;

    json_array_foreach(list, i, m)
    {
        struct remark_record r;
        char clean[2][2500];

        fields_read(remark_fields, 0, &r, m, NULL);
        if (!r.text)
            continue;
        text_quote(clean[0], sizeof clean[0], r.text); /* the file may have been edited */
        text_quote(clean[1], sizeof clean[1], r.advice ? r.advice : "");
        say(r.warning, clean[0], clean[1]);
    }
}
