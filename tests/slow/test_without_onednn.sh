#!/bin/bash
# A build without oneDNN: it trains to the same weights, and exec.conv=onednn is refused with the way out.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
tiny_experiment 4 2 8 "{kind: one_cycle, epochs: 1, lr: 1e-3}"
tree=$BUILD/without-onednn
generator="Unix Makefiles"
command -v ninja >/dev/null && generator=Ninja
[ -f "$tree/CMakeCache.txt" ] ||
    cmake -S "$SOURCE" -B "$tree" -G "$generator" -DPRESIZE_ONEDNN=OFF > "$scratch/out" 2>&1 || fail "cmake: $(tail "$scratch/out")"
cmake --build "$tree" --parallel "$(nproc)" --target tools > "$scratch/out" 2>&1 || fail "build: $(tail "$scratch/out")"
! ldd "$tree/bin/train" | grep -q dnnl || fail "linked with oneDNN all the same"

train_run with $tiny -B cpu
BIN=$tree/bin
train_run without $tiny -B cpu
same with without
refused 1 "exec.conv=own" $tiny -B cpu exec.conv=onednn
