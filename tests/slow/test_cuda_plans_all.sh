#!/bin/bash
# As tests/cuda/test_cuda_plans.sh with batches of 1, 2, 17, 64 and 256: every convolution has a plan.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
[ -x "$BIN/plan_check" ] || skip "no nvcc or cuDNN here"
"$BIN/plan_check" "$SOURCE"/tests/data/cuda/*.json >"$scratch/table" || exit 1
[ "$(grep -c '| 241 | 241 |' "$scratch/table")" -eq 100 ] || {
    echo "expected 241 shapes on 7 devices in 3 types, of which one device lacks bf16, and 5 batches"
    exit 1
}
sed -n '/^| device | type/,/^$/p' "$SOURCE/docs/cuda.md" | grep . >"$scratch/written"
grep -E '^\| device|^\|---|\| 64 \| 241 ' "$scratch/table" | diff "$scratch/written" - || {
    echo "docs/cuda.md has another table (of another cuDNN?): put this one there"
    exit 1
}
