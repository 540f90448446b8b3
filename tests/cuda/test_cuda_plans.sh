#!/bin/bash
# Every convolution of the ResNets has a deterministic plan in the real cuDNN, for two of the devices that
# tests/data/cuda describes and a batch of 64 (test_cuda_plans_all.sh: for all); what cuDNN would wrongly let pass is
# refused. No GPU is asked. Where cuDNN is not installed there is nothing to ask. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
[ -x "$BIN/plan_check" ] || skip "no nvcc or cuDNN here"
"$BIN/plan_check" --short "$SOURCE"/tests/data/cuda/{a100,t4}.json | tee "$scratch/table" || exit 1
[ "$(grep -c '| 241 | 241 |' "$scratch/table")" -eq 5 ] || {
    echo "expected 241 shapes on 2 devices in 3 types, of which one device lacks bf16"
    exit 1
}
sed -n '/^| device | type/,/^$/p' "$SOURCE/docs/cuda.md" | grep -E '^\| (device|NVIDIA A100|Tesla T4|---)|^\|---' >"$scratch/written"
diff "$scratch/written" "$scratch/table" || {
    echo "docs/cuda.md has another table (of another cuDNN?): put this one there"
    exit 1
}
# Control: a device that is described wrongly is no device.
sed 's/"deviceVer": 800/"deviceVer": 8/' "$SOURCE/tests/data/cuda/a100.json" >"$scratch/wrong.json"
if "$BIN/plan_check" --short "$scratch/wrong.json" >"$scratch/out" 2>&1; then
    echo "plans for a device that there is not: $(tail -n 1 "$scratch/out")"
    exit 1
fi
