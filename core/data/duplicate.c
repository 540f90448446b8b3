/* duplicate.c - exact copies by CRC and then by bytes, near ones by their hashes.
 *
 * Two hashes of 256 bits that differ in at most 15 are equal in at least one of 16 pieces of 16 bits. So hashes are
 * sorted by each piece in turn, and compared only with those that have the same piece.
 * SPDX-License-Identifier: MIT */
#include "data/duplicate.h"

#include <stdlib.h>
#include <string.h>

enum {
    GRID = 16,       /* comparisons in a row, and rows */
    SAMPLES = 8,     /* of a cell, across and down */
    FLAT_RANGE = 12, /* of 255, between the darkest and the lightest cell */
    PIECES = 16,     /* of a hash */
    NEIGHBOURS_MAX =
        4096 /* that one hash is compared with in one piece: keeps sets of like pictures fast */
};

/* Mean brightness of (GRID + 1) x GRID cells, in 1/256 of a grey level; from evenly spaced pixels. */
static void measure(uint32_t cell[GRID][GRID + 1], const uint8_t *pixels, int height, int width)
{
    enum { ACROSS = (GRID + 1) * SAMPLES, DOWN = GRID * SAMPLES };
    size_t column[ACROSS]; /* where each sampled pixel of a row begins */

    memset(cell, 0, sizeof(uint32_t[GRID][GRID + 1]));
    for (size_t k = 0; k < ACROSS; k++)
        column[k] = (2 * k + 1) * (size_t)width / (2 * ACROSS) * 3;
    for (size_t i = 0; i < DOWN; i++) {
        const uint8_t *row = pixels + (2 * i + 1) * (size_t)height / (2 * DOWN) * (size_t)width * 3;

        for (size_t k = 0; k < ACROSS; k++) {
            const uint8_t *p = row + column[k];

            cell[i / SAMPLES][k / SAMPLES] += 77u * p[0] + 150u * p[1] + 29u * p[2];
        }
    }
}

void picture_hash(struct picture_hash *out, const uint8_t *pixels, int height, int width)
{
    uint32_t cell[GRID][GRID + 1], low = UINT32_MAX, high = 0;

    measure(cell, pixels, height, width);
    memset(out, 0, sizeof *out);
    for (size_t y = 0; y < GRID; y++) {
        for (size_t x = 0; x <= GRID; x++) {
            low = cell[y][x] < low ? cell[y][x] : low;
            high = cell[y][x] > high ? cell[y][x] : high;
        }
        for (size_t x = 0; x < GRID; x++) {
            const size_t bit = y * GRID + x;

            out->bits[0][bit / 64] |= (uint64_t)(cell[y][x] > cell[y][x + 1]) << bit % 64;
            out->bits[1][bit / 64] |= (uint64_t)(cell[y][GRID - x] > cell[y][GRID - 1 - x])
                                      << bit % 64;
        }
    }
    out->flat = (high - low) / (256 * SAMPLES * SAMPLES) < FLAT_RANGE;
}

/* Inline, as the compiler's own is a call where no instruction set is asked for. */
static unsigned bits_set(uint64_t x)
{
    x -= x >> 1 & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)(x * UINT64_C(0x0101010101010101) >> 56);
}

static unsigned differ(const uint64_t a[4], const uint64_t b[4])
{
    unsigned n = 0;

    for (int i = 0; i < 4; i++)
        n += bits_set(a[i] ^ b[i]);
    return n;
}

/* Nearly all pairs are told apart by their first words. */
static bool are_near(const uint64_t a[4], const uint64_t b[4])
{
    unsigned n = 0;

    for (int i = 0; i < 4 && n <= DUPLICATE_DISTANCE; i++)
        n += bits_set(a[i] ^ b[i]);
    return n <= DUPLICATE_DISTANCE;
}

unsigned picture_distance(const struct picture_hash *a, const struct picture_hash *b)
{
    const unsigned as_is = differ(a->bits[0], b->bits[0]),
                   mirrored = differ(a->bits[0], b->bits[1]);

    return as_is < mirrored ? as_is : mirrored;
}

/* --- groups: each picture points to an earlier one of its group, the first to itself -------------- */

static uint32_t first_of(uint32_t *group, uint32_t i)
{
    while (group[i] != i) {
        group[i] = group[group[i]];
        i = group[i];
    }
    return i;
}

static void join(uint32_t *group, uint32_t *members, uint32_t a, uint32_t b)
{
    a = first_of(group, a);
    b = first_of(group, b);
    if (a == b)
        return;
    if (b < a) {
        const uint32_t swap = a;

        a = b;
        b = swap;
    }
    group[b] = a;
    members[a] += members[b];
}

struct by_file {
    uint64_t size;
    uint32_t crc32c, i;
};

static int compare_files(const void *a, const void *b)
{
    const struct by_file *x = a, *y = b;

    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    if (x->crc32c != y->crc32c)
        return x->crc32c < y->crc32c ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

/* Each file is compared with the first of every group that has its size and CRC. */
static int find_exact(uint32_t *exact, uint32_t *members, const struct duplicate_item *items,
                      uint32_t n, int (*same)(void *ctx, uint32_t a, uint32_t b, struct err *err),
                      void *ctx, struct err *err)
{
    struct by_file *f = malloc((n + 1) * sizeof *f);
    uint32_t m = 0;
    int rc = 0;

    if (!f)
        return err_set(err, ERR_NOMEM, "duplicates of %u pictures: out of memory", n);
    for (uint32_t i = 0; i < n; i++)
        if (!items[i].left_out)
            f[m++] = (struct by_file){items[i].size, items[i].crc32c, i};
    qsort(f, m, sizeof *f, compare_files);
    for (uint32_t i = 1; rc >= 0 && i < m; i++)
        for (uint32_t k = i; rc >= 0 && k-- > 0;) {
            if (f[k].size != f[i].size || f[k].crc32c != f[i].crc32c)
                break;
            if (exact[f[k].i] != f[k].i)
                continue;
            rc = same(ctx, f[k].i, f[i].i, err);
            if (rc > 0) {
                join(exact, members, f[k].i, f[i].i);
                break;
            }
        }
    free(f);
    return rc < 0 ? -1 : 0;
}

struct
    entry { /* with its own copy of the hash: looking for it elsewhere would take most of the time */
    uint64_t bits[4];
    uint32_t i;
    uint16_t piece;
    bool mirrored;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order;

    if (x->piece != y->piece)
        return x->piece < y->piece ? -1 : 1;
    order = memcmp(x->bits, y->bits, sizeof x->bits); /* like ones side by side */
    if (order != 0)
        return order;
    if (x->i != y->i)
        return x->i < y->i ? -1 : 1;
    return x->mirrored - y->mirrored;
}

static void compare_piece(uint32_t *near, uint32_t *members, const struct entry *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n && k - i <= NEIGHBOURS_MAX && e[k].piece == e[i].piece; k++) {
            uint32_t a, b;

            if ((e[i].mirrored && e[k].mirrored) || !are_near(e[i].bits, e[k].bits))
                continue;
            a = first_of(near, e[i].i);
            b = first_of(near, e[k].i);
            if (a != b && members[a] + members[b] <= DUPLICATE_GROUP_MAX)
                join(near, members, a, b);
        }
}

/* E by piece, then as compare_entries() says; FROM is overwritten. Most of the order comes from counting. */
static void sort_entries(struct entry *e, struct entry *from, size_t n)
{
    static const size_t values = UINT16_MAX + 1;
    size_t ends[UINT16_MAX + 1] = {0};

    for (size_t k = 0; k < n; k++)
        ends[from[k].piece]++;
    for (size_t v = 1; v < values; v++)
        ends[v] += ends[v - 1];
    for (size_t k = n; k-- > 0;)
        e[--ends[from[k].piece]] = from[k]; /* ends become beginnings */
    for (size_t v = 0; v < values; v++) {
        const size_t end = v + 1 < values ? ends[v + 1] : n;

        qsort(e + ends[v], end - ends[v], sizeof *e, compare_entries);
    }
}

static int find_near(uint32_t *near, uint32_t *members, const struct duplicate_item *items,
                     const uint32_t *exact, uint32_t n, struct err *err)
{
    struct entry *e = malloc((2 * (size_t)n + 1) * sizeof *e),
                 *sorted = malloc((2 * (size_t)n + 1) * sizeof *e);
    size_t m = 0;

    if (!e || !sorted) {
        free(e);
        free(sorted);
        return err_set(err, ERR_NOMEM, "duplicates of %u pictures: out of memory", n);
    }
    for (uint32_t i = 0; i < n; i++) /* one of each group of copies is enough */
        for (int k = 0; k < 2 && exact[i] == i && !items[i].left_out && !items[i].hash.flat; k++) {
            memcpy(e[m].bits, items[i].hash.bits[k], sizeof e[m].bits);
            e[m].i = i;
            e[m++].mirrored = k == 1;
        }
    for (int piece = 0; piece < PIECES; piece++) {
        for (size_t k = 0; k < m; k++)
            e[k].piece = (uint16_t)(e[k].bits[piece / 4] >> 16 * (piece % 4));
        sort_entries(sorted, e, m);
        compare_piece(near, members, sorted, m);
    }
    free(e);
    free(sorted);
    return 0;
}

int duplicate_find(uint32_t *exact, uint32_t *near, const struct duplicate_item *items, uint32_t n,
                   int (*same)(void *ctx, uint32_t a, uint32_t b, struct err *err), void *ctx,
                   struct err *err)
{
    uint32_t *members = malloc((n + 1) * sizeof *members);
    int rc;

    if (!members)
        return err_set(err, ERR_NOMEM, "duplicates of %u pictures: out of memory", n);
    for (uint32_t i = 0; i < n; i++) {
        exact[i] = i;
        members[i] = 1;
    }
    rc = find_exact(exact, members, items, n, same, ctx, err);
    for (uint32_t i = 0; i < n; i++)
        near[i] = exact[i] = first_of(exact, i);
    if (rc == 0)
        rc = find_near(near, members, items, exact, n, err);
    for (uint32_t i = 0; i < n; i++)
        near[i] = first_of(near, i);
    free(members);
    return rc;
}
