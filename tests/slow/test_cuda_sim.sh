#!/bin/bash
# The tables of tests/ops and a training run of tests/tool, on the CUDA backend over a simulated device
# (tests/cuda/sim.h), in several orders of its streams. No statement about a GPU.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
[ -e "$BIN/libpresize_cuda_sim.so" ] || skip "no nvcc or cuDNN (for their headers) or no C++ compiler here"
export PRESIZE_PLUGIN=$BIN/libpresize_cuda_sim.so

for seed in 1 2; do
    for part in augment conv head norm optimiser; do
        SIM_SEED=$seed "$BIN/test_ops_$part" >"$scratch/out" 2>"$scratch/err" ||
            fail "test_ops_$part, seed $seed: $(grep -m 3 -E 'ERROR|simulated' "$scratch/out" "$scratch/err")"
        grep -qE 'on cuda|passed' "$scratch/out" || continue
    done
done
"$BIN/test_ops_network" >"$scratch/out" 2>"$scratch/err" || fail "test_ops_network"
grep -q 'train fp32 on cuda: 68 tensors' "$scratch/out" || fail "the network did not run on cuda"
grep 'on cuda' "$scratch/out"
