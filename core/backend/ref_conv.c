/* ref_conv.c - convolutions and linear layers of the ref backend.
 *
 * The ranges of p and q for which a filter tap meets the picture are found first, so that the inner
 * loops need no test. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/ref.h"

struct range {
    int from, to; /* [from, to) */
};

/* Output places o in [0, n_out) whose tap T lies inside: 0 <= o stride + t - pad < n_in. */
static struct range inside(int n_out, int n_in, int t, int stride, int pad)
{
    struct range r = {0, n_out};

    while (r.from < r.to && r.from * stride + t - pad < 0)
        r.from++;
    while (r.to > r.from && (r.to - 1) * stride + t - pad >= n_in)
        r.to--;
    return r;
}

enum { MAX_TAPS = 255 }; /* op_list_check() refuses longer filters */

struct geometry { /* x (n,c,h,w), weight (k,c/groups,r,s), y (n,k,p,q) */
    int n, c, h, w, k, r, s, p, q, stride, pad, groups;
    struct range rows[MAX_TAPS], cols[MAX_TAPS]; /* of p and q, by r and s; set by convolve() */
};

static struct geometry geometry_of(const struct ref_call *call, const int *x, const int *weight,
                                   const int *y)
{
    return (struct geometry){.n = x[0],
                             .c = x[1],
                             .h = x[2],
                             .w = x[3],
                             .k = weight[0],
                             .r = weight[2],
                             .s = weight[3],
                             .p = y[2],
                             .q = y[3],
                             .stride = call->op->stride,
                             .pad = call->op->pad,
                             .groups = x[1] / weight[1]};
}

enum pass { FORWARD, DATA, WEIGHT };

/* One (picture, k, c): planes X and Y and the filter W; what is accumulated depends on PASS. */
static void planes(const struct geometry *g, enum pass pass, double *x, double *w, double *y)
{
    for (int r = 0; r < g->r; r++) {
        struct range rows = g->rows[r];

        for (int s = 0; s < g->s; s++) {
            struct range cols = g->cols[s];
            double weight = w[r * g->s + s], sum = 0.0;

            for (int p = rows.from; p < rows.to; p++) {
                double *xr = x + (ptrdiff_t)(p * g->stride + r - g->pad) * g->w + s - g->pad;
                double *yr = y + (ptrdiff_t)p * g->q;
                int stride = g->stride;

                if (pass == FORWARD)
                    for (int q = cols.from; q < cols.to; q++)
                        yr[q] += weight * xr[q * stride];
                else if (pass == DATA)
                    for (int q = cols.from; q < cols.to; q++)
                        xr[q * stride] += weight * yr[q];
                else
                    for (int q = cols.from; q < cols.to; q++)
                        sum += yr[q] * xr[q * stride];
            }
            if (pass == WEIGHT)
                w[r * g->s + s] += sum;
        }
    }
}

static void convolve(struct geometry *g, enum pass pass, double *x, double *w, double *y)
{
    size_t x_plane = (size_t)g->h * (size_t)g->w, y_plane = (size_t)g->p * (size_t)g->q;
    size_t filter = (size_t)g->r * (size_t)g->s;
    const int each = g->c / g->groups; /* channels of a filter */

    for (int r = 0; r < g->r; r++)
        g->rows[r] = inside(g->p, g->h, r, g->stride, g->pad);
    for (int t = 0; t < g->s; t++)
        g->cols[t] = inside(g->q, g->w, t, g->stride, g->pad);
    for (int n = 0; n < g->n; n++)
        for (int k = 0; k < g->k; k++)
            for (int c = 0; c < each; c++) {
                const int channel = k / (g->k / g->groups) * each + c;

                planes(g, pass, x + (size_t)(n * g->c + channel) * x_plane,
                       w + (size_t)(k * each + c) * filter, y + (size_t)(n * g->k + k) * y_plane);
            }
}

static void clear(const struct ref_tensor *t)
{
    memset(t->v, 0, t->n * sizeof *t->v);
}

static void round_all(const struct ref_tensor *t)
{
    for (size_t i = 0; i < t->n; i++)
        ref_store(t, i, t->v[i]);
}

void ref_conv(const struct ref_call *c)
{
    struct geometry g = geometry_of(c, c->in[0].d, c->in[1].d, c->out[0].d);

    clear(&c->out[0]);
    convolve(&g, FORWARD, c->in[0].v, c->in[1].v, c->out[0].v);
    round_all(&c->out[0]);
}

void ref_conv_bwd_data(const struct ref_call *c)
{
    struct geometry g = geometry_of(c, c->out[0].d, c->in[1].d, c->in[0].d);

    clear(&c->out[0]);
    convolve(&g, DATA, c->out[0].v, c->in[1].v, c->in[0].v);
    round_all(&c->out[0]);
}

void ref_conv_bwd_weight(const struct ref_call *c)
{
    struct geometry g = geometry_of(c, c->in[0].d, c->out[0].d, c->in[1].d);

    clear(&c->out[0]);
    convolve(&g, WEIGHT, c->in[0].v, c->out[0].v, c->in[1].v);
    round_all(&c->out[0]);
}

/* y (n, k) = x (n, c) weight (k, c)^T is the convolution of 1x1 pictures. */
static struct geometry linear_of(int n, int c, int k)
{
    return (struct geometry){.n = n,
                             .c = c,
                             .h = 1,
                             .w = 1,
                             .k = k,
                             .r = 1,
                             .s = 1,
                             .p = 1,
                             .q = 1,
                             .stride = 1,
                             .groups = 1};
}

void ref_linear(const struct ref_call *c)
{
    struct geometry g = linear_of(c->in[0].d[0], c->in[0].d[1], c->out[0].d[1]);

    clear(&c->out[0]);
    convolve(&g, FORWARD, c->in[0].v, c->in[1].v, c->out[0].v);
    round_all(&c->out[0]);
}

void ref_linear_bwd_data(const struct ref_call *c)
{
    struct geometry g = linear_of(c->in[0].d[0], c->out[0].d[1], c->in[0].d[1]);

    clear(&c->out[0]);
    convolve(&g, DATA, c->out[0].v, c->in[1].v, c->in[0].v);
    round_all(&c->out[0]);
}

void ref_linear_bwd_weight(const struct ref_call *c)
{
    struct geometry g = linear_of(c->in[0].d[0], c->in[0].d[1], c->in[1].d[1]);

    clear(&c->out[0]);
    convolve(&g, WEIGHT, c->in[0].v, c->out[0].v, c->in[1].v);
    round_all(&c->out[0]);
}
