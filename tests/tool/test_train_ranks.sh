#!/bin/bash
# test_train_ranks.sh - several processes through MPI, on CPUs, train one run with the bits of one process; refusals are
# said once; a signal to any of them stops all with a checkpoint, from which another number resumes. SPDX-License-Identifier: MIT
. "$SOURCE/tests/tool/train_common.sh"
. "$SOURCE/tests/tool/ranks_common.sh"

# The same bits: a frozen body, then all of it; fp32 and bf16; 1, 2 and 3 processes of 1 and 2 threads.
for precision in fp32 bf16; do
    train_run one-$precision $tiny train.precision=$precision exec.threads=2
    by_mpirun 2 two-$precision $tiny train.precision=$precision exec.threads=1
    train_run three-$precision --ranks 3 $tiny train.precision=$precision exec.threads=2
    same_run one-$precision two-$precision
    same_run one-$precision three-$precision
done
[ "$(weights_hash one-fp32)" ] || fail "no weights_sha256"
grep -q 'phase frozen:' "$results/three-fp32/log.txt" || fail "log.txt does not say what runs"
[ "$(grep -c 'phase frozen:' "$scratch/err")" = 1 ] || fail "more than one process speaks"
[ "$(grep -c '"rank [012] (.*pid [0-9]*, 2 threads, ' "$results/three-fp32/run.json")" = 3 ] ||
    fail "run.json does not name the ranks"
grep -q '^  "ranks": null' "$results/one-fp32/run.json" || fail "ranks of a single process"
"$BIN/train" --data "$data" --results "$results" --replay two-fp32 > "$scratch/out" 2> "$scratch/err" ||
    fail "one process replays two"
# The control: what the comparison must see.
by_mpirun 2 seed $tiny exec.threads=1 seed=43
[ "$(weights_hash seed)" != "$(weights_hash one-fp32)" ] || fail "another seed has the same weights"

# A single process loads no MPI, under mpirun -n 1 neither.
PRESIZE_MPI_PLUGIN=/nowhere by_mpirun 1 single $tiny exec.threads=1
same one-fp32 single

# Refused, once, before a folder is made.
refused_once() { # STATUS TEXT COMMAND...
    local status=$1 text=$2 got
    shift 2
    "$@" > "$scratch/out" 2> "$scratch/err"
    got=$?
    [ $got = "$status" ] || fail "$*: status $got, expected $status"
    [ "$(grep -cF -e "$text" "$scratch/err")" = 1 ] || fail "$*: expected \"$text\" once in: $(cat "$scratch/err")"
    [ ! -e "$results/none" ] || fail "$*: it made a folder"
}
none="$train --name none"
refused_once 1 "12 pictures is 6 microbatches of 2, which 4 processes cannot share alike; start 3, or set exec.microbatch=3" \
    mpirun -n 4 $none $tiny
refused_once 1 "no_such" mpirun -n 2 $none $tiny data.set=no_such
refused_once 2 "no_such" mpirun -n 2 $none $tiny --no_such
refused_once 2 'train.batch: "0"' mpirun -n 2 $none $tiny train.batch=0
refused_once 2 'train.batch: "0"' $none $tiny --ranks 2 train.batch=0
refused_once 2 "leave it out under mpirun" mpirun -n 2 $none $tiny --ranks 2
refused_once 2 "train one run" $none $tiny --ranks 2 --plan
refused_once 1 "need -B cpu or cuda" $none $tiny --ranks 2 -B ref
refused_once 1 "--ranks N trains in N processes" $none $tiny --gpus 2 -B cpu
refused_once 1 "install an MPI" env PRESIZE_MPI_PLUGIN=/nowhere $none $tiny --ranks 2
refused_once 1 "not on the PATH" env PATH=/nowhere "$BIN/train" --data "$data" --results "$results" --name none \
    $tiny --ranks 2
# Ranks that were given other keys, or see other shards, are named.
refused_once 1 "has other keys than rank 0" mpirun -n 1 $none $tiny : -n 1 $none $tiny seed=7
mkdir -p "$scratch/other/demo"
cp -r "$data/demo/shards-128" "$scratch/other/demo/"
sed -i 's/"max_aspect"/ "max_aspect"/' "$scratch/other/demo/shards-128/index.json"
refused_once 1 "rank 1 (" mpirun -n 1 $none $tiny : -n 1 $none --data "$scratch/other" $tiny
# A launcher of another MPI: two processes, each alone.
for rank in 0 1; do
    PMI_RANK=$rank PMI_SIZE=2 refused_once 1 "each would train alone" $none $tiny
    SLURM_PROCID=$rank SLURM_STEP_NUM_TASKS=2 refused_once 1 "srun --mpi=pmix" $none $tiny
done

more="$tiny exec.threads=1 train.phases.0.epochs=6"
train_run whole $more

# A signal to one rank; the rest by one process.
begun usr1 mpirun -n 2 $train
kill -USR1 "$(pid_of usr1 1)"
ends 1 "--resume usr1\`"
[ "$(status_of usr1)" = stopped ] || fail "a run that was stopped is $(status_of usr1)"
resumed usr1
echo "weights $(weights_hash one-fp32) by 1, 2 and 3 processes"
