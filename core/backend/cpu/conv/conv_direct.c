/* conv_direct.c - direct convolution: a product of matrices over channel blocks and taps.
 *
 * What a chunk of output pixels reads is gathered tap by tap into rows of 16 channels (zeros beside the picture), so
 * one register tile does for every shape and stride. Rows of pixels with the same taps inside the picture, above and
 * below, are taken together. A 1x1 convolution without a stride reads and writes its tensors in place, unless bf16 must
 * be widened. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/conv/conv_plan.h"

enum {
    GATHERED = 1 << 20,     /* bytes of a chunk: most of a second-level cache */
    MOST_PIXELS = 112,      /* of a chunk: 8 rows of register tiles */
    CHAIN = 256,            /* pixels in one chain of a weight gradient: a part of the arithmetic */
    GROUP_BYTES = 512 << 10 /* of x in a weight gradient */
};

/* ---- phases ---- */

static bool in_phase(const struct conv_format *f, int row, int column, int r, int s)
{
    return !f->backward ||
           ((row + f->pad - r) % f->stride == 0 && (column + f->pad - s) % f->stride == 0);
}

int phases_new(struct phases *p, const struct conv_format *f, int rows, int columns,
               struct err *err)
{
    const int side = f->backward ? f->stride : 1, all = f->r * f->s;
    int used = 0;

    p->n = side * side;
    p->step_in = f->backward ? 1 : f->stride;
    p->step_out = side;
    p->phase = calloc((size_t)p->n, sizeof *p->phase);
    p->at = calloc((size_t)all, sizeof *p->at);
    p->tap = calloc((size_t)all, sizeof *p->tap);
    if (!p->phase || !p->at || !p->tap)
        return err_set(err, ERR_NOMEM, "convolution");
    for (int i = 0; i < p->n; i++) {
        struct phase *h = &p->phase[i];
        const int row = i / side, column = i % side;

        *h = (struct phase){
            row,  column, (rows - row + side - 1) / side, (columns - column + side - 1) / side,
            used, 0};
        for (int t = 0; t < all; t++) {
            const int r = t / f->s, s = t % f->s;

            if (!in_phase(f, row, column, r, s))
                continue;
            p->at[used][0] = (signed char)(f->backward ? (row + f->pad - r) / side : r - f->pad);
            p->at[used][1] = (signed char)(f->backward ? (column + f->pad - s) / side : s - f->pad);
            p->tap[used++] = t;
            h->taps++;
        }
    }
    return 0;
}

void phases_clear(struct phases *p)
{
    free(p->phase);
    free(p->at);
    free(p->tap);
}

/* ---- forward, data gradient ---- */

static struct gather gather_of(const struct conv *c, int h, int w, int rows, int columns, int step)
{
    return (struct gather){
        .dtype = c->s.dtype,
        .picture = (size_t)(c->parts * c->in_blocks) * BLOCK * (size_t)(h * w),
        .block = BLOCK * (size_t)(h * w),
        .h = h,
        .w = w,
        .rows = rows,
        .columns = columns,
        .step = step,
    };
}

static bool reads_in_place(const struct conv *c)
{
    const struct conv_shape *s = &c->s;

    return (s->dtype == DTYPE_F32 || (c->dot && s->pass != CONV_BACKWARD_WEIGHT)) && s->r == 1 &&
           s->s == 1 && s->stride == 1 && s->pad == 0 && s->c >= BLOCK;
}

/* Floats that hold a row of 16 numbers of what is multiplied. */
static size_t row_floats(const struct conv *c)
{
    return c->dot ? BLOCK / 2 : BLOCK;
}

int direct_plan(struct conv *c, struct err *err)
{
    const struct conv_shape *s = &c->s;
    const struct conv_format f = conv_weight_format(c);
    const bool backward = s->pass == CONV_BACKWARD_DATA;
    int most = 1;

    if (phases_new(&c->phases, &f, backward ? s->h : s->p, backward ? s->w : s->q, err) < 0)
        return -1;
    if (s->pass == CONV_BACKWARD_WEIGHT) {
        c->group = GROUP_BYTES / (s->r * s->s * CHAIN * BLOCK * (int)sizeof(float));
        c->group = smaller(c->in_blocks, c->group > 1 ? c->group : 1);
        c->room[0] = (size_t)(c->group * s->r * s->s) * CHAIN * BLOCK;
        c->room[1] = (size_t)c->out_blocks * CHAIN * BLOCK;
        return 0;
    }
    if (reads_in_place(c))
        return 0;
    for (int i = 0; i < c->phases.n; i++)
        if (c->phases.phase[i].taps > most)
            most = c->phases.phase[i].taps;
    c->chunk = GATHERED / (most * c->in_blocks * BLOCK * (int)sizeof(float)) / c->tile_rows;
    c->chunk = smaller(MOST_PIXELS, c->chunk * c->tile_rows);
    if (c->chunk < c->tile_rows)
        c->chunk = c->tile_rows;
    c->room[0] = (size_t)(most * c->in_blocks) * (size_t)c->chunk * BLOCK;
    c->room[1] = (size_t)c->out_blocks * (size_t)c->chunk * BLOCK;
    return 0;
}

struct run { /* of one phase */
    const struct conv *c;
    const struct phase *phase;
    struct gather gather;
    struct put put;
    const struct put_to *to;
    const void *source;
    const float *weight;
    float *gathered, *sums; /* not used where tensors are read and written in place */
};

struct taps { /* of a phase's, one after the other */
    int first, n;
};

/* Output pixels that are multiplied at a time: COUNT of each picture, from its pixel FIRST on. */
struct chunk {
    int picture, pictures, first, count;
};

static void run_chunk(const struct run *r, struct taps taps, const struct chunk *k)
{
    const struct conv *c = r->c;
    const int grid = r->phase->rows * r->phase->columns, pixels = k->pictures * k->count;
    const size_t row = row_floats(c), segment = (size_t)pixels * row, sums = (size_t)pixels * BLOCK;
    struct gather gather = r->gather;

    gather.taps = taps.n;
    gather.at += taps.first;
    for (int i = 0; i < k->pictures; i++)
        c->pack->gather(&gather, r->gathered + (size_t)(i * k->count) * row, segment, r->source,
                        c->in_blocks, (k->picture + i) * grid + k->first, k->count);
    c->multiply(&(struct gemm){
        .a = r->gathered,
        .a_segment = segment,
        .a_row = row,
        .channels = c->in_blocks,
        .segments = taps.n,
        .terms = (int)row,
        .rows = pixels,
        .w = r->weight + (size_t)taps.first * row * BLOCK,
        .w_block = (size_t)(c->in_blocks * r->phase->taps) * row * BLOCK,
        .w_channel = (size_t)r->phase->taps * row * BLOCK,
        .blocks = c->out_blocks,
        .out = r->sums,
        .out_block = sums,
        .pictures = 1,
    });
    for (int i = 0; i < k->pictures; i++)
        c->pack->put(&r->put, r->to, r->sums + (size_t)(i * k->count) * BLOCK, sums, c->out_blocks,
                     (k->picture + i) * grid + k->first, k->count);
}

/* From tensor to tensor, all pictures in one product: weights are read once. */
static void run_in_place(const struct run *r)
{
    const struct conv *c = r->c;
    const size_t row = row_floats(c);

    c->multiply(&(struct gemm){
        .a = r->source,
        .a_segment = r->gather.block / BLOCK * row,
        .a_row = row,
        .channels = c->in_blocks,
        .segments = 1,
        .terms = (int)row,
        .rows = r->phase->rows * r->phase->columns,
        .w = r->weight,
        .w_block = (size_t)c->in_blocks * row * BLOCK,
        .w_channel = row * BLOCK,
        .blocks = c->out_blocks,
        .to = r->to,
        .dtype = c->s.dtype,
        .out_block = r->put.block,
        .pictures = c->s.n,
        .a_picture = r->gather.picture / BLOCK * row,
        .out_picture = r->put.picture,
    });
}

/* Those that read the picture, or padding beside it, in output row Y. Taps above and below it are left out, which is a
 * part of the arithmetic. */
static struct taps taps_of_row(const struct run *r, int y)
{
    struct taps taps = {0, 0};

    for (int t = 0; t < r->phase->taps; t++) {
        const int from = y * r->gather.step + r->gather.at[t][0];

        if (from < 0 || from >= r->gather.h)
            continue;
        if (taps.n++ == 0)
            taps.first = t;
    }
    return taps;
}

/* COUNT pixels from FIRST on of all pictures: as many pictures at a time as fill a chunk, or parts of one. */
static void run_pixels(const struct run *r, struct taps taps, int first, int count)
{
    const int most = r->c->chunk, together = count < most ? most / count : 1;
    struct chunk k = {0};

    for (; k.picture < r->c->s.n; k.picture += k.pictures) {
        k.pictures = smaller(together, r->c->s.n - k.picture);
        for (k.first = first; k.first < first + count; k.first += k.count) {
            k.count = smaller(most, first + count - k.first);
            run_chunk(r, taps, &k);
        }
    }
}

static void run_phase(const struct run *r)
{
    const int rows = r->phase->rows, columns = r->phase->columns;

    for (int y = 0, end; y < rows; y = end) {
        const struct taps taps = taps_of_row(r, y);

        for (end = y + 1; end < rows; end++) {
            const struct taps next = taps_of_row(r, end);

            if (next.first != taps.first || next.n != taps.n)
                break;
        }
        run_pixels(r, taps, y * columns, (end - y) * columns);
    }
}

void direct_clear(const struct conv *c, void *target)
{
    const struct conv_shape *s = &c->s;

    for (int i = 0; i < c->phases.n; i++)
        if (c->phases.phase[i].taps == 0) { /* pixels that no output saw */
            memset(target, 0, (size_t)(s->n * s->c) * (size_t)(s->h * s->w) * dtype_size(s->dtype));
            return;
        }
}

void direct_run(const struct conv *c, const void *source, const float *weight,
                const struct put_to *to, void *scratch)
{
    const struct conv_shape *s = &c->s;
    const bool backward = s->pass == CONV_BACKWARD_DATA, planes = backward && s->c < BLOCK;
    const int h = backward ? s->p : s->h, w = backward ? s->q : s->w;
    const size_t out_pixels = (size_t)(backward ? s->h * s->w : s->p * s->q);
    const size_t channels = planes ? (size_t)s->c : (size_t)(c->parts * c->out_blocks) * BLOCK;

    for (int i = 0; i < c->phases.n; i++) {
        const struct phase *p = &c->phases.phase[i];
        struct run r = {
            .c = c,
            .phase = p,
            .gather = gather_of(c, h, w, p->rows, p->columns, c->phases.step_in),
            .put = {.dtype = s->dtype,
                    .picture = channels * out_pixels,
                    .block = planes ? out_pixels : BLOCK * out_pixels,
                    .w = backward ? s->w : s->q,
                    .planes = planes ? s->c : 0,
                    .rows = p->rows,
                    .columns = p->columns,
                    .step = c->phases.step_out,
                    .row0 = p->row0,
                    .column0 = p->column0},
            .to = to,
            .source = source,
            .weight = weight + (size_t)(p->first_tap * c->in_blocks) * (size_t)c->out_blocks *
                                   BLOCK * row_floats(c),
            .gathered = scratch_part(c, scratch, 0),
            .sums = scratch_part(c, scratch, 1),
        };

        r.gather.taps = p->taps;
        r.gather.at = (const signed char(*)[2])c->phases.at + p->first_tap;
        r.gather.order = c->dot ? GATHER_PAIR_LANES : GATHER_ODD_LANES;
        if (p->taps == 0 || p->columns == 0)
            continue;
        if (reads_in_place(c))
            run_in_place(&r);
        else
            run_phase(&r);
    }
}

/* ---- weight gradient ---- */

struct chain { /* of output pixels, counted over all pictures */
    const struct conv *c;
    const void *x, *dy;
    float *leaf, *scratch_x, *scratch_dy;
    int first, count;
};

/* Where the chain's pixels of a tensor that need not be moved lie; NULL: they must be gathered. */
static const float *in_place(const struct chain *n, const void *tensor, int blocks, int grid)
{
    if (n->c->s.dtype != DTYPE_F32 || n->first / grid != (n->first + n->count - 1) / grid)
        return NULL;
    return (const float *)tensor + (size_t)(n->first / grid * blocks) * BLOCK * (size_t)grid +
           (size_t)(n->first % grid) * BLOCK;
}

static void run_chain(const struct chain *n)
{
    static const signed char here[1][2] = {{0, 0}};
    const struct conv *c = n->c;
    const struct conv_shape *s = &c->s;
    const int taps = s->r * s->s, grid = s->p * s->q, even = n->count + n->count % 2;
    const int rows = c->dot ? even / 2 : s->dtype == DTYPE_BF16 ? even : n->count;
    struct gather gx = gather_of(c, s->h, s->w, s->p, s->q, s->stride),
                  gd = gather_of(c, s->p, s->q, s->p, s->q, 1);
    const float *x = reads_in_place(c) ? in_place(n, n->x, c->parts * c->in_blocks, grid) : NULL,
                *d = in_place(n, n->dy, c->parts * c->out_blocks, grid);
    struct gemm_grad g = {
        .x_row = BLOCK,
        .d = d ? d : n->scratch_dy,
        .d_block = d ? gd.block : (size_t)rows * BLOCK,
        .pixels = rows,
        .d_blocks = c->out_blocks,
        .columns = BLOCK,
        .out_d = (size_t)(c->in_blocks * taps) * TILE,
        .out_x = TILE,
        .add = n->first > 0,
    };

    gx.taps = taps;
    gx.at = (const signed char(*)[2])c->phases.at;
    gd.picture = (size_t)(c->parts * c->out_blocks) * gd.block;
    gd.taps = 1;
    gd.at = here;
    gx.order = gd.order = c->dot ? GATHER_PAIR_PIXELS : GATHER_ODD_PIXELS;
    if (!d)
        c->pack->gather(&gd, n->scratch_dy, g.d_block, n->dy, c->out_blocks, n->first, n->count);
    for (int b = 0; b < c->in_blocks; b += c->group) {
        const int blocks = smaller(c->group, c->in_blocks - b);
        const char *from = (const char *)n->x + (size_t)b * gx.block * dtype_size(s->dtype);

        g.x = x ? x + (size_t)b * gx.block : n->scratch_x;
        g.x_block = x ? gx.block : (size_t)rows * BLOCK;
        g.x_blocks = blocks * taps;
        g.out = n->leaf + (size_t)(b * taps) * TILE;
        if (!x)
            c->pack->gather(&gx, n->scratch_x, g.x_block, from, blocks, n->first, n->count);
        c->multiply_grad(&g);
    }
}

void direct_gradient(const struct conv *c, const void *x, const void *dy, float *leaf,
                     void *scratch)
{
    const int total = c->s.n * c->s.p * c->s.q;
    struct chain n = {c, x, dy, leaf, scratch_part(c, scratch, 0), scratch_part(c, scratch, 1),
                      0, 0};

    for (; n.first < total; n.first += n.count) {
        n.count = smaller(CHAIN, total - n.first);
        run_chain(&n);
    }
}
