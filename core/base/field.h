/* field.h - records as tables: one row reads, bounds, writes and documents one member of a JSON object.
 *
 * What is written down has a struct and a const table of rows. The order of the rows is the order of the members.
 *
 *   struct timing { int64_t epoch; const char *phase; double seconds; };
 *   const struct field timing_fields[] = {
 *       FIELD_INT(struct timing, epoch, "epoch", 0, UINT32_MAX, "", "of the run, from 0"),
 *       FIELD_TEXT(struct timing, phase, "phase", "its name"),
 *       FIELD_REAL(struct timing, seconds, "seconds", 0, 1e9, "s", "of training and validation"),
 *       FIELD_END,
 *   };
 *
 * Order of calls: fields_read() from what json_read() gave, or fields_json() for what json_write() takes. Keys, which
 * people type, have tables of their own (key.h).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_FIELD_H
#define PRESIZE_BASE_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum field_type {                  /* in the struct; how a missing value stands there */
                  FIELD_TYPE_BOOL, /* bool; as `implied` says, else false */
                  FIELD_TYPE_INT,  /* int64_t; FIELD_NO_INT */
                  FIELD_TYPE_REAL, /* double; NAN */
                  FIELD_TYPE_TEXT, /* const char *; NULL. What was read is borrowed from the JSON */
                  FIELD_TYPE_LIST, /* const json_t *, an array; NULL. Borrowed, also when it is written */
                  FIELD_TYPE_OBJECT, /* const json_t *, an object, likewise */
                  /* a struct with rows of its own; of one with flags, its first row's value is missing */
                  FIELD_TYPE_RECORD,
};
#define FIELD_NO_INT INT64_MIN

enum field_flag {
    FIELD_OPTIONAL = 1, /* may be missing; left out where the value is missing */
    FIELD_NULL = 2,     /* null where the value is missing */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    double min, max;  /* inclusive, for INT and REAL */
    const char *unit; /* "nat", "px", "s"; "": a number */
    const char *help; /* one line, no full stop */
    /* RECORD: its rows. LIST, OBJECT: those of the objects inside, which their readers read; NULL: of other things */
    const struct field *fields;

    unsigned flags;      /* of enum field_flag */
    int since;           /* first version of the record that has it; 0: all have */
    const char *implied; /* what a record without it means, as text: BOOL, INT and TEXT */
    int decimals;        /* REAL in a table for people; 0: as many as it has */
};

/* The last argument is the help text; flags and what else differs from 0 may follow:
 *   FIELD_TEXT(struct run, note, "note", "why they differ", .flags = FIELD_NULL) */
#define FIELD_NUMBER(kind, s, m, key, low, high, u, ...)                                           \
    {                                                                                              \
        .name = key, .type = kind, .offset = offsetof(s, m), .min = low, .max = high, .unit = u,   \
        .help = __VA_ARGS__                                                                        \
    }
#define FIELD_INT(...) FIELD_NUMBER(FIELD_TYPE_INT, __VA_ARGS__)
#define FIELD_REAL(...) FIELD_NUMBER(FIELD_TYPE_REAL, __VA_ARGS__)
#define FIELD_OTHER(kind, s, m, key, ...)                                                          \
    {                                                                                              \
        .name = key, .type = kind, .offset = offsetof(s, m), .unit = "", .help = __VA_ARGS__       \
    }
#define FIELD_BOOL(...) FIELD_OTHER(FIELD_TYPE_BOOL, __VA_ARGS__)
#define FIELD_TEXT(...) FIELD_OTHER(FIELD_TYPE_TEXT, __VA_ARGS__)
#define FIELD_LIST(...) FIELD_OTHER(FIELD_TYPE_LIST, __VA_ARGS__)
#define FIELD_OBJECT(...) FIELD_OTHER(FIELD_TYPE_OBJECT, __VA_ARGS__)
#define FIELD_RECORD(s, m, key, rows, ...)                                                         \
    {                                                                                              \
        .name = key, .type = FIELD_TYPE_RECORD, .offset = offsetof(s, m), .unit = "",              \
        .fields = rows, .help = __VA_ARGS__                                                        \
    }
#define FIELD_END                                                                                  \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* JSON, a record of VERSION (0: records of its kind have none), into the struct OBJ that ROWS are of; what OBJ then
 * points to is JSON's. Members without a row are passed over, as a newer program may have written them: who reads a
 * file calls fields_warn_unknown(), too. ERR_FORMAT names the first member that is missing, of another type or out of
 * range.
 * ERR NULL: a member that is not right counts as missing, and 0 is returned. JSON NULL: all are missing. */
int fields_read(const struct field *rows, int version, void *obj, const json_t *json,
                struct err *err);
/* Every value of OBJ missing, or what its row implies. */
void fields_clear(const struct field *rows, void *obj);

/* The members of JSON, an object or a list of objects, and of the records inside, that have no row in ROWS: OUT becomes
 * "a, b.c and 3 more", each name once. Returns how many there are. */
size_t fields_unknown(char *out, size_t size, const struct field *rows, const json_t *json);
/* Warns of them, with the file PATH that JSON was read from and the version WRITER that wrote it (NULL: not known). A
 * process warns of a member once in all files of a name, as eval reads thousands of runs. In any thread. */
void fields_warn_unknown(const struct field *rows, const json_t *json, const char *path,
                         const char *writer);

/* OBJ as an object, the members in the order of ROWS. Owned by the caller; NULL: out of memory, a text that is not
 * UTF-8, or a value missing whose row has no flag for it. */
json_t *fields_json(const struct field *rows, const void *obj);
/* The value of ROW alone: a new reference; NULL as above, json_null() where it is missing. */
json_t *field_json(const struct field *row, const void *obj);
/* Whether OBJ's value of ROW is missing. */
bool field_is_missing(const struct field *row, const void *obj);

/* The row NAME of ROWS; NULL: none has it. */
const struct field *field_find(const struct field *rows, const char *name);
/* OBJ's value of ROW, an INT or REAL; NAN: it is missing. */
double field_number(const struct field *row, const void *obj);
/* OBJ's value of ROW, a TEXT; NULL: it is missing. */
const char *field_text(const struct field *row, const void *obj);

/* The records of a JSON Lines file of at most 256 MiB. A last line without its end is still being written and left out,
 * and so is what is no object. What the structs point to is JSON's. */
struct field_lines {
    void *all; /* N structs, one after the other */
    size_t n;
    json_t *json; /* the N objects */
    size_t bad;   /* number of the first line, from 1, that is no object; 0: none */
};
/* SIZE: of a struct that ROWS are of. Members that are not right count as missing; it warns of those without a row. No
 * file is no line. ERR_IO, ERR_NOMEM. Release with fields_free_lines(), also after an error. */
int fields_read_lines(struct field_lines *out, const struct field *rows, size_t size,
                      const char *path, struct err *err) MUST_USE;
void fields_free_lines(struct field_lines *lines); /* what it points to; all zero is fine */

/* As Markdown: | member | type | meaning |, records of records as "a.b". */
void fields_document(FILE *file, const struct field *rows);

#endif
