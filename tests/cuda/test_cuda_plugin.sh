#!/bin/bash
# exec.backend=cuda where it cannot be had: no plug-in, one of another version, one that is not a plug-in, no GPU.
# auto then takes the cpu and run.json says why. Then training on the simulated device.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
tiny_experiment 4 2 8 "{kind: one_cycle, epochs: 1, lr: 1e-3}"
tiny="$tiny model.arch=resnet18" # plans and memory are those of a large network
same_weights() {
    cmp "$results/$1/checkpoints/last.safetensors" "$results/$2/checkpoints/last.safetensors" ||
        fail "other weights: $1, $2"
}
note() { sed -n 's/.*"backend_note": *"\([^"]*\)".*/\1/p' "$results/$1/run.json"; }

export PRESIZE_PLUGIN=$scratch/none.so
refused 1 "no CUDA plug-in" $tiny -B cuda
refused 1 "make cuda" $tiny -B cuda
[ ! -e "$results" ] || fail "a run was begun"
train_run auto $tiny
grep -q '"backend": *"cpu"' "$results/auto/run.json" || fail "auto without a plug-in is not cpu"
note auto | grep -q 'no CUDA plug-in' || fail "run.json does not say why: $(note auto)"
train_run cpu $tiny -B cpu
[ -z "$(note cpu)" ] || fail "a note though cpu was asked for: $(note cpu)"
same_weights auto cpu

# Plug-ins that do not fit: no library, without the symbol, of another version.
export PRESIZE_PLUGIN=$scratch/wrong.so
echo "no library" > "$PRESIZE_PLUGIN"
refused 1 "cannot be loaded" $tiny -B cuda
lib() { # TEXT
    echo "$1" > "$scratch/wrong.c"
    gcc -shared -fPIC -o "$PRESIZE_PLUGIN" "$scratch/wrong.c" || fail "gcc"
}
lib 'int presize_other;'
refused 1 "is no plug-in of presize" $tiny -B cuda
lib 'const struct { unsigned long abi; const char *version; void *b; } presize_plugin = {1, "0.0.1", 0};'
refused 1 "was built from another version" $tiny -B cuda

# The true plug-in, on a machine without a GPU; the tools themselves need none of CUDA's libraries.
unset PRESIZE_PLUGIN
if [ -e "$BIN/libpresize_cuda.so" ] && [ ! -e /dev/nvidiactl ]; then
    refused 1 "no usable GPU" $tiny -B cuda
    readelf -d "$BIN/libpresize_cuda.so" | grep -q 'RUNPATH.*\$ORIGIN' || fail "no RUNPATH"
    ! readelf -d "$BIN/libpresize_cuda.so" | grep -q 'NEEDED.*lib\(cuda\|cudart\|nccl\)\.so' ||
        fail "the plug-in needs what a machine may lack"
fi
! ldd "$BIN/train" | grep -qE 'libcud|libcublas' || fail "train needs CUDA's libraries"

# Over the simulated device (tests/cuda/sim.h), the same bits in whatever order its streams run; the loss as
# on the cpu within 1 %, as Adam makes a first step of the same size out of the smallest gradient.
if [ ! -e "$BIN/libpresize_cuda_sim.so" ]; then
    echo "left out: training on the simulated device, for want of nvcc, cuDNN or a C++ compiler"
    exit 0
fi
export PRESIZE_PLUGIN=$BIN/libpresize_cuda_sim.so
train_run sim $tiny -B cuda
SIM_SEED=3 train_run again $tiny # auto takes it, too
[ -z "$(note again)" ] || fail "a note though there is a device: $(note again)"
grep -q "stay in the GPU's memory" "$scratch/err" || fail "not said: the pictures stay on the device"
SIM_MEMORY=700000000 train_run travel $tiny -B cuda
! grep -q "stay in the GPU's memory" "$scratch/err" || fail "pictures resident on the GPU where there is no room"
same_weights sim travel
same_weights sim again
grep -q '"forward fp32 n=8 4x32x32 to 64 by 7x7 /2 p3: engine [0-9]*, ' "$results/sim/run.json" ||
    fail "run.json does not name the stem's plan"
loss() { sed -n 's/.*"train_loss": *\([0-9.]*\).*/\1/p' "$results/$1/metrics.jsonl" | tail -n 1; }
awk -v a="$(loss sim)" -v b="$(loss cpu)" \
    'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-4 * b * b) }' ||
    fail "loss $(loss sim) on the simulated device, $(loss cpu) on the cpu"
SIM_MEMORY=350000000 refused 1 "302 MiB are available" $tiny -B cuda
refused 1 "exec.device=3" $tiny -B cuda exec.device=3
steps() { sed -n 's/.*"steps": *"\([^"]*\)".*/\1/p' "$results/$1/run.json"; }
[ "$(steps sim)" = "CUDA graphs" ] || fail "not said that steps were graphs: $(steps sim)"
