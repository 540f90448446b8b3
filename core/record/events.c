/* events.c - event.proto and summary.proto of TensorFlow, the few fields that a scalar needs.
 *
 * A record is length (u64), masked CRC-32C of it, data, masked CRC-32C of the data, all
 * little-endian (tensorflow/core/lib/io/record_writer.cc). SPDX-License-Identifier: MIT */
#include "record/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/path.h"

enum { TAG_MAX = 200, MESSAGE_MAX = 512 };
/* protobuf wire types (protobuf.dev, "Encoding") */
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
/* field numbers: Event, Summary, Summary.Value, SessionLog */
enum {
    EVENT_WALL_TIME = 1,
    EVENT_STEP = 2,
    EVENT_FILE_VERSION = 3,
    EVENT_SUMMARY = 5,
    EVENT_SESSION_LOG = 7,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1,
    VALUE_SIMPLE = 2,
    SESSION_STATUS = 1,
    SESSION_START = 1
};

struct events {
    FILE *file;
    char path[PATH_LEN];
    bool again; /* a session start is still to be written */
};

struct message {
    uint8_t bytes[MESSAGE_MAX];
    size_t n;
};

static void put_byte(struct message *m, uint8_t byte)
{
    BUG_IF(m->n >= sizeof m->bytes);
    m->bytes[m->n++] = byte;
}

static void put_little_endian(struct message *m, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        put_byte(m, (uint8_t)(value >> 8 * i));
}

static void put_varint(struct message *m, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_byte(m, (uint8_t)(value | 0x80));
    put_byte(m, (uint8_t)value);
}

static void put_key(struct message *m, unsigned field, unsigned wire)
{
    put_varint(m, field << 3 | wire);
}

static void put_bytes(struct message *m, unsigned field, const void *data, size_t size)
{
    BUG_IF(size > sizeof m->bytes - m->n);
    put_key(m, field, WIRE_BYTES);
    put_varint(m, size);
    BUG_IF(size > sizeof m->bytes - m->n);
    memcpy(m->bytes + m->n, data, size);
    m->n += size;
}

static void put_double(struct message *m, unsigned field, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, WIRE_FIXED64);
    put_little_endian(m, bits, 8);
}

static void put_float(struct message *m, unsigned field, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, WIRE_FIXED32);
    put_little_endian(m, bits, 4);
}

/* record_writer.h, MaskedCrc: a CRC stored beside its data would itself be summed otherwise. */
static uint32_t masked_crc(const void *data, size_t size)
{
    uint32_t crc = crc32c(0, data, size);

    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static int write_record(struct events *e, const struct message *m, struct err *err)
{
    struct message head = {.n = 0}, foot = {.n = 0};

    put_little_endian(&head, m->n, 8);
    put_little_endian(&head, masked_crc(head.bytes, 8), 4);
    put_little_endian(&foot, masked_crc(m->bytes, m->n), 4);
    if (fwrite(head.bytes, 1, head.n, e->file) != head.n ||
        fwrite(m->bytes, 1, m->n, e->file) != m->n ||
        fwrite(foot.bytes, 1, foot.n, e->file) != foot.n || fflush(e->file) != 0)
        return err_errno(err, "cannot write %s", e->path);
    return 0;
}

static void begin_event(struct message *m)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    m->n = 0;
    put_double(m, EVENT_WALL_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
}

/* event_accumulator.py drops what it read of this and later steps. */
static int write_session_start(struct events *e, uint64_t step, struct err *err)
{
    static const uint8_t session[] = {SESSION_STATUS << 3 | WIRE_VARINT, SESSION_START};
    struct message m;

    begin_event(&m);
    put_key(&m, EVENT_STEP, WIRE_VARINT);
    put_varint(&m, step);
    put_bytes(&m, EVENT_SESSION_LOG, session, sizeof session);
    e->again = false;
    return write_record(e, &m, err);
}

int events_open(struct events **out, const char *folder, bool again, struct err *err)
{
    static const char version[] = "brain.Event:2";
    struct events *e = calloc(1, sizeof *e);
    long long now = (long long)time(NULL);
    struct message m;

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
    put_bytes(&m, EVENT_FILE_VERSION, version, strlen(version));
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

int events_scalar(struct events *e, const char *tag, uint64_t step, double value, struct err *err)
{
    struct message m, entry = {.n = 0}, summary = {.n = 0};

    BUG_IF(strlen(tag) > TAG_MAX);
    if (e->again && write_session_start(e, step, err) < 0)
        return -1;
    put_bytes(&entry, VALUE_TAG, tag, strlen(tag));
    put_float(&entry, VALUE_SIMPLE, (float)value);
    put_bytes(&summary, SUMMARY_VALUE, entry.bytes, entry.n);
    begin_event(&m);
    put_key(&m, EVENT_STEP, WIRE_VARINT);
    put_varint(&m, step);
    put_bytes(&m, EVENT_SUMMARY, summary.bytes, summary.n);
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
