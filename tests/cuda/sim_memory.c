/* sim_memory.c - device and pinned memory of the simulated device.
 *
 * One anonymous file mapped twice: where the program sees device memory nothing can be read or written;
 * the simulation's own view is open for live buffers alone. Addresses are never used again.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fcntl.h>

#include "sim_private.h"

enum { PAGE = 4096, POISON_MOST = 4 << 20 /* of larger buffers only so much, as it takes time */ };
static const size_t device_bytes = (size_t)1 << 40;

static char *device, *shadow;
static size_t next;
static int file = -1;
static struct buffer *buffers;

static void map_device(void)
{
    if (device)
        return;
    file = memfd_create("device", 0);
    BUG_IF(file < 0 || ftruncate(file, (off_t)device_bytes) != 0);
    device = mmap(NULL, device_bytes, PROT_NONE, MAP_SHARED | MAP_NORESERVE, file, 0);
    shadow = mmap(NULL, device_bytes, PROT_NONE, MAP_SHARED | MAP_NORESERVE, file, 0);
    BUG_IF(device == MAP_FAILED || shadow == MAP_FAILED);
}

bool sim_is_device(const void *p)
{
    return device && (const char *)p >= device && (const char *)p < device + device_bytes;
}

void *sim_shadow(const void *p)
{
    return shadow + ((const char *)p - device);
}

/* Of B and those after it. Parts come before what they are part of. */
static struct buffer *find_from(struct buffer *b, const void *p, bool pinned)
{
    while (b &&
           !(b->pinned == pinned && (const char *)p >= b->at && (const char *)p < b->at + b->bytes))
        b = b->next;
    return b;
}

static struct buffer *find(const void *p, bool pinned)
{
    return find_from(buffers, p, pinned);
}

struct buffer *sim_pinned(const void *p)
{
    return find(p, true);
}

struct buffer *sim_buffer(const void *p, size_t bytes, const char *who)
{
    struct buffer *b = sim_is_device(p) ? find(p, false) : NULL;

    while (b && b->part && (size_t)(b->at + b->bytes - (const char *)p) < bytes)
        b = find_from(b->next, p, false); /* more than the part: the whole */

    if (!sim_is_device(p))
        sim_fault("%s: %p is not device memory", who, p);
    else if (!b)
        sim_fault("%s: device memory that was freed or never allocated", who);
    else if ((size_t)(b->at + b->bytes - (const char *)p) < bytes)
        sim_fault("%s: %zu bytes where a buffer has %zu left", who, bytes,
                  (size_t)(b->at + b->bytes - (const char *)p));
    else
        return b;
    return NULL;
}

static struct buffer *add(char *at, size_t bytes, size_t room, bool pinned)
{
    struct buffer *b = calloc(1, sizeof *b);

    BUG_IF(!b);
    b->at = at;
    b->bytes = bytes;
    b->room = room;
    b->pinned = pinned;
    b->next = buffers;
    buffers = b;
    sim.used += bytes;
    sim.buffers++;
    return b;
}

struct buffer *sim_part(const void *p, size_t bytes, const char *who)
{
    struct buffer *b = sim_buffer(p, bytes, who), *part = buffers;

    while (part && !(part->part && part->at == p))
        part = part->next;
    if (b && part && part->bytes < bytes)
        part->bytes = bytes;
    if (!b || part)
        return part;
    part = calloc(1, sizeof *part);
    BUG_IF(!part);
    *part = *b;
    part->at = (char *)(uintptr_t)p;
    part->bytes = bytes;
    part->part = true;
    part->next = buffers;
    buffers = part;
    return part;
}

/* Parts go with the whole. */
static void drop_parts(const struct buffer *whole)
{
    for (struct buffer **link = &buffers, *b; (b = *link);) {
        if (b->part && b->at >= whole->at && b->at < whole->at + whole->bytes) {
            *link = b->next;
            free(b);
        } else {
            link = &b->next;
        }
    }
}

static void drop(struct buffer *b)
{
    struct buffer **link = &buffers;

    drop_parts(b);
    while (*link != b)
        link = &(*link)->next;
    *link = b->next;
    sim.used -= b->bytes;
    sim.buffers--;
    free(b);
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    const size_t room = (bytes + PAGE - 1) / PAGE * PAGE;

    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    if (sim_fails() || (sim.memory && sim.used + bytes > sim.memory))
        return cudaErrorMemoryAllocation;
    map_device();
    *p = device + next;
    BUG_IF(room > device_bytes - next - PAGE);
    BUG_IF(room > 0 && mprotect(shadow + next, room, PROT_READ | PROT_WRITE) != 0);
    memset(shadow + next, NAN_BYTE, room < POISON_MOST ? room : POISON_MOST);
    if (bytes > 0)
        add(*p, bytes, room, false);
    next += room + PAGE; /* a page that faults lies between */
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    struct buffer *b;

    if (!p)
        return cudaSuccess;
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    sim_drain();
    b = sim_buffer(p, 1, "cudaFree");
    if (!b || b->at != p) {
        sim_fault("cudaFree of what cudaMalloc did not give");
        return cudaErrorInvalidValue;
    }
    if (sim.plant == PLANT_LEAK && b->bytes > 1 << 20) {
        sim.plant = PLANT_NONE;
        return cudaSuccess;
    }
    madvise(sim_shadow(p), b->room, MADV_REMOVE);
    mprotect(sim_shadow(p), b->room, PROT_NONE);
    drop(b);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    (void)flags;
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    if (sim_fails())
        return cudaErrorMemoryAllocation;
    *p = malloc(bytes);
    if (!*p)
        return cudaErrorMemoryAllocation;
    memset(*p, NAN_BYTE, bytes);
    add(*p, bytes, bytes, true);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    struct buffer *b = p ? sim_pinned(p) : NULL;

    if (!p)
        return cudaSuccess;
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    sim_drain();
    if (!b || b->at != p) {
        sim_fault("cudaFreeHost of what cudaHostAlloc did not give");
        return cudaErrorInvalidValue;
    }
    drop(b);
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *all)
{
    *all = sim.memory ? sim.memory : device_bytes;
    *available = *all - sim.used;
    return cudaSuccess;
}
