/* conv_weight.c - weights and their gradients between the plain order (k, c, r, s) and that of the sums.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cpu/conv/conv_plan.h"
#include "backend/elem.h"

/* Groups, as many together as fill blocks. */
static int parts_of(const struct conv_format *f)
{
    return f->groups > 1 ? f->groups / groups_together(f->groups, f->c, f->k) : 1;
}

/* Blocks of a part. */
static int filter_blocks(const struct conv_format *f)
{
    return blocks_of(f->k / parts_of(f));
}

static int channel_blocks(const struct conv_format *f)
{
    return blocks_of(f->c / parts_of(f));
}

static int out_blocks(const struct conv_format *f)
{
    return f->backward ? channel_blocks(f) : filter_blocks(f);
}

static int in_blocks(const struct conv_format *f)
{
    return f->backward ? filter_blocks(f) : channel_blocks(f);
}

bool conv_format_equal(const struct conv_format *a, const struct conv_format *b)
{
    return a->k == b->k && a->c == b->c && a->r == b->r && a->s == b->s &&
           a->backward == b->backward && a->winograd == b->winograd && a->bf16 == b->bf16 &&
           a->pairs == b->pairs && a->rows == b->rows && a->groups == b->groups &&
           (!a->backward || (a->stride == b->stride && a->pad == b->pad));
}

/* Of 16 x 16 weights. */
static size_t tile_floats(const struct conv_format *f)
{
    return f->pairs ? TILE / 2 : TILE;
}

/* Pairs of a tap row; an odd last number has one of its own. */
static int row_pairs(const struct conv_format *f)
{
    return (f->s * f->c + 1) / 2;
}

/* Floats of one block of outputs. */
static size_t block_floats(const struct conv_format *f)
{
    if (f->rows && f->pairs)
        return (size_t)f->r * (size_t)row_pairs(f) * BLOCK;
    if (f->rows)
        return (size_t)(f->r * f->s) * (size_t)(f->backward ? f->k : f->c) * BLOCK;
    if (f->winograd)
        return WINOGRAD_PLANES * winograd_weight_plane(in_blocks(f) * BLOCK);
    return (size_t)(in_blocks(f) * f->r * f->s) * tile_floats(f);
}

size_t conv_format_bytes(const struct conv_format *f)
{
    return (size_t)(parts_of(f) * out_blocks(f)) * block_floats(f) * sizeof(float);
}

/* One for each block of filters: the plain weight is read from its beginning to its end. */
int conv_format_strips(const struct conv_format *f)
{
    return parts_of(f) * filter_blocks(f);
}

/* The weights of block K of all filters for block C of all channels, (taps, in, out): zeros where there are no
 * channels or the filter does not read them, rounded where the tensors are bf16. */
static void load_tiles(const struct conv_format *f, int k, int c, const float *plain, float *tiles)
{
    const int taps = f->r * f->s, group_k = f->k / f->groups, group_c = f->c / f->groups;
    const int k0 = k * BLOCK, c0 = c * BLOCK;
    const int step_k = f->backward ? BLOCK : 1, step_c = f->backward ? 1 : BLOCK;

    if (k0 + BLOCK > f->k || c0 + BLOCK > f->c || f->groups > 1)
        memset(tiles, 0, (size_t)(taps * TILE) * sizeof *tiles);
    for (int i = 0; i < smaller(BLOCK, f->k - k0); i++) {
        const int first = (k0 + i) / group_k * group_c; /* channel that the filter reads */
        const int from_c = first > c0 ? first : c0, to_c = smaller(first + group_c, c0 + BLOCK);
        const float *from = plain + (ptrdiff_t)((k0 + i) * group_c + from_c - first) * taps;

        for (int t = 0; t < taps;
             t++) /* those of the next block: 16 filters are too many streams */
            __builtin_prefetch(from + (taps + t) * BLOCK);
        for (int j = from_c - c0; j < to_c - c0; j++)
            for (int t = 0; t < taps; t++)
                tiles[t * TILE + i * step_k + j * step_c] = *from++;
    }
    for (int i = 0; f->bf16 && i < taps * TILE; i++)
        tiles[i] = f32_from_bf16(bf16_from_f32(tiles[i]));
}

static float word_of(float high, float low)
{
    const uint32_t bits = (uint32_t)bf16_from_f32(high) << 16 | bf16_from_f32(low);
    float word;

    memcpy(&word, &bits, sizeof word);
    return word;
}

/* To (out blocks, r, s, in, 16): a tap row is one run. */
static void put_rows(const struct conv_format *f, int out, int in, const float *tiles, float *data,
                     const struct pack_kernels *pack)
{
    const int inputs = f->backward ? f->k : f->c, lanes = smaller(BLOCK, inputs - in * BLOCK);

    data += (size_t)out * block_floats(f);
    for (int t = 0; t < f->r * f->s; t++)
        pack->copy_past(data + (size_t)(t * inputs + in * BLOCK) * BLOCK, tiles + t * TILE,
                        (size_t)(lanes * BLOCK));
}

/* The same for bf16 in pairs, of which the first number is high: to (out blocks, r, pairs, 16). */
static void put_row_pairs(const struct conv_format *f, int out, const float *tiles, float *data,
                          const struct pack_kernels *pack)
{
    const int n = f->s * f->c;
    float room[BLOCK];

    data += (size_t)out * block_floats(f);
    for (int r = 0; r < f->r; r++)
        for (int i = 0; i < n; i += 2, data += BLOCK) {
            const float *first = tiles + (r * f->s + i / f->c) * TILE + i % f->c * BLOCK,
                        *second =
                            tiles + (r * f->s + (i + 1) / f->c) * TILE + (i + 1) % f->c * BLOCK;

            for (int k = 0; k < BLOCK; k++)
                room[k] = word_of(first[k], i + 1 < n ? second[k] : 0);
            pack->copy_past(data, room, BLOCK);
        }
}

/* 16 x 16 weights (in, out) in the order of the sum: of a pair of bf16 channels the odd one first, or both in
 * one word, the odd one high. In ROOM where they must move. */
static const float *in_order(const struct conv_format *f, const float *tile, float *room)
{
    if (!f->bf16)
        return tile;
    for (int i = 0; f->pairs && i < TILE / 2; i++) {
        const int even = i / BLOCK * 2 * BLOCK + i % BLOCK;

        room[i] = word_of(tile[even + BLOCK], tile[even]);
    }
    for (int l = 0; !f->pairs && l < BLOCK; l++)
        memcpy(room + (l ^ 1) * BLOCK, tile + l * BLOCK, BLOCK * sizeof *room);
    return room;
}

/* To (phases of P, out blocks, in blocks, taps of the phase, 16, 16). */
static void put_direct(const struct conv_format *f, const struct phases *p, int out, int in,
                       const float *tiles, float *data, const struct pack_kernels *pack)
{
    const size_t size = tile_floats(f);
    float room[TILE];

    for (int i = 0; i < p->n; i++) {
        const struct phase *h = &p->phase[i];
        const int before = h->first_tap * in_blocks(f) * out_blocks(f);
        float *to = data + (size_t)(before + (out * in_blocks(f) + in) * h->taps) * size;

        for (int t = 0; t < h->taps; t++)
            pack->copy_past(to + (size_t)t * size,
                            in_order(f, tiles + p->tap[h->first_tap + t] * TILE, room), size);
    }
}

/* To (out blocks, 36, in, 16). */
static void put_winograd(const struct conv_format *f, int out, int in, const float *tiles,
                         float *data, const struct pack_kernels *pack,
                         const struct winograd_kernels *winograd)
{
    const size_t plane = winograd_weight_plane(in_blocks(f) * BLOCK);
    float u[WINOGRAD_PLANES * TILE] __attribute__((aligned(64)));

    data += (size_t)out * block_floats(f) + (size_t)(in * TILE);
    winograd->weight(u, tiles, f->backward);
    for (int i = 0; i < WINOGRAD_PLANES; i++)
        pack->copy_past(data + (size_t)i * plane, u + i * TILE, TILE);
}

void conv_format_fill(const struct conv_format *f, int strip, const float *plain, float *data,
                      enum isa isa)
{
    const struct pack_kernels *pack = pack_kernels_of(isa);
    const int part = strip / filter_blocks(f), k = strip % filter_blocks(f);
    const bool direct = !f->winograd && !f->rows;
    float tiles[MOST_TAPS * TILE] __attribute__((aligned(64)));
    struct phases p = {0};
    struct err err = {0};

    data += (size_t)(part * out_blocks(f)) * block_floats(f);
    BUG_IF(direct && phases_new(&p, f, 1, 1, &err) < 0); /* some hundred bytes */
    for (int c = 0; c < channel_blocks(f); c++) {
        const int out = f->backward ? c : k, in = f->backward ? k : c;

        load_tiles(f, strip, part * channel_blocks(f) + c, plain, tiles);
        if (direct)
            put_direct(f, &p, out, in, tiles, data, pack);
        else if (f->rows && f->pairs)
            put_row_pairs(f, out, tiles, data, pack);
        else if (f->rows)
            put_rows(f, out, in, tiles, data, pack);
        else
            put_winograd(f, out, in, tiles, data, pack, winograd_kernels_of(isa));
    }
    pack->end_past();
    phases_clear(&p);
}

/* ---- gradients ---- */

/* Numbers of one block of filters. */
static size_t leaf_block(const struct conv *c)
{
    return c->algorithm == CONV_ROWS ? (size_t)(c->s.r * c->s.s * c->s.c) * BLOCK
                                     : (size_t)(c->in_blocks * c->s.r * c->s.s) * TILE;
}

size_t conv_leaf_floats(const struct conv *c)
{
    return (size_t)conv_leaf_parts(c) * leaf_block(c);
}

int conv_leaf_parts(const struct conv *c)
{
    return c->parts * c->out_blocks;
}

void conv_leaf_plain(const struct conv *c, int part, const float *sum, float *gradient)
{
    const struct conv_shape *s = &c->s;
    const int taps = s->r * s->s, lanes = c->algorithm == CONV_ROWS ? s->c : BLOCK;
    const int group_k = s->k / s->groups, group_c = s->c / s->groups, part_c = s->c / c->parts;

    for (int b = 0; b < part_c / lanes; b++)
        for (int k = 0; k < BLOCK; k++) {
            const int filter = part * BLOCK + k, first = filter / group_k * group_c % part_c;
            const int from_c = first > b * lanes ? first : b * lanes,
                      to_c = smaller(first + group_c, (b + 1) * lanes);
            float *to = gradient + (ptrdiff_t)(filter * group_c + from_c - first) * taps;

            for (int l = from_c - b * lanes; l < to_c - b * lanes; l++)
                for (int t = 0; t < taps; t++)
                    *to++ = sum[(size_t)((b * taps + t) * lanes + l) * BLOCK + (size_t)k];
        }
}
