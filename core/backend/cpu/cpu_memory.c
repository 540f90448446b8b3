/* cpu_memory.c - zeroed anonymous memory in huge pages: a step reads and writes hundreds of megabytes, and with pages
 * of 4 KiB a core waits longer for their addresses than for what lies there. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <sys/mman.h>

#include "backend/cpu/cpu.h"
#include "base/size.h"

enum { LINE = 64, HEAP_REGION = 64 << 20 };

int region_map(struct region *r, size_t bytes, const char *what, struct err *err)
{
    void *data;

    if (bytes == 0)
        return 0;
    data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return err_set(err, ERR_NOMEM, "%s: %zu MB planned, which this machine refuses", what,
                       bytes >> 20);
    (void)madvise(data, bytes, MADV_HUGEPAGE); /* no harm where refused */
    r->data = data;
    r->bytes = bytes;
    return 0;
}

int region_share(struct region *r, const struct be_ranks *ranks, size_t bytes, const char *what,
                 struct err *err)
{
    if (machine_ranks(ranks) == 1)
        return region_map(r, bytes, what, err);
    if (bytes == 0)
        return 0;
    r->data = ranks->memory(ranks->ctx, bytes);
    if (!r->data)
        return err_set(err, ERR_NOMEM, "%s: %zu MB in common, which this machine refuses", what,
                       bytes >> 20);
    r->bytes = bytes;
    r->sharers = ranks;
    return 0;
}

void region_populate(struct region *r)
{
    if (!r->sharers || r->populated)
        return;
    r->sharers->populate(r->sharers->ctx, r->data, r->bytes);
    r->populated = true;
}

size_t region_part(const struct region *r)
{
    return r->bytes / (size_t)machine_ranks(r->sharers);
}

void region_unmap(struct region *r)
{
    if (r->data && r->sharers)
        r->sharers->give_back(r->sharers->ctx, r->data, r->bytes);
    else if (r->data)
        munmap(r->data, r->bytes);
}

int heap_take(void **out, struct heap *h, size_t bytes, const char *what, struct err *err)
{
    bytes = align_up(bytes, LINE);
    if (bytes > h->left) {
        struct region *more = realloc(h->regions, ((size_t)h->n + 1) * sizeof *more);
        const size_t room = bytes > HEAP_REGION ? bytes : HEAP_REGION;

        if (!more)
            return err_set(err, ERR_NOMEM, "%s", what);
        h->regions = more;
        more[h->n] = (struct region){0};
        if (region_share(&more[h->n], h->sharers, room, what, err) < 0)
            return -1;
        h->n++;
        h->left = room;
    }
    *out = h->regions[h->n - 1].data + h->regions[h->n - 1].bytes - h->left;
    h->left -= bytes;
    return 0;
}

void heap_populate(struct heap *h)
{
    for (int i = 0; i < h->n; i++)
        region_populate(&h->regions[i]);
}

void heap_free(struct heap *h)
{
    for (int i = 0; i < h->n; i++)
        region_unmap(&h->regions[i]);
    free(h->regions);
}
