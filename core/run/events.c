/* events.c - event.proto and summary.proto of TensorFlow, the few fields that scalars and pictures need.
 *
 * A record is length (u64), masked CRC-32C of it, data, masked CRC-32C of the data, all
 * little-endian (tensorflow/core/lib/io/record_writer.cc). SPDX-License-Identifier: MIT */
#include "run/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/path.h"
#include "base/protobuf.h"

enum { TAG_MAX = 200 };
/* field numbers: Event, Summary, Summary.Value, Summary.Image, SessionLog */
enum {
    EVENT_WALL_TIME = 1,
    EVENT_STEP = 2,
    EVENT_FILE_VERSION = 3,
    EVENT_SUMMARY = 5,
    EVENT_SESSION_LOG = 7,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1,
    VALUE_SIMPLE = 2,
    VALUE_IMAGE = 4,
    VALUE_TENSOR = 8,
    VALUE_METADATA = 9,
    IMAGE_HEIGHT = 1,
    IMAGE_WIDTH = 2,
    IMAGE_COLORSPACE = 3,
    IMAGE_ENCODED = 4,
    COLORSPACE_RGB = 3,
    SESSION_STATUS = 1,
    SESSION_START = 1
};
/* Of the plug-in for hyper-parameters: SummaryMetadata and its PluginData, HParamsPluginData, SessionStartInfo, an
 * entry of its map, google.protobuf.Value; TensorProto and its shape. */
enum {
    METADATA_PLUGIN = 1,
    PLUGIN_NAME = 1,
    PLUGIN_CONTENT = 2,
    HPARAMS_VERSION = 1,
    HPARAMS_START = 3,
    START_HPARAMS = 1,
    START_GROUP = 4,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    VALUE_NUMBER = 2,
    VALUE_TEXT = 3,
    VALUE_BOOL = 4,
    TENSOR_TYPE = 1,
    TENSOR_SHAPE = 2,
    TENSOR_FLOAT = 1,
    SHAPE_DIM = 2
};

struct events {
    FILE *file;
    char path[PATH_LEN];
    bool again; /* a session start is still to be written */
};

/* record_writer.h, MaskedCrc: a CRC stored beside its data would itself be summed otherwise. */
static uint32_t masked_crc(const void *data, size_t size)
{
    uint32_t crc = crc32c(0, data, size);

    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* Frees M. */
static int write_record(struct events *e, struct protobuf *m, struct err *err)
{
    struct protobuf head = {0}, foot = {0};
    int rc = 0;

    protobuf_raw(&head, m->n, 8);
    protobuf_raw(&head, head.failed ? 0 : masked_crc(head.bytes, 8), 4);
    protobuf_raw(&foot, m->failed ? 0 : masked_crc(m->bytes, m->n), 4);
    if (head.failed || m->failed || foot.failed)
        rc = err_set(err, ERR_NOMEM, "%s", e->path);
    else if (fwrite(head.bytes, 1, head.n, e->file) != head.n ||
             fwrite(m->bytes, 1, m->n, e->file) != m->n ||
             fwrite(foot.bytes, 1, foot.n, e->file) != foot.n || fflush(e->file) != 0)
        rc = err_errno(err, "cannot write %s", e->path);
    protobuf_free(&head);
    protobuf_free(&foot);
    protobuf_free(m);
    return rc;
}

static void begin_event(struct protobuf *m)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    protobuf_double(m, EVENT_WALL_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
}

/* event_accumulator.py drops what it read of this and later steps. */
static int write_session_start(struct events *e, uint64_t step, struct err *err)
{
    struct protobuf m = {0}, session = {0};

    begin_event(&m);
    protobuf_int(&m, EVENT_STEP, step);
    protobuf_int(&session, SESSION_STATUS, SESSION_START);
    protobuf_message(&m, EVENT_SESSION_LOG, &session);
    e->again = false;
    return write_record(e, &m, err);
}

int events_open(struct events **out, const char *folder, bool again, struct err *err)
{
    static const char version[] = "brain.Event:2";
    struct events *e = calloc(1, sizeof *e);
    long long now = (long long)time(NULL);
    struct protobuf m = {0};

    *out = NULL;
    if (!e)
        return err_set(err, ERR_NOMEM, "events file");
    /* TensorBoard reads a folder's files in the order of their names. */
    do {
        if (path_format(e->path, err, "%s/events.out.tfevents.%010lld.presize", folder, now++) < 0)
            goto fail;
    } while (path_exists(e->path));
    e->again = again;
    e->file = fopen(e->path, "wxe");
    if (!e->file) {
        err_errno(err, "cannot make %s", e->path);
        goto fail;
    }
    begin_event(&m);
    protobuf_text(&m, EVENT_FILE_VERSION, version);
    if (write_record(e, &m, err) < 0)
        goto fail;
    *out = e;
    return 0;
fail:
    if (e->file)
        fclose(e->file);
    free(e);
    return -1;
}

/* Frees ENTRY, a value with its tag. */
static int write_value(struct events *e, uint64_t step, struct protobuf *entry, struct err *err)
{
    struct protobuf m = {0}, summary = {0};

    protobuf_message(&summary, SUMMARY_VALUE, entry);
    begin_event(&m);
    protobuf_int(&m, EVENT_STEP, step);
    protobuf_message(&m, EVENT_SUMMARY, &summary);
    return write_record(e, &m, err);
}

int events_scalar(struct events *e, const char *tag, uint64_t step, double value, struct err *err)
{
    struct protobuf entry = {0};

    BUG_IF(strlen(tag) > TAG_MAX);
    if (e->again && write_session_start(e, step, err) < 0)
        return -1;
    protobuf_text(&entry, VALUE_TAG, tag);
    protobuf_float(&entry, VALUE_SIMPLE, (float)value);
    return write_value(e, step, &entry, err);
}

/* No session start before it: a run resumed after its last step would lose that step's scalars. */
int events_image(struct events *e, const char *tag, uint64_t step, const void *png, size_t size,
                 int width, int height, struct err *err)
{
    struct protobuf entry = {0}, image = {0};

    BUG_IF(strlen(tag) > TAG_MAX);
    protobuf_int(&image, IMAGE_HEIGHT, (uint64_t)height);
    protobuf_int(&image, IMAGE_WIDTH, (uint64_t)width);
    protobuf_int(&image, IMAGE_COLORSPACE, COLORSPACE_RGB);
    protobuf_bytes(&image, IMAGE_ENCODED, png, size);
    protobuf_text(&entry, VALUE_TAG, tag);
    protobuf_message(&entry, VALUE_IMAGE, &image);
    return write_value(e, step, &entry, err);
}

/* One key of a map: a number, true or false, or text. */
static void put_key(struct protobuf *start, const char *key, const char *text)
{
    struct protobuf entry = {0}, value = {0};
    char *end;
    const double number = strtod(text, &end);

    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        protobuf_int(&value, VALUE_BOOL, text[0] == 't');
    else if (*text && !*end)
        protobuf_double(&value, VALUE_NUMBER, number);
    else
        protobuf_text(&value, VALUE_TEXT, text);
    protobuf_text(&entry, ENTRY_KEY, key);
    protobuf_message(&entry, ENTRY_VALUE, &value);
    protobuf_message(start, START_HPARAMS, &entry);
}

int events_hparams(struct events *e, const char *name, const json_t *keys, struct err *err)
{
    struct protobuf m = {0}, entry = {0}, summary = {0}, metadata = {0}, plugin = {0},
                    content = {0}, start = {0}, tensor = {0}, shape = {0}, dim = {0};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)keys, key, value) if (json_is_string(value))
        put_key(&start, key, json_string_value(value));
    protobuf_text(&start, START_GROUP, name);
    protobuf_int(&content, HPARAMS_VERSION, 0);
    protobuf_message(&content, HPARAMS_START, &start);
    protobuf_text(&plugin, PLUGIN_NAME, "hparams");
    protobuf_message(&plugin, PLUGIN_CONTENT, &content);
    protobuf_message(&metadata, METADATA_PLUGIN, &plugin);
    protobuf_message(&shape, SHAPE_DIM, &dim); /* of length 0: the plug-in's data have no values */
    protobuf_int(&tensor, TENSOR_TYPE, TENSOR_FLOAT);
    protobuf_message(&tensor, TENSOR_SHAPE, &shape);
    protobuf_text(&entry, VALUE_TAG, "_hparams_/session_start_info");
    protobuf_message(&entry, VALUE_TENSOR, &tensor);
    protobuf_message(&entry, VALUE_METADATA, &metadata);
    protobuf_message(&summary, SUMMARY_VALUE, &entry);
    begin_event(&m);
    protobuf_message(&m, EVENT_SUMMARY, &summary);
    return write_record(e, &m, err);
}

int events_close(struct events *e, struct err *err)
{
    int rc = 0;

    if (!e)
        return 0;
    if (fclose(e->file) != 0)
        rc = err_errno(err, "cannot write %s", e->path);
    free(e);
    return rc;
}
