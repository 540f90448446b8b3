/* cuda_ops.c - the ops that are one kernel each: batch norm, pools, the head, the augmented input.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/cuda.h"

static int fail_if(int code, const struct be_program *p, int tensor, struct err *err)
{
    return code == 0 ? 0 : cuda_check(code, op_tensor(p, tensor)->name, err);
}

/* ---- batch norm ------------------------------------------------------------------------------ */

static int run_norm(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const int *in = o->op->in, *out = o->op->out;
    const enum dtype type = type_of(p, in[0]);
    const size_t rows = rows_of(p, in[0]);
    const int c = op_tensor(p, in[0])->dims[1];
    void *const stream = p->be->compute, *const workspace = p->memory + p->workspace;
    float *t[OP_MAX_IN] = {0};
    int code;

    for (int i = 0; i < OP_MAX_IN; i++)
        if (o->param[i])
            t[i] = param(p, o->param[i]);
    switch (o->op->kind) {
    case OP_BN_STATS:
        code = cuda_bn_stats(stream, act(p, out[0]), act(p, in[0]), type, rows, c, t[1], t[2],
                             workspace);
        break;
    case OP_BN_APPLY:
        code = cuda_bn_apply(stream, act(p, out[0]), act(p, out[1]), act(p, in[0]), type, rows, c,
                             act(p, in[1]), t[2], t[3], act(p, in[4]), o->op->relu);
        break;
    case OP_BN_INFER:
        code = cuda_bn_infer(stream, act(p, out[0]), act(p, in[0]), type, rows, c, t[1], t[2], t[3],
                             t[4], act(p, in[5]), o->op->relu);
        break;
    case OP_BN_BWD_STATS:
        code =
            cuda_bn_bwd_stats(stream, act(p, out[0]), act(p, out[1]), act(p, out[2]),
                              act(p, out[3]), act(p, in[0]), act(p, in[1]), act(p, in[2]),
                              act(p, in[3]), type, rows, c, act(p, in[4]), NULL, NULL, workspace);
        break;
    case OP_BN_RELU_BWD_STATS:
        code = cuda_bn_bwd_stats(stream, NULL, act(p, out[0]), act(p, out[1]), act(p, out[2]),
                                 act(p, in[0]), NULL, NULL, act(p, in[1]), type, rows, c,
                                 act(p, in[2]), t[3], t[4], workspace);
        break;
    default: /* OP_BN_BWD_APPLY, OP_BN_RELU_BWD_APPLY */
        code = cuda_bn_bwd_apply(stream, act(p, out[0]), act(p, in[0]), act(p, in[1]), type, rows,
                                 rows * (size_t)ranks_count(p->be), c, act(p, in[2]), act(p, in[3]),
                                 t[4], t[5]);
    }
    return fail_if(code, p, o->op->kind == OP_BN_BWD_STATS ? out[1] : out[0], err);
}

int cuda_norm_op(struct be_program *p, struct cuda_op *o, struct err *err)
{
    const int c = op_tensor(p, o->op->in[0])->dims[1];
    const size_t bytes = cuda_bn_workspace(rows_of(p, o->op->in[0]), c);

    (void)err;
    if (p->workspace_bytes < bytes)
        p->workspace_bytes = bytes;
    o->run = ranks_count(p->be) > 1 && op_sums_batch(o->op->kind) ? ranks_norm : run_norm;
    return 0;
}

/* ---- pools ----------------------------------------------------------------------------------- */

static int run_pool(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const int *in = o->op->in, *out = o->op->out;
    const bool backward = o->op->kind == OP_MAX_POOL_BWD || o->op->kind == OP_CONCAT_POOL_BWD;
    const int large = backward ? out[0] : in[0];
    const int *d = op_tensor(p, large)->dims;
    const enum dtype type = type_of(p, large);
    void *const stream = p->be->compute;
    int code;

    switch (o->op->kind) {
    case OP_MAX_POOL:
        code = cuda_max_pool(stream, act(p, out[0]), act(p, out[1]), act(p, in[0]), type, d[0],
                             d[2], d[3], d[1]);
        break;
    case OP_MAX_POOL_BWD:
        code = cuda_max_pool_bwd(stream, act(p, out[0]), act(p, in[0]), act(p, in[1]),
                                 act(p, in[2]), type, d[0], d[2], d[3], d[1]);
        break;
    case OP_CONCAT_POOL:
        code = cuda_concat_pool(stream, act(p, out[0]), act(p, out[1]), act(p, in[0]), type, d[0],
                                d[2] * d[3], d[1]);
        break;
    default:
        code = cuda_concat_pool_bwd(stream, act(p, out[0]), act(p, in[0]), act(p, in[1]), type,
                                    d[0], d[2] * d[3], d[1]);
    }
    return fail_if(code, p, out[0], err);
}

int cuda_pool_op(struct be_program *p, struct cuda_op *o, struct err *err)
{
    (void)p;
    (void)err;
    o->run = run_pool;
    return 0;
}

/* ---- head and input -------------------------------------------------------------------------- */

static int run_head(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const int *in = o->op->in, *out = o->op->out;
    const int *d = op_tensor(p, out[0])->dims;
    const enum dtype type = type_of(p, out[0]);
    const size_t n = tensor_elements(op_tensor(p, out[0]));
    void *const stream = p->be->compute;
    int code;

    switch (o->op->kind) {
    case OP_AUGMENT:
        code = cuda_augment(stream, act(p, out[0]), type, d[0], d[2],
                            device_channels(op_tensor(p, out[0])), p->pixels, p->pictures,
                            p->device_step);
        break;
    case OP_RELU:
        code = cuda_relu(stream, act(p, out[0]), act(p, in[0]), type, n);
        break;
    case OP_RELU_BWD:
        code = cuda_relu_bwd(stream, act(p, out[0]), act(p, in[0]), act(p, in[1]), type, n);
        break;
    case OP_SOFTMAX_LOSS:
        code = cuda_softmax_loss(stream, act(p, out[0]), act(p, out[1]), act(p, out[2]),
                                 act(p, in[0]), d[0], d[1], o->op->smoothing, o->op->focal,
                                 p->pictures, p->device_step, p->scaled ? p->be->scale : NULL);
        break;
    case OP_DROPOUT:
    case OP_DROPOUT_BWD:
        code = cuda_dropout(stream, act(p, out[0]), act(p, in[0]), type, d[0], d[2] * d[3], d[1],
                            o->op->rate, o->op->layer, p->pictures, p->device_step);
        break;
    default:
        code = cudaErrorNotSupported;
    }
    return fail_if(code, p, out[0], err);
}

int cuda_head_op(struct be_program *p, struct cuda_op *o, struct err *err)
{
    if (o->op->kind == OP_SOFTMAX_LOSS && type_of(p, o->op->in[0]) != DTYPE_F32)
        return err_set(err, ERR_UNSUPPORTED, "the loss is fp32 on this backend");
    o->run = run_head;
    return 0;
}
