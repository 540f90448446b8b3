/* nccl_api.h - the little of NCCL 2 that is called, by the names and numbers of its interface.
 *
 * The library is opened when several devices compute (cuda_ranks.c), so neither building nor one device
 * needs it. tests/slow/test_cuda_ranks.sh compares these with nccl.h where there is one.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CUDA_NCCL_API_H
#define PRESIZE_BACKEND_CUDA_NCCL_API_H

#include <cuda_runtime_api.h>

enum { NCCL_SUM = 0, NCCL_FLOAT32 = 7, NCCL_FLOAT64 = 8 };

struct nccl_id {
    char bytes[128];
};

struct ncclComm;

struct nccl_api { /* results: 0 is success */
    int (*version)(int *version);
    int (*unique_id)(struct nccl_id *id);
    int (*init)(struct ncclComm **comm, int ranks, struct nccl_id id, int rank);
    int (*destroy)(struct ncclComm *comm);
    int (*all_reduce)(const void *send, void *receive, size_t count, int type, int op,
                      struct ncclComm *comm, cudaStream_t stream);
    int (*all_gather)(const void *send, void *receive, size_t count_each, int type,
                      struct ncclComm *comm, cudaStream_t stream);
    const char *(*error)(int result);
    const char *(*last_error)(struct ncclComm *comm);
};

#endif
