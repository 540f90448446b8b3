#!/bin/bash
# test_train_groups.sh - a network with grouped convolutions from fetched weights to an export: the same bits at any
# thread count, scored, checked, exported. Parity with PyTorch: tests/unit/test_reference.c.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
tiny_experiment 2 1 16 "{kind: one_cycle, epochs: 1, lr: 1e-3}" "exec: {microbatch: 4}"
tiny="$tiny model.arch=resnext50_32x4d"

train_run two $tiny exec.threads=2
grep -q '"ran": "resnext50_32x4d, 32 px, 16 pictures of demo"' "$results/two/run.json" || fail "what ran"
train_run one $tiny exec.threads=1
[ "$(weights_hash one)" = "$(weights_hash two)" ] || fail "other bits at another thread count"
train_run plain $tiny model.arch=resnet50 # control: groups matter
[ "$(weights_hash plain)" != "$(weights_hash two)" ] || fail "resnet50 gave the bits of resnext50_32x4d"

"$BIN/train" --data "$data" --results "$results" $tiny --summary >"$scratch/out" 2>"$scratch/err" || fail "--summary"
grep -q 'resnext50_32x4d, weights none, 2[0-9]* parameters' "$scratch/out" || fail "--summary: $(cat "$scratch/out")"

evaluate="$BIN/eval --data $data --results $results"
$evaluate one --verify >"$scratch/out" 2>"$scratch/err" || fail "--verify: $(cat "$scratch/err")"
$evaluate one --export "$scratch/export" >"$scratch/out" 2>"$scratch/err" || fail "--export: $(cat "$scratch/err")"
grep -q '^# resnext50_32x4d for 8 classes' "$scratch/export/README.md" || fail "the model card names another network"

# torchvision's names and shapes, through fetch; not those of another network with as many blocks
command -v python3 >/dev/null || { echo "left out: no python3 to make a .pth file"; exit 0; }
python3 "$SOURCE/tests/oracle/resnet_pth.py" write "$scratch/groups.pth" resnext50_32x4d || fail "resnet_pth.py"
"$BIN/fetch" weights/resnext50_32x4d --from "$scratch/groups.pth" --data "$data" >"$scratch/out" 2>"$scratch/err" ||
    fail "fetch: $(cat "$scratch/err")"
train_run fetched $tiny model.weights=imagenet
refused 1 "it looks like resnext50_32x4d, not like resnet50" $tiny model.arch=resnet50 \
    "model.weights=$data/weights/resnext50_32x4d.safetensors"
if "$BIN/train" --version --verbose | grep -q "^  onednn "; then
    refused 1 "groups are done by exec.conv=own alone" $tiny exec.conv=onednn
else
    refused 1 "this build has no oneDNN; a new run can do with exec.conv=own" $tiny exec.conv=onednn
fi
