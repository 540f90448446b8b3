/* sim_cublas.c - the simulated cuBLAS: one product of matrices, by columns, in double.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include <cublas_v2.h>

#include "sim_private.h"

struct cublasContext {
    cudaStream_t stream;
    void *workspace;
    size_t workspace_bytes;
};

struct product {
    bool a_turned, b_turned;
    int m, n, k, a_step, b_step, c_step;
    const float *a, *b;
    float *c;
};

static void run_product(void *args)
{
    const struct product *p = args;

    for (int j = 0; j < p->n; j++)
        for (int i = 0; i < p->m; i++) {
            double sum = 0;

            for (int l = 0; l < p->k; l++) {
                const size_t a = p->a_turned ? (size_t)i * (size_t)p->a_step + (size_t)l
                                             : (size_t)l * (size_t)p->a_step + (size_t)i;
                const size_t b = p->b_turned ? (size_t)l * (size_t)p->b_step + (size_t)j
                                             : (size_t)j * (size_t)p->b_step + (size_t)l;

                sum += (double)p->a[a] * (double)p->b[b];
            }
            p->c[(size_t)j * (size_t)p->c_step + (size_t)i] = (float)sum;
        }
}

/* Floats of a matrix of ROWS and COLUMNS whose columns are STEP apart. */
static size_t extent(int rows, int columns, int step)
{
    if (step < rows)
        sim_fault("cublasGemmEx: columns of %d values %d apart", rows, step);
    return ((size_t)(columns - 1) * (size_t)step + (size_t)rows) * sizeof(float);
}

cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t a_way, cublasOperation_t b_way,
                            int m, int n, int k, const void *alpha, const void *a, cudaDataType at,
                            int a_step, const void *b, cudaDataType bt, int b_step,
                            const void *beta, void *c, cudaDataType ct, int c_step,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm)
{
    const bool at_way = a_way == CUBLAS_OP_T, bt_way = b_way == CUBLAS_OP_T;
    struct buffer *const buffers[3] = {
        sim_buffer(a, extent(at_way ? k : m, at_way ? m : k, a_step), "cublasGemmEx, a"),
        sim_buffer(b, extent(bt_way ? n : k, bt_way ? k : n, b_step), "cublasGemmEx, b"),
        sim_buffer(c, extent(m, n, c_step), "cublasGemmEx, c")};
    const struct touch touches[3] = {{buffers[0], false}, {buffers[1], false}, {buffers[2], true}};
    struct product p = {at_way, bt_way, m, n, k, a_step, b_step, c_step, NULL, NULL, NULL};

    (void)algorithm;
    if (sim_fails())
        return CUBLAS_STATUS_EXECUTION_FAILED;
    if (at != CUDA_R_32F || bt != CUDA_R_32F || ct != CUDA_R_32F ||
        compute != CUBLAS_COMPUTE_32F_PEDANTIC || *(const float *)alpha != 1 ||
        *(const float *)beta != 0)
        sim_fault("cublasGemmEx: not the exact fp32 product that is simulated");
    if (!h->workspace)
        sim_fault("cublasGemmEx without a workspace of its own: not the same bits every time");
    if (!buffers[0] || !buffers[1] || !buffers[2])
        return CUBLAS_STATUS_INVALID_VALUE;
    p.a = sim_shadow(a);
    p.b = sim_shadow(b);
    p.c = sim_shadow(c);
    sim_enqueue(h->stream, "a product", run_product, &p, sizeof p, touches, 3);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasCreate_v2(cublasHandle_t *h)
{
    if (sim_fails())
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *h = calloc(1, sizeof **h);
    BUG_IF(!*h);
    sim.buffers++;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t h)
{
    sim.buffers--;
    free(h);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t stream)
{
    h->stream = stream;
    h->workspace = NULL;
    return sim_fails() ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t h, void *workspace, size_t bytes)
{
    if (!sim_buffer(workspace, bytes, "cublasSetWorkspace"))
        return CUBLAS_STATUS_INVALID_VALUE;
    h->workspace = workspace;
    h->workspace_bytes = bytes;
    return sim_fails() ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t h, cublasMath_t mode)
{
    (void)h;
    (void)mode;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t h, int *version)
{
    (void)h;
    *version = 0;
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS ? "success" : "an error of the simulation";
}
