/* conv_rows.c - convolutions of pictures: three or fewer channels.
 *
 * A picture becomes rows of pixels with their channels side by side and padding around, so that a tap row of the
 * filter is one run of S x C numbers and neighbouring output pixels begin stride x C numbers apart.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/conv/conv_plan.h"
#include "base/size.h"

enum { CHUNK = 8 }; /* output rows at a time: what they read stays in cache for all filters */

/* Numbers from row to row: whole pairs. */
static size_t pitch(const struct conv *c)
{
    return align_up((size_t)((c->s.w + 2 * c->s.pad) * c->s.c), 2);
}

void rows_plan(struct conv *c)
{
    const struct conv_shape *s = &c->s;

    c->room[0] = (size_t)(s->h + 2 * s->pad) * pitch(c);
    c->room[0] = align_up(c->room[0], BLOCK); /* what follows is aligned, too */
    if (s->pass == CONV_BACKWARD_WEIGHT && s->dtype == DTYPE_BF16)
        c->room[1] = (size_t)(c->out_blocks * s->q) * BLOCK;
}

bool rows_in_pairs(const struct conv_shape *s)
{
    return s->pass == CONV_FORWARD ? s->stride * s->c % 2 == 0 : s->q % 2 == 0;
}

/* Picture N to ROWS: numbers, or pairs of neighbours. */
static void interleave_picture(const struct conv *c, const void *x, int n, bool pairs, float *rows)
{
    const struct conv_shape *s = &c->s;
    const size_t bytes = (size_t)(s->c * s->h) * (size_t)s->w * dtype_size(s->dtype);

    c->pack->interleave(rows, pitch(c), pairs, (const char *)x + (size_t)n * bytes, s->dtype, s->c,
                        s->h, s->w, s->pad);
}

void rows_run(const struct conv *c, const void *x, const float *weight, const struct put_to *to,
              void *scratch)
{
    const struct conv_shape *s = &c->s;
    const int in_word = c->dot ? 2 : 1, taps = s->s * s->c; /* numbers; of a tap row */
    const size_t words = pitch(c) / (size_t)in_word,        /* of a row */
        terms = (size_t)((taps + in_word - 1) / in_word), block = BLOCK * (size_t)(s->p * s->q);
    float *rows = scratch;

    for (int n = 0; n < s->n; n++) {
        interleave_picture(c, x, n, c->dot, rows);
        for (int p = 0; p < s->p; p += CHUNK)
            c->multiply(&(struct gemm){
                .a = rows + (size_t)(p * s->stride) * words,
                .a_segment = words,
                .a_row = (size_t)(s->stride * s->c / in_word),
                .channels = 1,
                .segments = s->r,
                .terms = (int)terms,
                .odd_terms = c->dot && taps % 2,
                .rows = s->q,
                .w = weight,
                .w_block = (size_t)s->r * terms * BLOCK,
                .blocks = c->out_blocks,
                .to = to,
                .dtype = s->dtype,
                .out_first = (size_t)(n * c->out_blocks) * block + (size_t)(p * s->q) * BLOCK,
                .out_block = block,
                .pictures = smaller(CHUNK, s->p - p),
                .a_picture = (size_t)s->stride * words,
                .out_picture = (size_t)s->q * BLOCK,
            });
    }
}

/* One chain per output row. */
void rows_gradient(const struct conv *c, const void *x, const void *dy, float *leaf, void *scratch)
{
    static const signed char here[1][2] = {{0, 0}};
    const struct conv_shape *s = &c->s;
    const size_t block = BLOCK * (size_t)(s->p * s->q), step = (size_t)(s->stride * s->c),
                 picture_size = (size_t)c->out_blocks * block;
    const int in_word = c->dot ? 2 : 1; /* pixels */
    const struct gather of_dy = {.dtype = s->dtype,
                                 .picture = picture_size,
                                 .block = block,
                                 .h = s->p,
                                 .w = s->q,
                                 .rows = s->p,
                                 .columns = s->q,
                                 .step = 1,
                                 .taps = 1,
                                 .at = here,
                                 .order = c->dot ? GATHER_PAIR_PIXELS_FIRST_HIGH : GATHER_PLAIN};
    float *rows = scratch_part(c, scratch, 0), *dy_row = scratch_part(c, scratch, 1);

    for (int n = 0; n < s->n; n++) {
        interleave_picture(c, x, n, false, rows);
        if (c->dot)
            c->pack->pair_up(rows, (size_t)(s->h + 2 * s->pad) * pitch(c), step);
        for (int p = 0; p < s->p; p++) {
            struct gemm_grad g = {
                .x = rows + (size_t)(p * s->stride) * pitch(c),
                .x_block = pitch(c),
                .x_row = step * (size_t)in_word,
                .d = (const float *)dy + (size_t)n * picture_size + (size_t)(p * s->q) * BLOCK,
                .d_block = block,
                .pixels = s->q / in_word,
                .x_blocks = s->r,
                .d_blocks = c->out_blocks,
                .columns = s->s * s->c,
                .out = leaf,
                .out_d = (size_t)(s->r * s->s * s->c) * BLOCK,
                .out_x = (size_t)(s->s * s->c) * BLOCK,
                .add = n > 0 || p > 0,
            };

            if (s->dtype == DTYPE_BF16) {
                g.d_block = (size_t)g.pixels * BLOCK;
                c->pack->gather(&of_dy, dy_row, g.d_block, dy, c->out_blocks, (n * s->p + p) * s->q,
                                s->q);
                g.d = dy_row;
            }
            c->multiply_grad(&g);
        }
    }
}
