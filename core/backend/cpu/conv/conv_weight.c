/* conv_weight.c - weights and their gradients between the plain order (k, c, r, s) and that of the sums.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cpu/conv/conv_plan.h"
#include "backend/elem.h"

static int parts_of(const struct conv_format *f)
{
    return f->groups > 1 ? f->groups / groups_together(f->groups, f->c, f->k) : 1;
}

/* Of a part. */
static int out_blocks(const struct conv_format *f)
{
    return blocks_of((f->backward ? f->c : f->k) / parts_of(f));
}

static int in_blocks(const struct conv_format *f)
{
    return blocks_of((f->backward ? f->k : f->c) / parts_of(f));
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

/* Floats of one block of outputs. */
static size_t block_floats(const struct conv_format *f)
{
    if (f->rows)
        return (size_t)(f->r * f->s) * (size_t)(f->backward ? f->k : f->c) * BLOCK;
    if (f->winograd)
        return WINOGRAD_PLANES * winograd_weight_plane(in_blocks(f) * BLOCK);
    return (size_t)(in_blocks(f) * f->r * f->s) * tile_floats(f);
}

size_t conv_format_bytes(const struct conv_format *f)
{
    return (size_t)conv_format_parts(f) * block_floats(f) * sizeof(float);
}

int conv_format_parts(const struct conv_format *f)
{
    return parts_of(f) * out_blocks(f);
}

/* The weights of block OUT of all outputs and block IN of its part's inputs, (taps, in, out): zeros where there
 * are no channels or the filter does not read them, rounded where the tensors are bf16. */
static void load_tiles(const struct conv_format *f, int out, int in, const float *plain,
                       float *tiles)
{
    const int taps = f->r * f->s, group_k = f->k / f->groups, group_c = f->c / f->groups;
    const int in_all = out / out_blocks(f) * in_blocks(f) + in;
    const int k0 = (f->backward ? in_all : out) * BLOCK, c0 = (f->backward ? out : in_all) * BLOCK;
    const int step_k = f->backward ? BLOCK : 1, step_c = f->backward ? 1 : BLOCK;
    const ptrdiff_t next = (f->backward ? BLOCK * group_c : BLOCK) * taps; /* to block IN + 1 */

    if (k0 + BLOCK > f->k || c0 + BLOCK > f->c || f->groups > 1)
        memset(tiles, 0, (size_t)(taps * TILE) * sizeof *tiles);
    for (int k = 0; k < smaller(BLOCK, f->k - k0); k++) { /* in the order of the plain weight */
        const int first = (k0 + k) / group_k * group_c;   /* channel that the filter reads */
        const int from_c = first > c0 ? first : c0, to_c = smaller(first + group_c, c0 + BLOCK);
        const float *from = plain + (ptrdiff_t)((k0 + k) * group_c + from_c - first) * taps;

        for (int c = from_c - c0; c < to_c - c0; c++) {
            __builtin_prefetch(from + next);
            for (int t = 0; t < taps; t++)
                tiles[t * TILE + k * step_k + c * step_c] = *from++;
        }
    }
    for (int i = 0; f->bf16 && i < taps * TILE; i++)
        tiles[i] = f32_from_bf16(bf16_from_f32(tiles[i]));
}

/* (r, s, in, 16): a tap row is one run. */
static void fill_rows(const struct conv_format *f, int block, const float *plain, float *data)
{
    const int taps = f->r * f->s, inputs = f->backward ? f->k : f->c;
    float tiles[MOST_TAPS * TILE];

    for (int b = 0; b < in_blocks(f); b++) {
        const int lanes = smaller(BLOCK, inputs - b * BLOCK);

        load_tiles(f, block, b, plain, tiles);
        for (int t = 0; t < taps; t++)
            memcpy(data + (size_t)(t * inputs + b * BLOCK) * BLOCK, tiles + t * TILE,
                   (size_t)(lanes * BLOCK) * sizeof *data);
    }
}

/* 16 x 16 weights (in, out) in the order of the sum: of a pair of bf16 channels the odd one first, or both in
 * one word, the odd one high. */
static void put_tile(const struct conv_format *f, const float *tile, float *to)
{
    if (f->pairs)
        for (int i = 0; i < TILE / 2; i++) {
            const int even = i / BLOCK * 2 * BLOCK + i % BLOCK;
            const uint32_t word =
                bf16_from_f32(tile[even]) | (uint32_t)bf16_from_f32(tile[even + BLOCK]) << 16;

            memcpy(to + i, &word, sizeof word);
        }
    else
        for (int l = 0; l < BLOCK; l++)
            memcpy(to + (f->bf16 ? l ^ 1 : l) * BLOCK, tile + l * BLOCK, BLOCK * sizeof *to);
}

/* Part by part, phase by phase (phases_new()), as (out blocks, in blocks, taps of the phase, 16, 16). */
static void fill_direct(const struct conv_format *f, int block, const float *plain, float *data)
{
    const size_t size = tile_floats(f);
    float tiles[MOST_TAPS * TILE];
    float *part = data + (size_t)(block / out_blocks(f) * out_blocks(f)) * block_floats(f);
    struct phases p = {0};
    struct err err = {0};

    BUG_IF(phases_new(&p, f, 1, 1, &err) < 0); /* some hundred bytes */
    for (int b = 0; b < in_blocks(f); b++) {
        load_tiles(f, block, b, plain, tiles);
        for (int i = 0; i < p.n; i++) {
            const struct phase *h = &p.phase[i];
            const int before = h->first_tap * in_blocks(f) * out_blocks(f),
                      here = block % out_blocks(f);
            float *to = part + (size_t)(before + (here * in_blocks(f) + b) * h->taps) * size;

            for (int t = 0; t < h->taps; t++)
                put_tile(f, tiles + p.tap[h->first_tap + t] * TILE, to + (size_t)t * size);
        }
    }
    phases_clear(&p);
}

/* (out blocks, 36, in, 16); a data gradient's filter is turned by half a circle. */
static void fill_winograd(const struct conv_format *f, const float *plain, int block, float *data,
                          const struct winograd_kernels *kernels)
{
    const int inputs = in_blocks(f) * BLOCK;
    float tiles[9 * TILE], turned[9 * BLOCK];

    for (int b = 0; b < in_blocks(f); b++) {
        load_tiles(f, block, b, plain, tiles);
        for (int l = 0; l < BLOCK; l++) {
            for (int t = 0; t < 9; t++)
                memcpy(turned + t * BLOCK, tiles + (f->backward ? 8 - t : t) * TILE + l * BLOCK,
                       BLOCK * sizeof *turned);
            kernels->weight(data + (size_t)(b * BLOCK + l) * BLOCK, winograd_weight_plane(inputs),
                            turned);
        }
    }
}

void conv_format_fill(const struct conv_format *f, int part, const float *plain, float *data,
                      enum isa isa)
{
    if (f->winograd)
        fill_winograd(f, plain, part, data + (size_t)part * block_floats(f),
                      winograd_kernels_of(isa));
    else if (f->rows)
        fill_rows(f, part, plain, data + (size_t)part * block_floats(f));
    else
        fill_direct(f, part, plain, data);
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
