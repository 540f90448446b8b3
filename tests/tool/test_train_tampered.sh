# test_train_tampered.sh - what a stopped run resumes from is checked against itself, its recipe and its metrics.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
. "${SOURCE:?}/tests/tool/flip_byte.sh"
tiny_experiment 2 1 16 "{kind: fine_tune, epochs: 2}" "exec: {microbatch: 8}"
train="$BIN/train --data $data --results $results"
train_run whole $tiny
refused 1 "--resume stopped" --name stopped $tiny --stop-after 2
stopped=$results/stopped
state=checkpoints/last.json

# fresh: a copy of the stopped run to be spoilt; spoilt TEXT: resuming it is refused with TEXT, and nothing is begun.
fresh() { rm -rf "$results/copy" && cp -r "$stopped" "$results/copy"; }
spoilt() {
    cmp -s "$stopped/$1" "$results/copy/$1" && fail "$1: nothing was changed"
    refused 1 "$2" --resume copy
    cmp -s "$stopped/run.json" "$results/copy/run.json" || fail "$2: run.json was written"
    cmp -s "$stopped/timing.jsonl" "$results/copy/timing.jsonl" || fail "$2: timing.jsonl was cut"
}
fresh # the control: unspoilt, it resumes and ends bit-identical
$train --resume copy > "$scratch/out" 2> "$scratch/err" || fail "--resume of an untouched copy"
same whole copy

# Any digit of last.json, and of what it names.
for member in phase metrics_bytes since presize; do
    fresh
    sed -i "0,/\"$member\": /s/\(\"$member\": \)\(-\?[0-9]\)/\19\2/" "$results/copy/$state"
    spoilt $state "last.json: the SHA-256 of its members is"
done
for member in train_loss error_rate; do
    fresh
    sed -i "1s/\(\"$member\": [0-9]*\.[0-9]*\)[0-9]/\17/;1s/\(\"$member\": [0-9]*\.[0-9]*\)7\([,}]\)/\16\2/" \
        "$results/copy/metrics.jsonl"
    cmp -s "$stopped/metrics.jsonl" "$results/copy/metrics.jsonl" && continue
    spoilt metrics.jsonl "a line was changed since the run stopped"
done
fresh
sed -i 's/"epochs": [0-9]*/"epochs": 7/' "$results/copy/checkpoints/best.json"
spoilt checkpoints/best.json "best.json"
fresh
flip_byte "$results/copy/checkpoints/best.safetensors" 40000
spoilt checkpoints/best.safetensors "best.safetensors: SHA-256 is"
fresh
rm "$results/copy/checkpoints/best.json"
refused 1 "best.json is missing" --resume copy
refused 1 "--resume other" --name other $tiny seed=7 --stop-after 1
cp "$results/other/checkpoints/best.json" "$results/copy/checkpoints/best.json" # sound in itself, another's
spoilt checkpoints/best.json "best.json: its SHA-256 is"

# An older program's state has no hash: what follows from recipe and metrics is still held against them.
old() { sed -i '/^  "sha256": /d; s/^  "version": 3/  "version": 2/; /"metrics_sha256"/d; /"best_sha256"/d' "$1" &&
    sed -i -z 's/,\n}/\n}/g; s/,\n  }/\n  }/g' "$1"; }
fresh
old "$results/copy/$state"
$train --resume copy > "$scratch/out" 2> "$scratch/err" || fail "an older program's state"
same whole copy
for value in phase=0 phase=2 phase_epoch=2 phase_epoch=4294967296 epoch=4294967298 step=9 adam_step=4294967297 \
    best_phase=5 epoch_step=-1; do
    fresh
    old "$results/copy/$state"
    sed -i "s/^    \"${value%=*}\": -\?[0-9]*/    \"${value%=*}\": ${value#*=}/" "$results/copy/$state"
    spoilt $state "${value%=*} is not what the recipe and metrics.jsonl lead to"
done
fresh
old "$results/copy/$state"
sed -i '2d' "$results/copy/metrics.jsonl"
spoilt metrics.jsonl "lines were lost"

# Ended before its first checkpoint, a run begins again from its record.
fresh
rm "$results/copy/checkpoints/"*
$train --resume copy > "$scratch/out" 2> "$scratch/err" || fail "--resume without a checkpoint"
grep -q "it begins again from its record" "$scratch/err" || fail "does not say that it begins again"
same whole copy
fresh
rm "$results/copy/checkpoints/"*
sed -i 's/"initial_weights": "./"initial_weights": "x/' "$results/copy/run.json"
refused 1 "it cannot begin again" --resume copy
fresh
rm "$results/copy/checkpoints/"* "$results/copy/resolved.yaml"
refused 1 "neither a checkpoint to resume from nor resolved.yaml" --resume copy

# A run computed again from its record: equal, or the first epoch and tensor that differ.
replay() { $train --replay "$@" > "$scratch/out" 2> "$scratch/err"; }
rm -r "$results/copy" && cp -r "$results/whole" "$results/copy"
replay copy || fail "--replay: $(cat "$scratch/err")"
tail -n 1 "$scratch/out" | grep -q "^equal: 3 epochs of $results/copy, every figure and the weights" || fail "$(cat "$scratch/out")"
diff -r "$results/whole" "$results/copy" > /dev/null || fail "--replay writes"
sed -i '2s/"train_loss": [0-9]*/"train_loss": 77/' "$results/copy/metrics.jsonl"
flip_byte "$results/copy/checkpoints/last.safetensors" 40000
replay copy
[ $? = 1 ] || fail "--replay of a changed record: status"
grep -q "copy: epoch 1 differs: train_loss [0-9.]*, recorded 77.*; 1 of [0-9]* tensors differ after epoch 2, the first is" \
    "$scratch/err" || fail "--replay of a changed record: $(cat "$scratch/err")"
refused 2 "only keys that change no result" --replay copy --stop-after 1
refused 2 "keeps the experiment" --replay copy seed=43

# A scheduler's signals end a run as SIGTERM does; a second one of them changes nothing.
for signal in USR1 USR2; do
    $train --name $signal $tiny train.phases.0.epochs=400 > "$scratch/out" 2> "$scratch/err" &
    pid=$! tries=0
    until [ -s "$results/$signal/metrics.jsonl" ] || [ $((tries += 1)) -gt 600 ]; do sleep 0.05; done
    kill -$signal $pid && kill -$signal $pid
    wait $pid
    status=$?
    [ $status = 1 ] || fail "SIG$signal: status $status"
    grep -q "stopped by SIG$signal; .*--resume $signal" "$scratch/err" || fail "SIG$signal: does not say how to resume"
    grep -q '"status": "stopped"' "$results/$signal/run.json" || fail "SIG$signal: status of the run"
    [ -s "$results/$signal/$state" ] || fail "SIG$signal: no checkpoint"
done
rm "$scratch/out"
"$BIN/train" --selftest > "$scratch/out" 2> "$scratch/err" & # before a training begins there is nothing to keep
pid=$! tries=0
until [ -s "$scratch/out" ] || [ $((tries += 1)) -gt 600 ]; do sleep 0.05; done
kill -USR1 $pid
wait $pid
[ $? = 1 ] && grep -q "before the training began" "$scratch/err" || fail "SIGUSR1 before a training: status"
$train --help | tr '\n' ' ' | grep -q "SIGUSR1 and *SIGUSR2.*Status 0 done, 1 failed or stopped" || fail "--help: signals"
