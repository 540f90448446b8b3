#!/bin/bash
# Trainings on the simulated device (tests/cuda/sim.h): where pictures lie, CUDA graphs, ops that fail. The short
# part is test_cuda_plugin.sh. No statement about a GPU. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
[ -e "$BIN/libpresize_cuda_sim.so" ] || skip "no nvcc or cuDNN (for their headers) or no C++ compiler here"
tiny_experiment 4 2 8 "{kind: one_cycle, epochs: 1, lr: 1e-3}"
tiny="$tiny model.arch=resnet18"
export PRESIZE_PLUGIN=$BIN/libpresize_cuda_sim.so
same_weights() {
    cmp "$results/$1/checkpoints/last.safetensors" "$results/$2/checkpoints/last.safetensors" ||
        fail "other weights: $1, $2"
}
train_run sim $tiny -B cuda

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

# Steps as CUDA graphs and without, and where a capture fails: the same bits, and run.json says how.
steps() { sed -n 's/.*"steps": *"\([^"]*\)".*/\1/p' "$results/$1/run.json"; }
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
