/* conv_winograd.c - 3x3 convolutions of stride 1 in fp32 by Winograd's F(4x4, 3x3).
 *
 * A chunk of tiles is transformed into 36 planes, multiplied plane by plane with the transformed weights, a few
 * blocks of outputs at a time, and transformed back while these are in cache. SPDX-License-Identifier: MIT */
#include "backend/cpu/conv/conv_plan.h"

enum {
    MOST_TILES = 56, /* of a chunk: 4 rows of register tiles */
    TOGETHER = 2,    /* blocks of outputs */
    CHAIN = 64,      /* tiles in one chain of a weight gradient: a part of the arithmetic */
    GROUP = 4        /* blocks of x in a weight gradient */
};

/* Of a tensor of BLOCKS in all. */
static struct tiling tiling_of(int h, int w, int blocks)
{
    return (struct tiling){.h = h,
                           .w = w,
                           .down = (h + WINOGRAD_TILE - 1) / WINOGRAD_TILE,
                           .across = (w + WINOGRAD_TILE - 1) / WINOGRAD_TILE,
                           .picture = (size_t)(blocks * BLOCK) * (size_t)(h * w),
                           .block = BLOCK * (size_t)(h * w)};
}

static int tiles_of(const struct conv *c)
{
    const struct tiling t = tiling_of(c->s.h, c->s.w, 1);

    return c->s.n * t.down * t.across;
}

void winograd_plan(struct conv *c)
{
    const bool weight = c->s.pass == CONV_BACKWARD_WEIGHT;
    const int tiles = tiles_of(c), most = weight ? CHAIN : MOST_TILES;
    const int chunks = (tiles + most - 1) / most;

    c->chunk = weight ? smaller(CHAIN, tiles) : (tiles + chunks - 1) / chunks;
    c->group = smaller(GROUP, c->in_blocks);
    c->plane[0] =
        planes_apart((size_t)(weight ? c->group : c->in_blocks) * (size_t)c->chunk * BLOCK);
    c->plane[1] = planes_apart(weight ? TOGETHER * TILE : TOGETHER * (size_t)c->chunk * BLOCK);
    c->plane[2] = weight ? planes_apart((size_t)c->out_blocks * (size_t)c->chunk * BLOCK) : 0;
    for (int i = 0; i < 3; i++)
        c->room[i] = WINOGRAD_PLANES * c->plane[i];
}

void winograd_run(const struct conv *c, const float *source, const float *weight,
                  const struct put_to *to, void *scratch)
{
    const struct tiling in = tiling_of(c->s.h, c->s.w, c->parts * c->in_blocks),
                        out = tiling_of(c->s.h, c->s.w, c->parts * c->out_blocks);
    const size_t weight_plane = winograd_weight_plane(c->in_blocks * BLOCK),
                 weight_block = WINOGRAD_PLANES * weight_plane;
    const int tiles = tiles_of(c);

    for (int first = 0, count; first < tiles; first += count) {
        struct planes v = {scratch_part(c, scratch, 0), c->plane[0], 0}, m;

        count = smaller(c->chunk, tiles - first);
        v.block = (size_t)count * BLOCK;
        m = (struct planes){scratch_part(c, scratch, 1), c->plane[1], v.block};
        c->winograd->input(&in, &v, source, c->in_blocks, first, count);
        for (int b = 0; b < c->out_blocks; b += TOGETHER) {
            const int blocks = smaller(TOGETHER, c->out_blocks - b);
            struct put_to here = *to;

            for (int i = 0; i < WINOGRAD_PLANES; i++)
                c->multiply(&(struct gemm){
                    .a = v.data + (size_t)i * v.plane,
                    .a_segment = v.block,
                    .a_row = BLOCK,
                    .channels = c->in_blocks,
                    .segments = 1,
                    .terms = BLOCK,
                    .rows = count,
                    .w = weight + (size_t)i * weight_plane + (size_t)b * weight_block,
                    .w_block = weight_block,
                    .w_channel = TILE,
                    .blocks = blocks,
                    .out = m.data + (size_t)i * m.plane,
                    .out_block = m.block,
                    .pictures = 1,
                });
            here.target = (float *)to->target + (size_t)b * out.block;
            here.residual =
                to->residual ? (const float *)to->residual + (size_t)b * out.block : NULL;
            here.scale = to->scale ? to->scale + b * BLOCK : NULL;
            here.bias = to->scale ? to->bias + b * BLOCK : NULL;
            c->winograd->output(&out, &here, &m, blocks, first, count);
        }
    }
}

/* The products of one block of x with BLOCKS of dy, for every plane, and back to 3x3. */
static void gradient_blocks(const struct conv *c, const struct planes *x, const struct planes *d,
                            float *room, int tiles, float *leaf, int blocks, bool add)
{
    const size_t leaf_d = (size_t)c->in_blocks * 9 * TILE;

    for (int i = 0; i < WINOGRAD_PLANES; i++)
        c->multiply_grad(&(struct gemm_grad){
            .x = x->data + (size_t)i * x->plane,
            .x_row = BLOCK,
            .d = d->data + (size_t)i * d->plane,
            .d_block = d->block,
            .pixels = tiles,
            .x_blocks = 1,
            .d_blocks = blocks,
            .columns = BLOCK,
            .out = room + (size_t)i * c->plane[1],
            .out_d = TILE,
        });
    for (int b = 0; b < blocks; b++)
        c->winograd->weight_gradient(leaf + (size_t)b * leaf_d, TILE, room + (size_t)b * TILE,
                                     c->plane[1], BLOCK, add);
}

void winograd_gradient(const struct conv *c, const float *x, const float *dy, float *leaf,
                       void *scratch)
{
    const struct tiling in = tiling_of(c->s.h, c->s.w, c->parts * c->in_blocks),
                        out = tiling_of(c->s.h, c->s.w, c->parts * c->out_blocks);
    const size_t leaf_d = (size_t)c->in_blocks * 9 * TILE;
    float *room = scratch_part(c, scratch, 1);
    const int tiles = tiles_of(c);

    for (int first = 0, count; first < tiles; first += count) {
        struct planes v, d;

        count = smaller(CHAIN, tiles - first);
        v = (struct planes){scratch_part(c, scratch, 0), c->plane[0], (size_t)count * BLOCK};
        d = (struct planes){scratch_part(c, scratch, 2), c->plane[2], (size_t)count * BLOCK};
        c->winograd->gradient(&out, &d, dy, c->out_blocks, first, count);
        for (int g = 0; g < c->in_blocks; g += c->group) {
            const int group = smaller(c->group, c->in_blocks - g);

            c->winograd->input(&in, &v, x + (size_t)g * in.block, group, first, count);
            for (int k = 0; k < c->out_blocks; k += TOGETHER)
                for (int b = 0; b < group; b++) {
                    const struct planes one = {v.data + (size_t)b * v.block, v.plane, 0},
                                        some = {d.data + (size_t)k * d.block, d.plane, d.block};

                    gradient_blocks(c, &one, &some, room, count,
                                    leaf + (size_t)k * leaf_d + (size_t)((g + b) * 9) * TILE,
                                    smaller(TOGETHER, c->out_blocks - k), first > 0);
                }
        }
    }
}
