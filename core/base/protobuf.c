/* protobuf.c - see protobuf.h. SPDX-License-Identifier: MIT */
#include "base/protobuf.h"

#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5, FIRST_ROOM = 256 };

void protobuf_free(struct protobuf *m)
{
    free(m->bytes);
    *m = (struct protobuf){0};
}

static void put(struct protobuf *m, const void *data, size_t size)
{
    size_t room = m->room ? m->room : FIRST_ROOM;
    uint8_t *larger;

    while (room - m->n < size && room <= SIZE_MAX / 2)
        room *= 2;
    if (room != m->room && !m->failed) {
        larger = room - m->n < size ? NULL : realloc(m->bytes, room);
        m->failed = !larger;
        m->bytes = larger ? larger : m->bytes;
        m->room = larger ? room : m->room;
    }
    if (m->failed || size == 0)
        return;
    memcpy(m->bytes + m->n, data, size);
    m->n += size;
}

void protobuf_raw(struct protobuf *m, uint64_t value, int bytes)
{
    uint8_t little[8];

    for (int i = 0; i < bytes; i++)
        little[i] = (uint8_t)(value >> 8 * i);
    put(m, little, (size_t)bytes);
}

static void put_varint(struct protobuf *m, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        protobuf_raw(m, (value & 0x7f) | 0x80, 1);
    protobuf_raw(m, value, 1);
}

static void put_key(struct protobuf *m, unsigned field, unsigned wire)
{
    put_varint(m, field << 3 | wire);
}

void protobuf_int(struct protobuf *m, unsigned field, uint64_t value)
{
    put_key(m, field, WIRE_VARINT);
    put_varint(m, value);
}

void protobuf_float(struct protobuf *m, unsigned field, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, WIRE_FIXED32);
    protobuf_raw(m, bits, 4);
}

void protobuf_double(struct protobuf *m, unsigned field, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_key(m, field, WIRE_FIXED64);
    protobuf_raw(m, bits, 8);
}

void protobuf_head(struct protobuf *m, unsigned field, uint64_t size)
{
    put_key(m, field, WIRE_BYTES);
    put_varint(m, size);
}

void protobuf_bytes(struct protobuf *m, unsigned field, const void *data, size_t size)
{
    protobuf_head(m, field, size);
    put(m, data, size);
}

void protobuf_text(struct protobuf *m, unsigned field, const char *text)
{
    protobuf_bytes(m, field, text, strlen(text));
}

void protobuf_message(struct protobuf *m, unsigned field, struct protobuf *part)
{
    m->failed |= part->failed;
    if (!part->failed)
        protobuf_bytes(m, field, part->bytes, part->n);
    protobuf_free(part);
}
