#!/bin/bash
# Several processes train one run, each on a simulated device (tests/cuda/sim.h): the same bits each time, nearly the
# single process's numbers; stopped, resumed, killed; started by --gpus, by mpirun, by a launcher's variables. No
# statement about a GPU. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
[ -e "$BIN/libpresize_mpi.so" ] && command -v mpirun > "$scratch/null" || skip "no MPI here (libopenmpi-dev, openmpi-bin)"
[ -e "$BIN/libpresize_cuda_sim.so" ] || skip "no nvcc or cuDNN (for their headers) or no C++ compiler here"
tiny_experiment 4 2 8 "{kind: one_cycle, epochs: 1, lr: 1e-3}"
tiny="$tiny model.arch=resnet18"
tiny="$tiny -B cuda"
unset OMPI_COMM_WORLD_SIZE PMI_SIZE SLURM_STEP_NUM_TASKS
export PRESIZE_PLUGIN=$BIN/libpresize_cuda_sim.so PRESIZE_NCCL=$BIN/libpresize_cuda_sim.so SIM_DEVICES=4
export TMPDIR=/dev/shm # where the simulated NCCL may write, as NCCL itself does

# begun NAME ARGS...: a run in the background; returns when it has its first checkpoint.
begun() {
    local name=$1
    shift
    "$BIN/train" --data "$data" --results "$results" --name "$name" "$@" > "$scratch/out" \
        2> "$scratch/err" &
    pid=$!
    until [ -e "$results/$name/checkpoints/last.json" ]; do
        kill -0 $pid 2> /dev/null || fail "train $name $*: it ended"
        sleep 0.05
    done
}
value() { # RUN KEY: of the last epoch
    sed -n 's/.*"'"$2"'": *\([0-9.e-]*\).*/\1/p' "$results/$1/metrics.jsonl" | tail -n 1
}
close_to() { # A B TOLERANCE TEXT
    awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { d = a - b; exit !(a > 0 && d * d <= t * t * b * b) }' ||
        fail "$4: $1, and $2 of a single process"
}
status_of() { sed -n 's/^ *"status": *"\([a-z]*\)".*/\1/p' "$results/$1/run.json"; }
pid_of() { sed -n 's/.*"rank '"$2"' (.*pid \([0-9]*\),.*/\1/p' "$results/$1/run.json"; }
ends() { # TEXT: the run in the background ends with status 1 and says so
    wait $pid
    local got=$?
    [ $got = 1 ] || fail "status $got, expected 1"
    grep -qF -e "$1" "$scratch/err" || fail "expected \"$1\" in: $(cat "$scratch/err")"
}

# The little of NCCL's interface that we state ourselves is NCCL's.
header=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")/include
if [ -e "$header/nccl.h" ]; then
    cat > "$scratch/nccl.c" <<'C'
#include "backend/cuda/nccl_api.h"
#include <nccl.h>
_Static_assert((int)NCCL_SUM == (int)ncclSum && (int)NCCL_FLOAT32 == (int)ncclFloat32 &&
    (int)NCCL_FLOAT64 == (int)ncclFloat64 && (int)ncclSuccess == 0 &&
    sizeof(struct nccl_id) == sizeof(ncclUniqueId), "other");
ncclResult_t (*a)(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, struct ncclComm *, cudaStream_t) =
    ncclAllReduce;
ncclResult_t (*b)(const void *, void *, size_t, ncclDataType_t, struct ncclComm *, cudaStream_t) = ncclAllGather;
ncclResult_t (*c)(struct ncclComm **, int, ncclUniqueId, int) = ncclCommInitRank;
C
    gcc -Werror -fsyntax-only -I core -isystem "$header" "$scratch/nccl.c" || fail "nccl_api.h is not nccl.h's"
else
    echo "left out: nccl_api.h against nccl.h, which is not here"
fi

# Two processes: the same bits again and in another order of streams; nearly one process's numbers.
train_run one $tiny
train_run two --gpus 2 $tiny
grep -q '^  "ranks": null' "$results/one/run.json" || fail "ranks of a single process"
[ "$(grep -c 'rank [01] (.*, device [01], simulated device [01])' "$results/two/run.json")" = 2 ] ||
    fail "run.json does not name the ranks"
grep -q 'NCCL 22809' "$results/two/run.json" || fail "run.json does not name NCCL"
[ "$(grep -c one_cycle: "$scratch/err")" = 1 ] || fail "more than one process speaks"
SIM_SEED=3 train_run again --gpus 2 $tiny
same two again
for key in train_loss valid_loss; do
    close_to "$(value two $key)" "$(value one $key)" 1e-4 "$key of two processes"
done
[ "$(wc -l < "$results/two/predictions.csv")" = "$(wc -l < "$results/one/predictions.csv")" ] ||
    fail "predictions are missing"

# The first step's loss, of the whole training set, as closely as fp32 allows.
train_run step1 $tiny train.batch=32
train_run step2 --gpus 2 $tiny train.batch=32
train_run step4 --gpus 4 $tiny train.batch=32
close_to "$(value step2 train_loss)" "$(value step1 train_loss)" 1e-6 "the first loss of two processes"
close_to "$(value step4 train_loss)" "$(value step1 train_loss)" 1e-6 "the first loss of four processes"

# Several batches a step, half precision, MixUp, class weights, clipping, averages.
all="train.precision=fp16 augment.mixup=0.4 train.accumulate=2 train.loss.class_weights=balanced
    train.max_norm=1 train.ema=0.9 train.score_train=true"
grep -q '`train.max_norm`' experiments/README.md || all=${all/train.max_norm=1/train.clip=1}
train_run all1 $tiny $all
train_run all2 --gpus 2 $tiny $all
SIM_SEED=3 train_run all3 --gpus 2 $tiny $all
same all2 all3
close_to "$(value all2 train_loss)" "$(value all1 train_loss)" 1e-2 "train_loss in fp16"

# What is missing is found: a stream that does not wait.
SIM_PLANT=1 refused 1 "nothing says in which order" --gpus 2 $tiny

# Stopped by a signal to the one that waits, or to any of them, and resumed: the bits of the whole run.
more="--gpus 2 $tiny train.phases.0.epochs=4"
train_run whole $more
begun stop $more
kill -INT $pid
ends "resume with \`$BIN/train --gpus 2 --data $data --results $results --resume stop\`"
[ "$(status_of stop)" = stopped ] || fail "a run that was stopped is $(status_of stop)"
refused 1 "train --gpus 2 --resume" --resume stop
refused 1 "cannot resume in 4" --gpus 4 --resume stop
! grep -q 'rank [123]:' "$scratch/err" || fail "what all refuse is said more than once"
"$BIN/train" --data "$data" --results "$results" --gpus 2 --resume stop > "$scratch/out" 2> "$scratch/err" ||
    fail "resume"
same whole stop
begun other $more
kill -TERM "$(pid_of other 1)"
ends "--gpus 2 --data $data --results $results --resume other\`"

# One dies: the others are ended, and the run can be resumed.
begun death $more
kill -KILL "$(pid_of death 1)"
ends "was ended by signal 9"
"$BIN/train" --data "$data" --results "$results" --gpus 2 --resume death > "$scratch/out" 2> "$scratch/err" ||
    fail "resume after a death"
same whole death

# NCCL answers with an error: at its start, in the course of training, on one of them alone.
SIM_FAIL_KERNEL=unique-id:1 refused 1 "NCCL's start: NCCL says an error of the simulation" --gpus 2 $tiny
SIM_FAIL_KERNEL=init:1 refused 1 "several GPUs: NCCL says an error of the simulation" --gpus 2 $tiny
SIM_FAIL_KERNEL=all-reduce:3 refused 1 "gradients: NCCL says an error of the simulation" --gpus 2 --name reduce $more
[ "$(status_of reduce)" = failed ] || fail "a run whose all-reduce failed is $(status_of reduce)"

# All devices wait for a collective that never ends: said once, the run is failed, and a later one resumes it.
export PRESIZE_RANK_SECONDS=10
SIM_HANG=200 refused 1 "rank 0 (" --gpus 2 --name hangs $more
unset PRESIZE_RANK_SECONDS
[ "$(grep -c 'has not got any further for 10 s: its GPU, its file system or the network hangs' "$scratch/err")" = 1 ] ||
    fail "a hanging GPU: $(cat "$scratch/err")"
[ "$(status_of hangs)" = failed ] || fail "a run whose GPUs hang is $(status_of hangs)"

# What cannot be.
refused 1 "cannot be shared by 2 processes alike" --gpus 2 $tiny train.batch=7
refused 1 "--gpus N trains on GPUs (-B cuda), and this is cpu" --gpus 2 $tiny -B cpu train.batch=32
SIM_DEVICES=1 refused 1 "would have number 1, and this machine has 1" --gpus 2 $tiny
PRESIZE_NCCL=$scratch/none.so refused 1 "several GPUs need NCCL 2" --gpus 2 $tiny
# With auto, all have a GPU each, or all compute on the CPU; and so they score.
train_run cpu $tiny -B cpu train.batch=32
SIM_DEVICES=1 train_run few --ranks 2 $tiny -B auto train.batch=32
cmp -s "$results"/{cpu,few}/checkpoints/last.safetensors || fail "with auto, too few GPUs are not as with cpu"
grep -q "has a GPU of its own" "$results/few/run.json" || fail "run.json does not say why the CPU trained"
for n in 1 2; do
    SIM_DEVICES=$n "$BIN/eval" --data "$data" --results "$results" few --split train --ranks 2 --json -B auto \
        > "$scratch/out" 2> "$scratch/err" || fail "eval --ranks 2 on $n GPU: $(cat "$scratch/err")"
    grep -q "\"backend\": \"$([ $n = 1 ] && echo cpu || echo cuda)\"" "$results"/few/scores/*/train/score.json ||
        fail "eval --ranks 2 on $n GPU: scored elsewhere"
done
refused 2 "train one run" --gpus 2 $tiny --plan
refused 2 "expected a whole number" --gpus 0 $tiny
train_run alone --gpus 1 $tiny
same one alone

# Started by mpirun itself.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
mpirun -n 2 "$BIN/train" --data "$data" --results "$results" --name mpi $tiny > "$scratch/out" 2> "$scratch/err" ||
    fail "mpirun"
same two mpi
