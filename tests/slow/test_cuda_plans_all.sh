#!/bin/bash
# As tests/cuda/test_cuda_plans.sh with batches of 1, 2, 17, 64 and 256; the table is docs/cuda.md's, which
# must say the same. SPDX-License-Identifier: MIT
set -u
if [ ! -x "$BIN/plan_check" ]; then
    echo "skipped: no nvcc or cuDNN here"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$BIN/plan_check" "$SOURCE"/tests/data/cuda/*.json >"$scratch/table" || exit 1
sed -n '/^| device | type/,/^$/p' "$SOURCE/docs/cuda.md" | grep . >"$scratch/written"
diff "$scratch/written" "$scratch/table" || {
    echo "docs/cuda.md has another table (of another cuDNN?): put this one there"
    exit 1
}
