#!/bin/bash
# test_eval_ranks.sh - several processes score a run: the files of one process, whoever has them already; refusals are
# said once. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
. "${SOURCE:?}/tests/tool/ranks_common.sh"
train_run run $tiny
train_run other $tiny seed=43
cp -r "$results" "$scratch/fresh"

scored() { # WHERE COMMAND...: prints what it stored, and what it said of the run
    local where=$1
    shift
    [ -d "$scratch/$where" ] || cp -r "$scratch/fresh" "$scratch/$where"
    "$@" --results "$scratch/$where" run --tta 2 > "$scratch/$where.out" 2> "$scratch/err" || fail "$*: $(cat "$scratch/err")"
    sed -i "s|$scratch/$where|RESULTS|" "$scratch/$where.out"
    (cd "$scratch/$where/run" && find . -type f | sort | xargs sha256sum) > "$scratch/$where.files"
}
alike() { # WHERE WHERE
    diff "$scratch/$1.files" "$scratch/$2.files" > "$scratch/diff" || fail "$2 has other files: $(cat "$scratch/diff")"
    diff "$scratch/$1.out" "$scratch/$2.out" > "$scratch/diff" || fail "$2 says otherwise: $(cat "$scratch/diff")"
}
eval="$BIN/eval --data $data"

# All pictures, training and validation pictures, with TTA; more processes than pictures; two machines.
for part in "--set demo" "--split train" "--split valid --best"; do
    rm -rf "$scratch"/{one,two,nine,machines}
    scored one $eval $part
    [ "$(grep -c predictions.h5 "$scratch/one.files")" -ge 2 ] || fail "few scores: $(cat "$scratch/one.files")"
    scored two $eval $part --ranks 2
    scored nine $mpirun -n 9 $eval $part
    scored machines $mpirun -n 3 bash -c 'PRESIZE_RANK_HOST=machine${OMPI_COMM_WORLD_RANK:-$PMI_RANK} exec "$@"' - $eval $part
    for where in two nine machines; do alike one $where; done
done
n=$(($(wc -l < "$scratch/one/run/predictions.csv") - 1))
[ "$n" -lt 9 ] || fail "$n validation pictures are enough for 9 processes"

# What is stored is taken: nothing is written again. What a process alone does not find, all make again.
touch -d 2001-01-01 "$scratch"/two/run/scores/*/*/*
scored two $eval --split valid --best --ranks 2
alike one two
[ "$(find "$scratch/two/run/scores" -newermt 2001-01-02 -type f)" = "" ] || fail "stored scores were made again"
cp -r "$scratch/fresh" "$scratch/missing"
pair "$eval --results $scratch/two run --split valid --best --tta 2" \
    "$eval --results $scratch/missing run --split valid --best --tta 2" > "$scratch/out" 2> "$scratch/err" ||
    fail "scores of one process alone: $(cat "$scratch/err")"
[ ! -e "$scratch/missing/run/scores" ] || fail "rank 1 wrote"
(cd "$scratch/two/run" && find . -type f | sort | xargs sha256sum) | diff "$scratch/one.files" - > "$scratch/diff" ||
    fail "made again: $(cat "$scratch/diff")"

# mpirun loses what it cannot write, without a word; --ranks says so.
$eval --results "$scratch/two" run --split valid --best --tta 2 --ranks 2 > /dev/full 2> "$scratch/err"
[ $? = 1 ] && grep -q "cannot write the output: No space left" "$scratch/err" || fail "output lost: $(cat "$scratch/err")"

# The control: another run's probabilities differ.
cmp -s "$scratch/fresh/run/predictions.h5" "$scratch/fresh/other/predictions.h5" && fail "other weights, the same probabilities"

eval="$eval --results $results"
refused_once 2 "score a run" $eval run --ranks 2
refused_once 2 "score a run" $mpirun -n 2 $eval --compare run other
refused_once 2 "score a run" $eval --ranks 2 --split valid --issues run
refused_once 2 "leave it out under mpirun" $mpirun -n 2 $eval run --tta --ranks 2
refused_once 1 "no run none" $mpirun -n 2 $eval none --tta
refused_once 1 "has other weights, pictures or options than rank 0" pair "$eval run --split train" "$eval other --split train"
refused_once 1 "has other weights, pictures or options than rank 0" pair "$eval run --split train" "$eval run --split valid"
refused_once 1 "rank 1 has exec.backend=cpu, and rank 0 has auto" pair "$eval run --tta" "$eval run --tta -B cpu"
PRESIZE_RANK_SECONDS=5min refused_once 1 "PRESIZE_RANK_SECONDS=5min: expected a number of seconds above 0" $eval run --tta --ranks 2
[ ! -e "$results/run/scores" ] && [ ! -e "$results/other/scores" ] || fail "a refused command stored something"
echo "scores of $(wc -l < "$scratch/one.files") files by 1, 2, 3 and 9 processes"
