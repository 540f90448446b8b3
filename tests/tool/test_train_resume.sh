# test_train_resume.sh - stopped, interrupted or killed, a run resumes and ends bit-identical.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
. "${SOURCE:?}/tests/tool/flip_byte.sh"
tiny_experiment 4 2 16 "{kind: fine_tune, epochs: 2}, {kind: constant, epochs: 1, lr: 1e-4}" \
    "exec: {microbatch: 8}"
train="$BIN/train --data $data --results $results"

train_run whole $tiny
[ "$(wc -l < "$results/whole/metrics.jsonl")" = 4 ] || fail "four epochs, four lines"
grep -q '"status": "done"' "$results/whole/run.json" || fail "status of a whole run"

# After each epoch in turn, across both changes of phase.
refused 1 "--resume parts" --name parts $tiny --stop-after 1
[ "$(wc -l < "$results/parts/metrics.jsonl")" = 1 ] || fail "one epoch, one line"
grep -q '"status": "done"' "$results/parts/run.json" && fail "a stopped run is not done"
refused 1 "--stop-after 1: $results/parts has 1 epoch behind it already" --resume parts --stop-after 1
echo '{"epoch": 1, "seconds": 9' >> "$results/parts/timing.jsonl" # of an epoch that a kill took away
refused 1 "--resume parts" --resume parts --stop-after 2
refused 1 "--resume parts" --resume parts --stop-after 3
refused 2 "seed=43: --resume keeps the experiment, and seed changes" --resume parts seed=43
$train --resume parts exec.threads=1 > "$scratch/out" 2> "$scratch/err" || fail "--resume parts"
[ "$(tail -n 1 "$scratch/out")" = "$results/parts" ] || fail "last line of stdout"
same whole parts
cp "$results/parts/timing.jsonl" "$scratch/timing" && : > "$results/parts/timing.jsonl"
"$BIN/eval" --data "$data" --results "$results" parts > "$scratch/out" 2> "$scratch/err"
grep -q "(done, 4 epochs" "$scratch/out" || fail "epochs of a run whose times are lost: $(head -n 1 "$scratch/out")"
cp "$scratch/timing" "$results/parts/timing.jsonl"
[ "$(cut -d, -f1 "$results/parts/timing.jsonl" | tr -d '\n')" = '{"epoch": 0{"epoch": 1{"epoch": 2{"epoch": 3' ] ||
    fail "timing.jsonl: $(cat "$results/parts/timing.jsonl")"
refused 1 "done" --resume parts

# until_epoch RUN: waits for its first line of metrics, then for LATER seconds.
until_epoch() {
    local tries=0
    until [ -s "$results/$1/checkpoints/last.json" ] || [ $((tries += 1)) -gt 600 ]; do
        sleep 0.05
    done
}
long="$tiny train.phases.0.epochs=4"
train_run whole4 $long

$train --name interrupted $long > "$scratch/out" 2> "$scratch/err" &
pid=$!
until_epoch interrupted
kill -INT $pid
wait $pid
status=$?
if [ $status = 0 ]; then
    echo "the run was over before the signal came: nothing interrupted"
else
    [ $status = 1 ] || fail "SIGINT: status $status"
    grep -q "resume interrupted" "$scratch/err" || fail "SIGINT: does not say how to resume"
    $train --resume interrupted > "$scratch/out" 2> "$scratch/err" || fail "--resume interrupted"
fi
same whole4 interrupted

$train --name killed $long > "$scratch/out" 2> "$scratch/err" &
pid=$!
until_epoch killed
kill -KILL $pid
wait $pid 2> /dev/null
if [ ! -s "$results/killed/metrics.json" ]; then
    touch "$results/killed/checkpoints/.last-new.safetensors.tmp-1" # as of a kill while it was written
    $train --resume killed > "$scratch/out" 2> "$scratch/err" || fail "--resume killed"
    [ -z "$(find "$results/killed/checkpoints" -name '.*')" ] || fail "left behind: $(ls -A "$results/killed/checkpoints")"
fi
same whole4 killed

# Inside an epoch: a signal keeps the steps that are done, kill -9 those of the last checkpoint.
demo_split "$scratch/wide.csv" 60 2
wide=("$BIN/train" --data "$data" --results "$results" --exp "$scratch/tiny.yaml"
    data.split_csv="$scratch/wide.csv" train.batch=8 train.ema=0.99 train.accumulate=2
    'train.phases=[{kind: one_cycle, epochs: 2}]')
"${wide[@]}" --name wide > "$scratch/out" 2> "$scratch/err" || fail "wide"
inside() { # NAME SIGNAL ARGS...: begins the run and sends the signal in its first epoch; INT as soon as it has a folder
    local name=$1 signal=$2 tries=0
    shift 2
    : > "$scratch/err"
    "${wide[@]}" --name "$name" "$@" > "$scratch/out" 2> "$scratch/err" &
    pid=$!
    if [ "$signal" = KILL ]; then
        until [ -s "$results/$name/checkpoints/last.json" ] || [ $((tries += 1)) -gt 600 ]; do
            sleep 0.02
        done
    else
        until [ -e "$results/$name/run.json" ] || [ $((tries += 1)) -gt 3000 ]; do
            sleep 0.002
        done
    fi
    kill -"$signal" $pid
    wait $pid 2> /dev/null
    if [ -s "$results/$name/metrics.jsonl" ]; then
        echo "$name: the first epoch was over before the signal came"
        return
    fi
    [ "$signal" = KILL ] || grep -q "0 epochs and [1-9][0-9]* steps* of the next are kept" "$scratch/err" ||
        fail "$name: $(cat "$scratch/err")"
    "$BIN/train" --data "$data" --results "$results" --resume "$name" > "$scratch/out" 2> "$scratch/err" ||
        fail "--resume $name"
    grep -q "resuming after 0 epochs and [1-9]" "$scratch/err" || fail "$name: did not resume inside the epoch"
    same wide "$name"
}
inside inside INT
inside inside_killed KILL train.checkpoint_minutes=0.0001

# How to resume, said inside the folder of results.
refused 1 "--resume here" --name here $tiny --stop-after 1
(cd "$results" && "$BIN/train" --data "$data" --resume here --stop-after 2) > "$scratch/out" 2> "$scratch/err"
grep -qF -- "--data $data --results . --resume here" "$scratch/err" || fail "how to resume: $(cat "$scratch/err")"

# Larger shards that were made meanwhile have other pictures.
cp -r "$data" "$scratch/grown"
few_data=$data
data=$scratch/grown
refused 1 "--resume small" --name small $tiny --stop-after 1
"$BIN/prep" -q demo presize.size=300 --data "$data" > "$scratch/out" 2>&1 || fail "prep: $(cat "$scratch/out")"
ls -d "$data"/demo/shards-300 > "$scratch/out" || fail "no larger shards"
"$BIN/train" --data "$data" --results "$results" --resume small > "$scratch/out" 2> "$scratch/err" || fail "--resume small"
data=$few_data
same whole small

# A best checkpoint that is gone is missed at once where the run may end with it.
refused 1 "--resume lost" --name lost $tiny train.finish=best --stop-after 1
rm "$results/lost/checkpoints/best.json"
refused 1 "best.json is missing" --resume lost

# A checkpoint that was tampered with is refused.
refused 1 "--resume changed" --name changed $tiny --stop-after 1
flip_byte "$results/changed/checkpoints/last.safetensors" 5000
refused 1 "last.safetensors" --resume changed

# A disk that is full while a checkpoint is written: the one before it stays.
mkdir -p "$scratch/small"
cat > "$scratch/full.sh" <<'SH'
mount -t tmpfs -o size=7600k none "$1/small" || exit 99
shift_results="$1/small"
shift
"$@" --results "$shift_results" --name full > "$shift_results/../out" 2> "$shift_results/../err"
status=$?
[ $status = 1 ] || { echo "full disk: status $status"; exit 1; }
grep -q "checkpoint" "$shift_results/../err" || { echo "full disk: the checkpoint is not named"; exit 1; }
grep -q '"status": "failed"' "$shift_results/full/run.json" || { echo "full disk: status of the run"; exit 1; }
mount -o remount,size=30m "$shift_results" || exit 1
"$1" "$2" "$3" --results "$shift_results" --resume full > "$shift_results/../out" 2> "$shift_results/../err" ||
    { echo "full disk: --resume"; cat "$shift_results/../err"; exit 1; }
cp "$shift_results/full/metrics.jsonl" "$shift_results/../full.jsonl"
SH
unshare -rm bash "$scratch/full.sh" "$scratch" "$BIN/train" --data "$data" $tiny \
    > "$scratch/full.txt" 2>&1
status=$?
if [ $status = 0 ]; then
    cmp "$scratch/full.jsonl" "$results/whole/metrics.jsonl" || fail "full disk: other bits"
elif [ $status = 1 ] && ! grep -q unshare "$scratch/full.txt"; then
    fail "$(cat "$scratch/full.txt")"
else
    echo "no file system of one's own here: the full disk is left to test_checkpoint"
fi
