/* linear.c - linear layers: the rows of a batch are the rows of one product.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cpu/conv/conv_plan.h"

struct conv_format linear_format(int k, int c, bool backward)
{
    return (struct conv_format){.k = k,
                                .c = c,
                                .r = 1,
                                .s = 1,
                                .stride = 1,
                                .groups = 1,
                                .backward = backward,
                                .rows = true};
}

static int outputs(const struct conv_format *f)
{
    return f->backward ? f->c : f->k;
}

size_t linear_scratch(const struct conv_format *f, int n)
{
    return (size_t)blocks_of(outputs(f)) * BLOCK * (size_t)n * sizeof(float);
}

void linear_run(const struct conv_format *f, enum isa isa, const float *in, const float *weight,
                float *out, int n, void *scratch)
{
    const int inputs = f->backward ? f->k : f->c, all = outputs(f);
    float *sums = scratch; /* (blocks, n, 16) */

    gemm_kernels_of(isa)->gemm(&(struct gemm){
        .a = in,
        .a_row = (size_t)inputs,
        .channels = 1,
        .segments = 1,
        .terms = inputs,
        .rows = n,
        .w = weight,
        .w_block = (size_t)inputs * BLOCK,
        .blocks = blocks_of(all),
        .out = sums,
        .out_block = (size_t)n * BLOCK,
        .pictures = 1,
    });
    for (int i = 0; i < n; i++)
        for (int k = 0; k < all; k += BLOCK)
            memcpy(out + (size_t)i * (size_t)all + (size_t)k,
                   sums + ((size_t)(k / BLOCK) * (size_t)n + (size_t)i) * BLOCK,
                   (size_t)smaller(BLOCK, all - k) * sizeof *out);
}

void linear_gradient(enum isa isa, float *gradient, const float *dy, const float *x, int n, int k,
                     int c)
{
    gemm_kernels_of(isa)->outer(gradient, dy, x, n, k, c);
}
