#!/bin/bash
# test_train_ranks.sh - several processes through MPI, on CPUs, train one run with the bits of one process; refusals are
# said once; a signal to any of them stops all with a checkpoint, from which another number resumes. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
. "${SOURCE:?}/tests/tool/ranks_common.sh"

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
grep -q "as mpirun bound them" "$scratch/err" && fail "--ranks binds: $(cat "$scratch/err")"
[ "$(grep -c '"rank [012] (.*pid [0-9]*, 2 threads, ' "$results/three-fp32/run.json")" = 3 ] ||
    fail "run.json does not name the ranks"
grep -q '^  "ranks": null' "$results/one-fp32/run.json" || fail "ranks of a single process"
grep -q '<img class="cam"' "$results/one-fp32/report.html" || fail "one process: no class activation maps"
grep -q '<img class="cam"' "$results/two-fp32/report.html" && fail "two processes made maps"
grep -q "no class activation maps after a training by several processes" "$results/two-fp32/log.txt" || fail "two processes: no word of the maps"
"$BIN/train" --data "$data" --results "$results" --replay two-fp32 > "$scratch/out" 2> "$scratch/err" ||
    fail "one process replays two"
# The control: what the comparison must see.
by_mpirun 2 seed $tiny exec.threads=1 seed=43
[ "$(weights_hash seed)" != "$(weights_hash one-fp32)" ] || fail "another seed has the same weights"

# Processes of one machine share memory and send nothing through MPI. Of two machines each sends what --plan counts.
sum_of() { sed -n 's/.*"'"$2"'": \([0-9]*\).*/\1/p' "$results/$1/timing.jsonl" | awk '{n += $1} END {print n}'; }
[ "$(sum_of two-fp32 exchanges)" = 0 ] && [ "$(sum_of two-fp32 sent_bytes)" = 0 ] &&
    [ "$(sum_of two-fp32 meetings)" -gt 0 ] || fail "two processes do not share memory"
processor=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
$mpirun -n 2 bash -c 'PRESIZE_RANK_HOST=machine${OMPI_COMM_WORLD_RANK:-$PMI_RANK} exec "$@"' - \
    taskset -c "$processor" $train --name machines $tiny exec.threads=1 > "$scratch/out" 2> "$scratch/err" ||
    fail "two machines: $(cat "$scratch/err")"
same_run one-fp32 machines
[ "$(nproc)" -eq 1 ] || grep -q "may use 1 of its $(nproc) processors, as mpirun bound them: .mpirun --bind-to none" "$scratch/err" ||
    fail "bound to one processor without a word: $(cat "$scratch/err")"
"$BIN/train" --data "$data" --plan $tiny exec.threads=1 --ranks 2 > "$scratch/out" 2> "$scratch/err" || fail "--plan --ranks 2"
"$BIN/train" --data "$data" --plan $tiny exec.threads=1 --ranks 4 2> "$scratch/null" |
    grep -q "4 processes cannot share 6 microbatches of 2 pictures alike; exec.microbatch=3 would serve" ||
    fail "--plan --ranks 4"
# Over a link with a second of latency a step waits so many seconds as it has exchanges of sums, and more for gradients.
"$BIN/train" --data "$data" --plan $tiny exec.threads=1 --ranks 2 --link 1000000,1 > "$scratch/link" 2> "$scratch/err" || fail "--link"
[ "$(sed -n 's/.* \([0-9.]*\) s waiting for \([0-9]*\) exchanges of sums.*/\1 \2/p' "$scratch/link" |
    awk '$1 >= $2 && $1 < $2 + 0.1' | wc -l)" = 2 ] && grep -q "over links of 1000000 us and 1 Gbit/s" "$scratch/link" ||
    fail "--link 1000000,1: $(cat "$scratch/link")"
# What of the exchange passed beside the backward pass.
[ "$(grep -c '"exchange_ms": [1-9][0-9.]*, "exchange_wait_ms": [1-9]' "$results/machines/timing.jsonl")" = 2 ] &&
    [ "$(grep -c '"exchange_ms": 0.0, "exchange_wait_ms": 0.0' "$results/two-fp32/timing.jsonl")" = 2 ] ||
    fail "what exchanges took: $(cat "$results/machines/timing.jsonl" "$results/two-fp32/timing.jsonl")"
grep -q 'ms, of which the training waited' "$results/machines/log.txt" || fail "log.txt does not say what was waited for"
# The first phase's line: exchanges of a step and megabytes; the last step of an epoch does not ask whether to stop.
planned=$(sed -n 's/.*: \([0-9]*\) exchanges a step, \([0-9.]*\) MB.*/\1 \2/p' "$scratch/out" | head -n 1)
steps=$(sed -n '1s/.*"steps": \([0-9]*\).*/\1/p' "$results/machines/metrics.jsonl")
measured=$(head -n 1 "$results/machines/timing.jsonl" |
    sed 's/.*"exchanges": \([0-9]*\), "sent_bytes": \([0-9]*\).*/\1 \2/' |
    awk -v n="$steps" '{printf "%d %.2f", ($1 + 1) / n, ($2 + 1) / n / 1e6}')
[ "$planned" ] && [ "$planned" = "$measured" ] || fail "--plan: $planned, measured: $measured in $steps steps"

# A single process loads no MPI, under mpirun -n 1 neither.
PRESIZE_MPI_PLUGIN=/nowhere by_mpirun 1 single $tiny exec.threads=1
same one-fp32 single

# Refused, once, before a folder is made.
none="$train --name none"
refused_once 1 "12 pictures is 6 microbatches of 2, which 4 processes cannot share alike; start 3, or set exec.microbatch=3" \
    $mpirun -n 4 $none $tiny
refused_once 1 "no_such" $mpirun -n 2 $none $tiny data.set=no_such
refused_once 2 "no_such" $mpirun -n 2 $none $tiny --no_such
refused_once 2 'train.batch: "0"' $mpirun -n 2 $none $tiny train.batch=0
refused_once 2 'train.batch: "0"' $none $tiny --ranks 2 train.batch=0
refused_once 2 "leave it out under mpirun" $mpirun -n 2 $none $tiny --ranks 2
refused_once 2 "--link goes with --plan --ranks N" $none $tiny --ranks 2 --link 50,10
refused_once 2 "--link goes with --plan --ranks N" $none $tiny --plan --link 50,10
refused_once 2 "--link 50: expected US,GBIT" $none $tiny --plan --ranks 2 --link 50
refused_once 2 "train one run" $none $tiny --ranks 2 --summary
refused_once 1 "need -B cpu or cuda" $none $tiny --ranks 2 -B ref
refused_once 1 "--ranks N trains in N processes" $none $tiny --gpus 2 -B cpu
refused_once 1 "install an MPI" env PRESIZE_MPI_PLUGIN=/nowhere $none $tiny --ranks 2
refused_once 1 "not on the PATH" env PATH=/nowhere "$BIN/train" --data "$data" --results "$results" --name none \
    $tiny --ranks 2
# Ranks that were given other keys, or see other shards, are named.
refused_once 1 "has other keys than rank 0" pair "$none $tiny" "$none $tiny seed=7"
mkdir -p "$scratch/other/demo"
cp -r "$data/demo/shards-128" "$scratch/other/demo/"
sed -i 's/"max_aspect"/ "max_aspect"/' "$scratch/other/demo/shards-128/index.json"
refused_once 1 "rank 1 (" pair "$none $tiny" "$none --data $scratch/other $tiny"
# A launcher of another MPI: two processes, each alone.
for rank in 0 1; do
    PMI_RANK=$rank PMI_SIZE=2 refused_once 1 "each would work alone" $none $tiny
    SLURM_PROCID=$rank SLURM_STEP_NUM_TASKS=2 refused_once 1 "srun --mpi=p" $none $tiny
done

# One that fails later: rank 0 hears why, and the run is not left as running.
mkdir -p "$scratch/bad/demo"
cp -r "$data/demo/shards-128" "$scratch/bad/demo/"
for shard in "$scratch/bad/demo/shards-128"/*.h5; do # pixels of every picture or so
    perl -e 'open F, "+<", $ARGV[0] or die; for ($at = 200000; $at < 0.9 * -s F; $at += 40000) { seek F, $at, 0; print F "xyz" }' \
        "$shard" || fail "$shard"
done
pair "$train --name bad $tiny" "$train --data $scratch/bad --name bad $tiny" > "$scratch/out" 2> "$scratch/err" &&
    fail "damaged shards of rank 1"
[ "$(status_of bad)" = failed ] || fail "after an error of rank 1 the run is $(status_of bad): $(cat "$scratch/err")"
grep -q '"error": "rank 1 (' "$results/bad/run.json" || fail "run.json does not name rank 1: $(grep error "$results/bad/run.json")"

more="$tiny exec.threads=1 train.phases.0.epochs=6"
train_run whole $more

# A signal to one rank; the rest by one process.
begun usr1 $mpirun -n 2 $train
kill -USR1 "$(pid_of usr1 1)"
ends 1 "--resume usr1\`"
[ "$(status_of usr1)" = stopped ] || fail "a run that was stopped is $(status_of usr1)"
resumed usr1
echo "weights $(weights_hash one-fp32) by 1, 2 and 3 processes"
