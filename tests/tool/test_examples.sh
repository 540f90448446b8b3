# test_examples.sh - the programs of examples/: what the trainer makes is what train makes, bit by bit.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
demo_set
demo_split "$scratch/split.csv" 4 3
words="data.split=csv data.split_csv=$scratch/split.csv train.batch=8"

PRESIZE_DATA=$data PRESIZE_RESULTS=$results "$BIN/train_demo" $words > "$scratch/out" 2> "$scratch/err" ||
    fail "train_demo: status $?"
run=$(tail -n 1 "$scratch/out")
[ -d "$run" ] || fail "train_demo: no run folder: $(cat "$scratch/out")"
[ "$(grep -c '^epoch ' "$scratch/out")" = "$(wc -l < "$run/metrics.jsonl")" ] || fail "a line for each epoch"
train_run once --exp smoke $words
same "${run#"$results"/}" once
"$BIN/eval" --data "$data" --results "$results" --verify "$run" > "$scratch/out" 2> "$scratch/err" ||
    fail "eval --verify of what train_demo made: $(cat "$scratch/out")"

shards=$(ls -d "$data"/demo/shards-*)
"$BIN/read_shard" "$shards" 3 > "$scratch/out" || fail "read_shard"
[ "$(grep -c ' mean [0-9]' "$scratch/out")" = 3 ] || fail "read_shard: $(cat "$scratch/out")"
"$BIN/read_shard" "$scratch" > "$scratch/out" 2> "$scratch/err" && fail "read_shard of no shards"
grep -q "^read_shard: .*index.json" "$scratch/err" || fail "read_shard: $(cat "$scratch/err")"

picture=$(find "$data/demo/tree/images" -name 'Spotted_Mau_1.*')
"$BIN/predict_picture" "$run/checkpoints/last.safetensors" "$picture" > "$scratch/out" 2> "$scratch/err" ||
    fail "predict_picture: status $?"
read -r label probability < "$scratch/out"
"$BIN/eval" --data "$data" "$run" --predict "$picture" --csv > "$scratch/csv" 2> "$scratch/err" || fail "eval --predict"
grep -q ",$label,$(printf %.3s "$probability")" "$scratch/csv" || fail "$label $probability, eval: $(cat "$scratch/csv")"
"$BIN/predict_picture" "$run/checkpoints/last.safetensors" "$scratch/csv" 2> "$scratch/err" > "$scratch/out" &&
    fail "predict_picture of no picture"
exit 0
