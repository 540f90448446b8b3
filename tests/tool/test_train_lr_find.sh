# test_train_lr_find.sh - train --lr-find: the curve, the suggestions, and no training.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
demo_set
demo_split "$scratch/split.csv" 4 2
tiny="--exp smoke data.split=csv data.split_csv=$scratch/split.csv train.batch=8 model.arch=resnet20 exec.microbatch=8"

# 4 batches a pass, so many passes; a table on stdout, the folder's path last.
train_run curve $tiny --lr-find
run=$results/curve
head -n 1 "$scratch/out" | grep -q '^rule  *rate ' || fail "table: $(cat "$scratch/out")"
for rule in valley slide minimum steep; do
    grep -Eq "^$rule +[0-9]\.[0-9]{2}e[-+][0-9]{2} +[0-9]\.[0-9]{2}e[-+][0-9]{2} +[0-9]+\.[0-9]{6}$" \
        "$scratch/out" || fail "$rule: $(cat "$scratch/out")"
    grep -q "\"$rule\": [0-9]" "$run/run.json" || fail "run.json: no $rule"
done
[ "$(wc -l < "$scratch/out")" = 6 ] || fail "more than the table and the path on stdout"
grep -q "body frozen, 4 steps a pass" "$scratch/err" || fail "the first phase is not said"
grep -q '"status": "done"' "$run/run.json" || fail "status"
[ "$(head -n 1 "$run/lr_find.csv")" = step,lr,loss,smoothed_loss ] || fail "lr_find.csv: header"
"$BIN/eval" "$run" | grep -q '^rates  *valley .*, steep ' || fail "eval does not show the rates"
sed -n 2p "$run/lr_find.csv" | grep -q '^0,1.0e-07,' || fail "lr_find.csv: first row"
steps=$(($(wc -l < "$run/lr_find.csv") - 1))
[ $steps -gt 30 ] && [ $steps -le 100 ] || fail "$steps steps"
sed -n 52p "$run/lr_find.csv" | grep -Eq '^50,0.001,|^50,0.0009999999999|^50,0.00100000000' ||
    fail "the rate half-way: $(sed -n 52p "$run/lr_find.csv")"
for word in valley slide minimum/10 steep "learning rate"; do
    grep -qF "$word" "$run/plots/lr_find.svg" || fail "lr_find.svg: no $word"
done
[ -s "$run/metrics.jsonl" ] || [ -e "$run/checkpoints/last.json" ] && fail "it trained"

# Twice the same, also at another count of threads; another seed is another curve.
train_run again $tiny --lr-find exec.threads=3
for file in lr_find.csv plots/lr_find.svg; do
    cmp -s "$run/$file" "$results/again/$file" || fail "$file differs between equal tests"
done
train_run other $tiny --lr-find seed=7
cmp -s "$run/lr_find.csv" "$results/other/lr_find.csv" && fail "another seed, the same curve"

# A default name says what the folder holds.
"$BIN/train" --data "$data" --results "$results" -q $tiny --lr-find > "$scratch/out" \
    2> "$scratch/err" || fail "default name"
tail -n 1 "$scratch/out" | grep -Eq '/[0-9]{8}-[0-9]{6}-smoke-lr_find-[0-9a-f]{8}$' ||
    fail "default name: $(tail -n 1 "$scratch/out")"

# No rate to suggest: the curve is kept, the run is failed. The weights are so large that sums of them are no numbers.
train_run first $tiny
cp "$results/first/checkpoints/last.safetensors" "$scratch/huge.safetensors"
start=$((8 + $(od -A n -t u8 -N 8 "$scratch/huge.safetensors")))
head -c 400000 /dev/zero | tr '\0' '\177' |
    dd of="$scratch/huge.safetensors" bs=4 seek=$((start / 4)) conv=notrunc 2> /dev/null
refused 1 "no rate can be suggested" $tiny --lr-find "model.weights=$scratch/huge.safetensors" --name nan
for text in "0 of 100 points" "stopped being a number at rate 1e-07" "$results/nan/lr_find.csv"; do
    grep -qF "$text" "$scratch/err" || fail "nan: no \"$text\": $(cat "$scratch/err")"
done
[ "$(wc -l < "$results/nan/lr_find.csv")" = 2 ] && [ -s "$results/nan/plots/lr_find.svg" ] ||
    fail "nan: the curve is not kept"
grep -q '"status": "failed"' "$results/nan/run.json" || fail "nan: status"

refused 2 "leave out" $tiny --lr-find --stop-after 1
refused 2 "leave out" --lr-find --resume curve
refused 1 "curve is a range test" --resume curve
refused 1 "larger than the training set" $tiny --lr-find train.batch=64 --name large
[ -e "$results/large" ] && fail "a set without a whole batch left a folder behind"
exit 0
