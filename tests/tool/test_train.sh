# test_train.sh - the tool from end to end on a few pictures: table, run folder, summary, plan, keys.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
demo_set
"$BIN/train" --keys > "$scratch/keys.md" || fail "--keys"
cmp "$scratch/keys.md" "$SOURCE/experiments/README.md" ||
    fail "experiments/README.md is not what train --keys prints"

demo_split "$scratch/split.csv" 4 3
tiny="--exp smoke data.split=csv data.split_csv=$scratch/split.csv train.batch=8"
train_run first $tiny train.score_train=true
run=$results/first

# The table, as fastprogress prints it: a header per phase, six decimals.
grep -q "train: next: \`$BIN/eval --results $results first\`" "$scratch/err" || fail "next: $(cat "$scratch/err")"
grep -q '"ran": "resnet18, 32 px, 32 pictures of demo"' "$run/run.json" || fail "what ran: $(grep ran "$run/run.json")"
head -n 1 "$scratch/out" | grep -Eq '^epoch     train_loss  valid_loss  error_rate  time      $' ||
    fail "header: $(head -n 1 "$scratch/out")"
[ "$(grep -c '^epoch' "$scratch/out")" = 2 ] || fail "a header for each phase"
[ "$(grep -Ec '^0         [0-9.]{8}    [0-9.]{8}    0\.[0-9]{6}    00:[0-9]{2}     $' "$scratch/out")" = 2 ] ||
    fail "rows: $(cat "$scratch/out")"

for file in run.json experiment.yaml resolved.yaml params.yaml metrics.jsonl metrics.json \
    timing.jsonl checkpoints/last.safetensors checkpoints/last.optim.safetensors \
    checkpoints/last.json checkpoints/best.safetensors checkpoints/best.json predictions.csv \
    predictions.h5 confusion.csv per_class.csv plots/loss.svg plots/lr.svg plots/confusion.svg \
    report.html log.txt; do
    [ -s "$run/$file" ] || fail "$file is missing or empty"
done
for tag in _hparams_/session_start_info confusion_matrix train/lr_first train/momentum time/images_per_s; do
    grep -qa "$tag" "$run"/events.out.tfevents.* || fail "no $tag in the events file"
done
grep -q '^  batch: ' "$run/params.yaml" && ! grep -q '\.' <(cut -d: -f1 "$run/params.yaml") || fail "params.yaml is not nested"
[ "$(head -n 1 "$run/history.csv" | cut -d, -f1-4)" = epoch,phase,train_loss,valid_loss ] &&
    [ "$(wc -l < "$run/history.csv")" = $(($(wc -l < "$run/metrics.jsonl") + 1)) ] || fail "history.csv: $(cat "$run/history.csv")"
[ "$(sed -n 2p "$run/history.csv" | cut -d, -f4)" = "$(head -n 1 "$run/metrics.jsonl" | sed 's/.*"valid_loss": \([^,]*\),.*/\1/')" ] ||
    fail "history.csv has other numbers than metrics.jsonl"
cmp -s "$SOURCE/experiments/smoke.yaml" "$run/experiment.yaml" || fail "experiment.yaml as given"
[ "$(wc -l < "$run/predictions.csv")" = 25 ] || fail "predictions: 8 classes x 3 and a header"
for fact in argv host isa seed git binary manifest index initial_weights config asked ran; do
    grep -q "\"$fact\"" "$run/run.json" || fail "run.json: no $fact"
done
grep -q '"train": {' "$run/metrics.json" || fail "train.score_train: no score"
grep -Eq 'time|seconds|host|/' "$run/metrics.jsonl" && fail "metrics.jsonl: $(cat "$run/metrics.jsonl")"
ls "$run/checkpoints" | grep -q new && fail "half a checkpoint"

# A default name: time, experiment, hash of the configuration.
"$BIN/train" --data "$data" --results "$results" -q $tiny seed=43 > "$scratch/out" 2> "$scratch/err" ||
    fail "default name"
tail -n 1 "$scratch/out" | grep -Eq '/[0-9]{8}-[0-9]{6}-smoke-[0-9a-f]{8}$' ||
    fail "default name: $(tail -n 1 "$scratch/out")"
grep -Eq "info|next" "$scratch/err" && fail "-q is not quiet"

# Seeds of one recipe are grouped, though a key that changes no result differs (train.score_train).
named=$(basename "$(tail -n 1 "$scratch/out")")
"$BIN/eval" --results "$results" --groups --csv first "$named" > "$scratch/out" 2> "$scratch/err" || fail "--groups"
[ "$(sed -n '2,$p' "$scratch/out" | cut -d, -f1,2)" = smoke,2 ] || fail "one recipe of two seeds: $(cat "$scratch/out")"

# From an earlier run.
train_run second $tiny model.weights=run:first
grep -q '"weights_file": "[0-9a-f]' "$results/second/run.json" || fail "weights_file"
"$BIN/eval" --results "$results" --groups --csv first second > "$scratch/out" 2> "$scratch/err" || fail "--groups"
[ "$(wc -l < "$scratch/out")" = 3 ] || fail "two recipes: $(cat "$scratch/out")" # the control

"$BIN/train" --data "$data" --results "$scratch/none" --summary $tiny > "$scratch/out" \
    2> "$scratch/err" || fail "--summary"
for text in "cross-entropy" "first batch: pictures (8, 3, 32, 32)" "labels (8) in 0..7" \
    "a training step needs"; do
    grep -qF "$text" "$scratch/out" || fail "--summary: no \"$text\""
done
awk '/^stage /, /^in all /' "$scratch/out" > "$scratch/stages"
[ "$(wc -l < "$scratch/stages")" = 10 ] || fail "--summary: stages: $(cat "$scratch/stages")"
"$BIN/train" --data "$data" --results "$scratch/none" --summary=ops $tiny > "$scratch/out" \
    2> "$scratch/err" || fail "--summary=ops"
for text in "conv1.weight" "adam"; do
    grep -qF "$text" "$scratch/out" || fail "--summary=ops: no \"$text\""
    grep -qF "$text" "$scratch/stages" && fail "--summary has ops: $text"
done
ops=$(grep -Ec '^ *[0-9]+  [a-z_]+ ' "$scratch/out")
grep -Eq "^in all +$ops " "$scratch/stages" || fail "$ops ops, by stages: $(tail -n 1 "$scratch/stages")"
"$BIN/train" --data "$data" --results "$scratch/none" --plan $tiny > "$scratch/out" \
    2> "$scratch/err" || fail "--plan"
grep -q "images/s" "$scratch/out" && grep -q "in all" "$scratch/out" || fail "--plan"
[ -e "$scratch/none" ] && fail "--summary and --plan made a folder"
exit 0
