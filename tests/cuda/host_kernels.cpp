/* host_kernels.cpp - the CUDA backend's kernels as host C++, one file for all (emulate.h).
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/augment.cu"
#include "backend/cuda/filters.cu"
#include "backend/cuda/head.cu"
#include "backend/cuda/norm.cu"
#include "backend/cuda/optimiser.cu"
#include "backend/cuda/pool.cu"
