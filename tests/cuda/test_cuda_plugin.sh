#!/bin/bash
# exec.backend=cuda where it cannot be had: no plug-in, one of another version, one that is none, no GPU.
# auto then takes the cpu and run.json says why. Then training on the simulated device.
# SPDX-License-Identifier: MIT
. "$SOURCE/tests/tool/train_common.sh"
tiny_experiment 4 2 8 "{kind: one_cycle, epochs: 1, lr: 1e-3}"
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
! grep -q "stay in the GPU's memory" "$scratch/err" || fail "kept pictures where there is no room"
same_weights sim travel
same_weights sim again

# Pictures that stay are read once, however long the training: reads of files are counted, by a library put
# before libc. Where they travel, more epochs mean more reads.
cat > "$scratch/count.c" <<C
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static long n;
ssize_t pread(int fd, void *to, size_t size, off_t at)
{
    __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED);
    return ((ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread"))(fd, to, size, at);
}
ssize_t pread64(int fd, void *to, size_t size, off_t at) { return pread(fd, to, size, at); }
__attribute__((destructor)) static void end(void)
{
    FILE *f = n > 0 && getenv("COUNT") ? fopen(getenv("COUNT"), "w") : NULL;
    if (f) { fprintf(f, "%ld\\n", n); fclose(f); }
}
C
gcc -D_GNU_SOURCE -shared -fPIC -o "$scratch/count.so" "$scratch/count.c" || fail "gcc"
reads() { # NAME KEY...
    COUNT=$scratch/count LD_PRELOAD=$scratch/count.so train_run "$1" $tiny -B cuda "${@:2}"
    cat "$scratch/count"
}
once=$(reads once) twice=$(reads twice train.phases.0.epochs=2)
often=$(reads often exec.resident=off) oftener=$(reads oftener exec.resident=off train.phases.0.epochs=2)
[ "$once" -gt 0 ] && [ "$once" = "$twice" ] || fail "$once reads in one epoch, $twice in two: pictures that stay"
[ "$oftener" -ge $((often + 48)) ] || fail "$often reads in one epoch, $oftener in two: pictures that travel"
same_weights sim once
same_weights twice oftener
grep -q '"forward fp32 n=8 4x32x32 to 64 by 7x7 /2 p3: engine [0-9]*, ' "$results/sim/run.json" ||
    fail "run.json does not name the stem's plan"
loss() { sed -n 's/.*"train_loss": *\([0-9.]*\).*/\1/p' "$results/$1/metrics.jsonl" | tail -n 1; }
awk -v a="$(loss sim)" -v b="$(loss cpu)" \
    'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-4 * b * b) }' ||
    fail "loss $(loss sim) on the simulated device, $(loss cpu) on the cpu"
SIM_MEMORY=350000000 refused 1 "302 MiB are available" $tiny -B cuda
refused 1 "exec.device=3" $tiny -B cuda exec.device=3

# Steps as CUDA graphs and without, and where a capture fails: the same bits, and run.json says how.
steps() { sed -n 's/.*"steps": *"\([^"]*\)".*/\1/p' "$results/$1/run.json"; }
[ "$(steps sim)" = "CUDA graphs" ] || fail "not said that steps were graphs: $(steps sim)"
train_run eager $tiny -B cuda exec.cuda_graph=off
[ "$(steps eager)" = "op by op: exec.cuda_graph=off" ] || fail "steps of eager: $(steps eager)"
SIM_NO_CAPTURE=1 train_run broken $tiny -B cuda
grep -q "steps ran as op by op: a graph's capture: CUDA says" "$scratch/err" || fail "not said why there are no graphs"
steps broken | grep -q "^op by op: a graph's capture" || fail "steps of broken: $(steps broken)"
same_weights sim eager
same_weights sim broken
train_run half $tiny -B cuda train.precision=fp16 exec.deterministic=false
grep -q '"ran": *"fp16"' "$results/half/run.json" || fail "fp16 did not run"
grep -q 'ms, the fastest of 3"' "$results/half/run.json" || fail "run.json does not name what was timed"
! grep -q 'the fastest of' "$results/sim/run.json" || fail "timed though deterministic"

# An op that goes wrong on the device in the second epoch: the run is marked as failed, the first epoch's
# checkpoint is there, and from it the run ends as if nothing had been. With the wait, the op has a name.
two="$tiny -B cuda train.phases.0.epochs=2"
train_run whole $two
steps=$(sed -n '1s/.*"steps": *\([0-9]*\).*/\1/p' "$results/whole/metrics.jsonl")
export SIM_FAIL_KERNEL=adam_begin:$((steps + 2))
refused 1 "PRESIZE_CUDA_WAIT=1 names it" --name hurt $two
grep -q '"status": *"failed"' "$results/hurt/run.json" || fail "run.json: not failed"
grep -q '"error": *".*CUDA says' "$results/hurt/run.json" || fail "run.json: no error"
[ "$(wc -l < "$results/hurt/metrics.jsonl")" = 1 ] || fail "hurt: not one epoch"
PRESIZE_CUDA_WAIT=1 refused 1 "adam: run: CUDA says" --name named $two
grep -q '"error": *"op [0-9]* adam: run: CUDA says' "$results/named/run.json" || fail "run.json does not name the op"
unset SIM_FAIL_KERNEL
"$BIN/train" --data "$data" --results "$results" --resume hurt > "$scratch/out" 2> "$scratch/err" || fail "--resume hurt"
same_weights whole hurt
grep -q '"status": *"done"' "$results/hurt/run.json" || fail "run.json: not done"
