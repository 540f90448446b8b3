/* cuda_linear.c - linear layers through cuBLAS, in exact fp32.
 *
 * cuBLAS counts by columns: a matrix (n, c) of ours is its (c, n), transposed.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/cuda.h"

static int multiply(struct be_program *p, cublasOperation_t a_way, cublasOperation_t b_way,
                    int rows, int columns, int inner, const float *a, int a_step, const float *b,
                    int b_step, float *out, int out_step, struct err *err)
{
    const float one = 1, zero = 0;
    const cublasStatus_t status =
        cublasGemmEx(p->be->cublas, a_way, b_way, rows, columns, inner, &one, a, CUDA_R_32F, a_step,
                     b, CUDA_R_32F, b_step, &zero, out, CUDA_R_32F, out_step,
                     CUBLAS_COMPUTE_32F_PEDANTIC, CUBLAS_GEMM_DEFAULT);

    if (status == CUBLAS_STATUS_SUCCESS)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "cuBLAS: %s", cublasGetStatusString(status));
}

/* y (n, k) = x (n, c) weight (k, c)^T */
static int run_linear(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const int *x = op_tensor(p, o->op->in[0])->dims, *w = op_tensor(p, o->op->in[1])->dims;

    return multiply(p, CUBLAS_OP_T, CUBLAS_OP_N, w[0], x[0], w[1], param(p, o->param[1]), w[1],
                    act(p, o->op->in[0]), w[1], act(p, o->op->out[0]), w[0], err);
}

/* dx (n, c) = dy (n, k) weight (k, c) */
static int run_bwd_data(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const int *dy = op_tensor(p, o->op->in[0])->dims, *w = op_tensor(p, o->op->in[1])->dims;

    return multiply(p, CUBLAS_OP_N, CUBLAS_OP_N, w[1], dy[0], w[0], param(p, o->param[1]), w[1],
                    act(p, o->op->in[0]), w[0], act(p, o->op->out[0]), w[1], err);
}

/* dweight (k, c) = dy (n, k)^T x (n, c) */
static int run_bwd_weight(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const int *x = op_tensor(p, o->op->in[0])->dims, *w = op_tensor(p, o->op->out[0])->dims;

    return multiply(p, CUBLAS_OP_N, CUBLAS_OP_T, w[1], w[0], x[0], act(p, o->op->in[0]), w[1],
                    act(p, o->op->in[1]), w[0], act(p, o->op->out[0]), w[1], err);
}

int cuda_linear_op(struct be_program *p, struct cuda_op *o, struct err *err)
{
    if (op_tensor(p, o->op->in[0])->dtype != DTYPE_F32)
        return err_set(err, ERR_UNSUPPORTED, "linear layers are fp32 on this backend");
    o->run = o->op->kind == OP_LINEAR            ? run_linear
             : o->op->kind == OP_LINEAR_BWD_DATA ? run_bwd_data
                                                 : run_bwd_weight;
    return 0;
}
