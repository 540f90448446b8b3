/* cuda.c - the CUDA backend: opens a device, prepares lists of ops for it.
 *
 * Called from one thread at a time. SPDX-License-Identifier: MIT */
#include "backend/cuda/cuda.h"
#include "base/plugin.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CUDNN_AT_LEAST = 91100, /* device properties as a descriptor came with it */
    CUBLAS_WORKSPACE = 32 << 20,
    CAPABILITY_AT_LEAST = 75,
    CAPABILITY_BF16 = 80,
    INFER_BATCH = 64,
};

int cuda_check(int code, const char *what, struct err *err)
{
    if (code == cudaSuccess)
        return 0;
    err_set(err, code == cudaErrorMemoryAllocation ? ERR_NOMEM : ERR_UNSUPPORTED,
            "%s: CUDA says %s (%s)", what, cudaGetErrorString((cudaError_t)code),
            cudaGetErrorName((cudaError_t)code));
    if (code >= cudaErrorIllegalAddress && code <= cudaErrorLaunchFailure &&
        !getenv("PRESIZE_CUDA_WAIT"))
        err_append(err, "; an op before it went wrong on the device: PRESIZE_CUDA_WAIT=1 names it");
    return -1;
}

/* ---- device ---------------------------------------------------------------------------------- */

static int check_libraries(struct err *err)
{
    const size_t built = CUDART_VERSION / 1000, cudnn = cudnnGetCudartVersion() / 1000;

    if (cudnnGetVersion() < CUDNN_AT_LEAST)
        return err_set(err, ERR_UNSUPPORTED, "cuDNN %zu is too old: 9.11 is the first that does",
                       cudnnGetVersion());
    if (cudnn != built)
        return err_set(err, ERR_UNSUPPORTED,
                       "cuDNN is made for CUDA %zu, this plug-in for CUDA %zu", cudnn, built);
    return 0;
}

static int choose_device(struct be *b, struct err *err)
{
    int n = 0, driver = 0;
    const int code = cudaGetDeviceCount(&n);
    struct cudaDeviceProp properties;

    (void)cudaDriverGetVersion(&driver);
    if (code != cudaSuccess || n < 1)
        return err_set(err, ERR_UNSUPPORTED, "no usable GPU: %s%s",
                       cudaGetErrorString(code ? (cudaError_t)code : cudaErrorNoDevice),
                       driver ? "" : " (no NVIDIA driver is loaded)");
    b->options.device = ranks_device(b, n);
    if (b->options.ranks && b->options.device >= n)
        return err_set(
            err, ERR_INPUT,
            "%d processes, a GPU each: this one would have number %d, and this machine has "
            "%d, numbered from 0",
            b->options.ranks->ranks, (int)b->options.device, n);
    if (b->options.device >= n)
        return err_set(err, ERR_INPUT, "exec.device=%d: this machine has %d GPU%s, numbered from 0",
                       (int)b->options.device, n, PLURAL(n));
    if (cuda_check(cudaSetDevice((int)b->options.device), "the device", err) < 0 ||
        cuda_check(cudaGetDeviceProperties(&properties, (int)b->options.device), "the device",
                   err) < 0)
        return -1;
    b->info.number = (int)b->options.device;
    b->capability = 10 * properties.major + properties.minor;
    if (b->capability < CAPABILITY_AT_LEAST)
        return err_set(err, ERR_UNSUPPORTED, "%s has compute capability %d.%d, 7.5 is the least",
                       properties.name, properties.major, properties.minor);
    snprintf(b->info.device, sizeof b->info.device, "%.*s", (int)sizeof b->info.device - 1,
             properties.name);
    snprintf(b->info.isa, sizeof b->info.isa, "sm_%d", b->capability);
    return 0;
}

static int open_streams(struct be *b, struct err *err)
{
    int least = 0, greatest = 0;

    (void)cudaDeviceGetStreamPriorityRange(&least, &greatest);
    if (cuda_check(cudaStreamCreateWithPriority(&b->compute, cudaStreamNonBlocking, greatest),
                   "a stream", err) < 0 ||
        cuda_check(cudaStreamCreateWithPriority(&b->copy, cudaStreamNonBlocking, least), "a stream",
                   err) < 0 ||
        cuda_check(cudaMalloc((void **)&b->scale, sizeof *b->scale), "the loss scale", err) < 0 ||
        cuda_check(cuda_scale_begin(b->compute, b->scale, CUDA_SCALE_START), "the loss scale",
                   err) < 0)
        return -1;
    return slots_open(b, err);
}

static int open_libraries(struct be *b, struct err *err)
{
    const cudnnStatus_t dnn = cudnnCreate(&b->cudnn);
    const cublasStatus_t blas = cublasCreate(&b->cublas);
    int version = 0;

    if (dnn != CUDNN_STATUS_SUCCESS || cudnnSetStream(b->cudnn, b->compute) != CUDNN_STATUS_SUCCESS)
        return err_set(err, ERR_UNSUPPORTED, "cuDNN: %s", cudnnGetErrorString(dnn));
    if (blas != CUBLAS_STATUS_SUCCESS)
        return err_set(err, ERR_UNSUPPORTED, "cuBLAS: %s", cublasGetStatusString(blas));
    if (cuda_check(cudaMalloc(&b->cublas_workspace, CUBLAS_WORKSPACE), "cuBLAS's workspace", err) <
        0)
        return -1;
    /* the stream first: setting it takes the workspace back to cuBLAS's own */
    if (cublasSetStream(b->cublas, b->compute) != CUBLAS_STATUS_SUCCESS ||
        cublasSetWorkspace(b->cublas, b->cublas_workspace, CUBLAS_WORKSPACE) !=
            CUBLAS_STATUS_SUCCESS ||
        cublasSetMathMode(b->cublas, CUBLAS_PEDANTIC_MATH) != CUBLAS_STATUS_SUCCESS)
        return err_set(err, ERR_UNSUPPORTED, "cuBLAS refuses its stream or workspace");
    (void)cublasGetVersion(b->cublas, &version);
    snprintf(b->info.library, sizeof b->info.library, "CUDA %d.%d, cuDNN %zu, cuBLAS %d",
             CUDART_VERSION / 1000, CUDART_VERSION / 10 % 100, cudnnGetVersion(), version);
    return conv_device_of(&b->conv_device, b->cudnn, err);
}

static void cuda_close(struct be *b)
{
    if (!b)
        return;
    if (b->compute)
        cudaStreamSynchronize(b->compute);
    ranks_close(b);
    kept_free(b);
    plans_free(b);
    conv_device_free(b->conv_device);
    if (b->cublas)
        cublasDestroy(b->cublas);
    if (b->cudnn)
        cudnnDestroy(b->cudnn);
    cudaFree(b->cublas_workspace);
    cudaFree(b->scale);
    slots_close(b);
    persistents_free(&b->persistents, NULL);
    cudaFree(b->store);
    if (b->copy)
        cudaStreamDestroy(b->copy);
    if (b->compute)
        cudaStreamDestroy(b->compute);
    pool_free(b->pool);
    free(b);
}

/* A thread starts with device 0; libraries ask which one is current. */
static void use_device(void *ctx, int worker)
{
    const struct be *b = ctx;

    (void)worker;
    (void)cudaSetDevice((int)b->options.device);
}

static int cuda_open(struct be **out, const struct exec_options *o, struct err *err)
{
    struct be *b = calloc(1, sizeof *b);
    size_t available = 0, all = 0;

    *out = NULL;
    if (!b)
        return err_set(err, ERR_NOMEM, "cuda backend");
    b->options = *o;
    b->persistents = (struct persistents){.be = b, .place = cuda_place};
    b->rules = (struct conv_rules){
        .deterministic = o->deterministic, .tf32 = o->tf32, .workspace = CONV_WORKSPACE};
    b->wait = getenv("PRESIZE_CUDA_WAIT") != NULL;
    graphs_open(b);
    b->info.threads = o->threads > 0 ? (int)o->threads : cpu_count();
    if (check_libraries(err) < 0 || choose_device(b, err) < 0 || open_streams(b, err) < 0 ||
        open_libraries(b, err) < 0 || ranks_open(b, err) < 0 ||
        pool_new(&b->pool, b->info.threads, use_device, b, err) < 0) {
        cuda_close(b);
        return -1;
    }
    (void)cudaMemGetInfo(&available, &all);
    b->info.memory = available;
    b->info.batch = INFER_BATCH;
    b->info.has_fp16 = true;
    b->info.has_bf16 = b->capability >= CAPABILITY_BF16;
    *out = b;
    return 0;
}

static void cuda_info(const struct be *b, struct be_info *info)
{
    *info = b->info;
}

/* ---- prepare --------------------------------------------------------------------------------- */

const struct tensor *op_tensor(const struct be_program *p, int tensor)
{
    return &p->list->tensors[tensor];
}

int device_channels(const struct tensor *t)
{
    return t->dims[1] == 3 && t->dims[2] * t->dims[3] > 1 ? 4 : t->dims[1];
}

size_t device_elements(const struct tensor *t)
{
    return tensor_elements(t) / (size_t)t->dims[1] * (size_t)device_channels(t);
}

void *act(const struct be_program *p, int tensor)
{
    return tensor == 0 ? NULL : p->memory + p->at[tensor];
}

float *param(const struct be_program *p, const struct persistent *t)
{
    return p->be->store + t->at;
}

size_t rows_of(const struct be_program *p, int tensor)
{
    const int *d = op_tensor(p, tensor)->dims;

    return (size_t)d[0] * (size_t)d[2] * (size_t)d[3];
}

enum dtype type_of(const struct be_program *p, int tensor)
{
    return op_tensor(p, tensor)->dtype;
}

static cuda_prepare *const kinds[OP_KINDS] = {
    [OP_AUGMENT] = cuda_head_op,
    [OP_CONV] = cuda_conv_op,
    [OP_BN_STATS] = cuda_norm_op,
    [OP_BN_APPLY] = cuda_norm_op,
    [OP_BN_INFER] = cuda_norm_op,
    [OP_RELU] = cuda_head_op,
    [OP_MAX_POOL] = cuda_pool_op,
    [OP_CONCAT_POOL] = cuda_pool_op,
    [OP_LINEAR] = cuda_linear_op,
    [OP_DROPOUT] = cuda_head_op,
    [OP_SOFTMAX_LOSS] = cuda_head_op,
    [OP_LINEAR_BWD_DATA] = cuda_linear_op,
    [OP_LINEAR_BWD_WEIGHT] = cuda_linear_op,
    [OP_DROPOUT_BWD] = cuda_head_op,
    [OP_RELU_BWD] = cuda_head_op,
    [OP_CONCAT_POOL_BWD] = cuda_pool_op,
    [OP_MAX_POOL_BWD] = cuda_pool_op,
    [OP_BN_BWD_STATS] = cuda_norm_op,
    [OP_BN_BWD_APPLY] = cuda_norm_op,
    [OP_BN_RELU_BWD_STATS] = cuda_norm_op,
    [OP_BN_RELU_BWD_APPLY] = cuda_norm_op,
    [OP_CONV_BWD_DATA] = cuda_conv_op,
    [OP_CONV_BWD_WEIGHT] = cuda_conv_op,
    [OP_GRAD_SUM] = cuda_optimiser_op,
    [OP_GRAD_NORM] = cuda_optimiser_op,
    [OP_ADAM] = cuda_optimiser_op,
    [OP_SGD] = cuda_optimiser_op,
    [OP_EMA] = cuda_optimiser_op,
};

/* Only augmentation and convolutions know of the fourth channel. */
static int check_channels(const struct be_program *p, const struct op *o, struct err *err)
{
    const bool padded = o->kind == OP_AUGMENT || o->kind == OP_CONV ||
                        o->kind == OP_CONV_BWD_DATA || o->kind == OP_CONV_BWD_WEIGHT ||
                        op_is_optimiser(o->kind);

    for (int i = 0; !padded && i < OP_MAX_IN + OP_MAX_OUT; i++) {
        const int t = i < OP_MAX_IN ? o->in[i] : o->out[i - OP_MAX_IN];

        if (op_tensor(p, t)->role == TENSOR_ACT &&
            device_channels(op_tensor(p, t)) != op_tensor(p, t)->dims[1])
            return err_set(err, ERR_UNSUPPORTED, "%s: pictures of 3 channels are for convolutions",
                           op_tensor(p, t)->name);
    }
    return 0;
}

static int prepare_op(struct be_program *p, struct cuda_op *o, struct err *err)
{
    if (persistents_of_op(o->param, &p->be->persistents, p->list, o->op, err) < 0 ||
        check_channels(p, o->op, err) < 0)
        return -1;
    if (!kinds[o->op->kind])
        return err_set(err, ERR_UNSUPPORTED, "the cuda backend has no such op");
    return kinds[o->op->kind](p, o, err);
}

static int prepare_ops(struct be_program *p, struct err *err)
{
    for (int i = 0; i < p->list->n_ops; i++) {
        struct cuda_op *o = &p->ops[i];

        o->op = &p->list->ops[i];
        if (i > 0 && p->ops[i - 1].norm)
            continue; /* done by the convolution before it */
        if (prepare_op(p, o, err) < 0)
            return err_wrap(err, "op %d %s", i, op_kind_name(o->op->kind));
    }
    return 0;
}

static void cuda_release(struct be_program *p)
{
    if (!p)
        return;
    cudaStreamSynchronize(p->be->compute);
    graphs_free(p);
    if (p->be->sent_for == p)
        p->be->sent_for = NULL;
    for (int t = 0; t < SLOTS; t++) {
        for (int i = 0; p->timings[t].marks && i <= p->list->n_ops; i++)
            if (p->timings[t].marks[i])
                cudaEventDestroy(p->timings[t].marks[i]);
        free(p->timings[t].marks);
        free(p->timings[t].ran);
    }
    cudaFree(p->memory);
    free(p->sent);
    free(p->ops);
    free(p->at);
    free(p->chunks);
    free(p->filters);
    free(p->buckets);
    plan_free(p->plan);
    op_list_free(p->list);
    free(p);
}

static int check_precision(const struct be *b, const struct op_list *l, struct err *err)
{
    for (int i = 1; i < l->n_tensors; i++)
        if (l->tensors[i].dtype == DTYPE_BF16 && !b->info.has_bf16)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: %s has no bf16; use train.precision=fp16 or fp32",
                           l->tensors[i].name, b->info.device);
    return 0;
}

/* Gradients are scaled where any of them has but half precision's range. */
static bool needs_scale(const struct op_list *l)
{
    bool half = false, backward = false;

    for (int i = 1; i < l->n_tensors; i++)
        half |= l->tensors[i].dtype == DTYPE_F16;
    for (int i = 0; i < l->n_ops; i++)
        backward |= l->ops[i].kind == OP_SOFTMAX_LOSS && l->ops[i].out[2] > 0;
    return half && backward;
}

static int make_timings(struct be_program *p, struct err *err)
{
    const size_t n = (size_t)p->list->n_ops + 1;

    for (int t = 0; t < SLOTS; t++) {
        struct timing *timing = &p->timings[t];

        timing->marks = calloc(n, sizeof(cudaEvent_t));
        timing->ran = calloc(n, sizeof *timing->ran);
        if (!timing->marks || !timing->ran)
            return err_set(err, ERR_NOMEM, "cuda program");
        for (size_t i = 0; i < n; i++)
            if (cuda_check(cudaEventCreateWithFlags(&timing->marks[i], cudaEventDefault),
                           "an event", err) < 0)
                return -1;
    }
    return 0;
}

static int cuda_prepare_list(struct be_program **out, struct be *b, const struct op_list *list,
                             struct err *err)
{
    const size_t n = (size_t)list->n_ops + 1;
    struct be_program *p;

    *out = NULL;
    if (op_list_check(list, err) < 0 || check_precision(b, list, err) < 0)
        return -1;
    p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_NOMEM, "cuda program");
    p->be = b;
    p->list = op_list_copy(list);
    p->ops = calloc(n, sizeof *p->ops);
    p->sent = calloc((size_t)list->batch * (size_t)ranks_count(b), sizeof *p->sent);
    if (!p->list || !p->ops || !p->sent) {
        err_set(err, ERR_NOMEM, "cuda program");
        goto fail;
    }
    p->list->microbatch = list->batch;
    p->scaled = needs_scale(list);
    if (prepare_ops(p, err) < 0 || plans_make(p, err) < 0 || store_grow(b, err) < 0 ||
        layout_make(p, err) < 0 || make_timings(p, err) < 0)
        goto fail;
    *out = p;
    return 0;
fail:
    cuda_release(p);
    return -1;
}

const struct backend cuda_backend = {
    .name = "cuda",
    .shares = SHARES_PICTURES,
    .open = cuda_open,
    .close = cuda_close,
    .info = cuda_info,
    .plans = cuda_plans,
    .keep = cuda_keep,
    .prepare = cuda_prepare_list,
    .release = cuda_release,
    .memory = cuda_memory,
    .run = cuda_run,
    .profile = cuda_profile,
    .put = cuda_put,
    .get = cuda_get,
    .read = cuda_read,
    .write = cuda_write,
};

extern const struct plugin presize_plugin;
__attribute__((visibility("default"))) const struct plugin presize_plugin = {
    .abi = PLUGIN_ABI, .version = PRESIZE_VERSION, .table = &cuda_backend};
