# test_train_learner.sh - losses, mixing, weights, clipping, accumulation, averages, and when a phase ends: each
# changes what it should, none costs the same bits at any thread count or after an interruption.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
tiny_experiment 6 2 16 "{kind: one_cycle, epochs: 2, lr: 1e-3}" "exec: {microbatch: 8}"
lines() { wc -l < "$results/$1/metrics.jsonl"; }
metric() { # RUN LINE NAME: a number of metrics.jsonl
    sed -n "$2s/.*\"$3\": *\([-0-9.e+]*\).*/\1/p" "$results/$1/metrics.jsonl"
}

# Each option on its own changes the weights; none leaves the file of another run as it was.
train_run plain $tiny
hashes=$(weights_hash plain)
for option in train.loss.smoothing=0.1 train.loss.focal=2 train.loss.class_weights=balanced \
    augment.mixup=0.4 augment.cutmix=1 data.sample_weights=balanced train.clip=0.05 train.accumulate=2 \
    train.ema=0.9; do
    [ $option = train.loss.class_weights=balanced ] &&
        sed '0,/,train/{/,train/d}' "$scratch/split.csv" > "$scratch/uneven.csv" &&
        more="data.split_csv=$scratch/uneven.csv" || more=
    train_run "$option" $tiny $option $more
    hashes="$hashes $(weights_hash "$option")"
    rm -r "${results:?}/$option/checkpoints"
done
[ "$(tr ' ' '\n' <<< "$hashes" | sort -u | wc -l)" = 10 ] || fail "two options gave the same weights"
train_run loose $tiny train.clip=1e6
[ "$(weights_hash loose)" = "$(weights_hash plain)" ] || fail "a limit never reached changed the weights"

# All at once: the same bits with one thread, with two, and after each interruption.
all="$tiny train.accumulate=2 train.clip=0.5 train.ema=0.9 train.loss.smoothing=0.1 train.loss.focal=1
    train.loss.class_weights=balanced data.sample_weights=balanced augment.mixup=0.4
    augment.vflip=0.5 augment.hue=0.1 augment.saturation=0.5 augment.erase=0.5 augment.policy=trivial"
train_run all $all exec.threads=2
train_run all1 $all exec.threads=1
same all all1
refused 1 "--resume parts" --name parts $all --stop-after 1
"$BIN/train" --data "$data" --results "$results" --resume parts > "$scratch/out" 2> "$scratch/err" ||
    fail "--resume parts"
same all parts
"$BIN/eval" --data "$data" --results "$results" all --verify > "$scratch/out" 2> "$scratch/err" ||
    fail "the chain of a run with averages: $(cat "$scratch/out")"
"$BIN/train" --data "$data" --results "$results" --summary=ops $all > "$scratch/out" 2> "$scratch/err" ||
    fail "--summary"
grep -q "2 x 16 pictures" "$scratch/out" && grep -q grad_norm "$scratch/out" && grep -q ema "$scratch/out" ||
    fail "--summary does not show what was asked for"
"$BIN/train" --data "$data" --results "$results" --summary $tiny > "$scratch/out" 2> "$scratch/err" || fail "--summary"
grep -q "^layer3 " "$scratch/out" || fail "--summary lacks layer3"
grep -q "^layer4 " "$scratch/out" && fail "--summary shows a layer that resnet20 does not have"

# The optimisers: adamw is adam by another name, sgd another one, Nesterov's momentum its own; sgd resumes
# bit-identical, clipped and over several batches, too.
train_run adamw $tiny optim.name=adamw
[ "$(weights_hash adamw)" = "$(weights_hash plain)" ] || fail "adamw is not adam"
sgd="$tiny optim.name=sgd optim.wd=1e-4 train.phases.0.lr=1e-2"
train_run nesterov $sgd optim.nesterov=true exec.threads=2
train_run sgd $sgd train.clip=0.5 train.accumulate=2 exec.threads=2
[ "$(for run in plain sgd nesterov; do weights_hash $run; done | sort -u | wc -l)" = 3 ] ||
    fail "two optimisers gave the same weights"
refused 1 "--resume sgd2" --name sgd2 $sgd train.clip=0.5 train.accumulate=2 exec.threads=1 --stop-after 1
"$BIN/train" --data "$data" --results "$results" --resume sgd2 > "$scratch/out" 2> "$scratch/err" ||
    fail "--resume sgd2"
same sgd sgd2
grep -aq 'conv1.weight.v"' "$results/sgd/checkpoints/last.optim.safetensors" && fail "sgd keeps squares"
grep -aq 'conv1.weight.v"' "$results/plain/checkpoints/last.optim.safetensors" || fail "the control: adam keeps squares"
for idle in "optim.name=sgd optim.eps=1e-3" "optim.name=sgd optim.sqr_mom=0.9" optim.nesterov=true; do
    refused 1 "has no effect: optim.name is" $tiny $idle
done

# train.valid_size: the same weights, validated and recorded at another size, which prediction and an export take.
train_run wide $tiny train.valid_size=64
[ "$(weights_hash wide)" = "$(weights_hash plain)" ] || fail "train.valid_size changed the weights"
[ "$(metric wide 2 valid_loss)" != "$(metric plain 2 valid_loss)" ] || fail "train.valid_size changed no loss"
"$BIN/eval" --data "$data" --results "$results" wide --verify > "$scratch/out" 2> "$scratch/err" ||
    fail "the chain of train.valid_size: $(cat "$scratch/out")"
"$BIN/eval" --data "$data" --results "$results" wide --export "$scratch/wide" > "$scratch/out" 2> "$scratch/err" ||
    fail "--export wide"
grep -q '"size": 64' "$scratch/wide/config.json" || fail "the export's size"
picture=$(sed -n '2s/,.*//p' "$results/wide/predictions.csv")
for run in wide plain; do # the control: plain gives another probability
    "$BIN/eval" --data "$data" --results "$results" $run --csv --predict "$data/demo/tree/images/$picture" \
        > "$scratch/$run.out" 2> "$scratch/err" || fail "--predict $run"
done
cmp -s "$scratch/wide.out" "$scratch/plain.out" && fail "--predict takes the training's size"

# augment.resize and augment.pad: recorded where prediction reads them, in the checkpoint's file alone, too.
train_run padded $tiny augment.resize=pad augment.pad=zeros train.phases.0.epochs=1
for model in padded "$results/padded/checkpoints/last.safetensors"; do
    "$BIN/eval" --data "$data" --results "$results" "$model" --csv --predict "$data/demo/tree/images/$picture" \
        > "$scratch/${model##*.}.out" 2> "$scratch/err" || fail "--predict $model"
done
cmp "$scratch/padded.out" "$scratch/safetensors.out" || fail "a checkpoint alone predicts otherwise"
grep -q '"resize": "pad"' "$results/padded/checkpoints/last.json" || fail "the checkpoint lacks augment.resize"
grep -q '"resize"' "$results/plain/checkpoints/last.json" && fail "control: the default is recorded"
"$BIN/eval" --data "$data" --results "$results" padded --export "$scratch/padded" > "$scratch/out" 2> "$scratch/err" ||
    fail "--export padded"
grep -q '"shrink": "pad_zeros"' "$scratch/padded/config.json" || fail "the export's way to shrink"

# A table that changed in between is noticed, though the experiment names the same path.
cp "$scratch/split.csv" "$scratch/moving.csv"
refused 1 "--resume moving" --name moving $tiny data.split_csv="$scratch/moving.csv" --stop-after 1
sed '$d' "$scratch/split.csv" > "$scratch/moving.csv"
refused 1 "a table that the experiment names changed" --resume moving

# A phase that gets no better ends; the next one begins. (No loss falls by 100.)
stop="$tiny train.early_stop=2 train.min_delta=100"
phases='train.phases=[{kind: constant, epochs: 5, lr: 1e-3}, {kind: constant, epochs: 2, lr: 1e-4}]'
train_run early $stop "$phases"
[ "$(lines early)" = 5 ] || fail "early stopping: $(lines early) epochs, expected 3 and 2"
grep -q "ends after 3 of 5" "$scratch/err" || fail "early stopping is not said"
[ "$(grep -c constant "$results/early/metrics.jsonl")" = 5 ] || fail "phases of the early run"
refused 1 "--resume early2" --name early2 $stop "$phases" --stop-after 2
"$BIN/train" --data "$data" --results "$results" --resume early2 > "$scratch/out" 2> "$scratch/err" ||
    fail "--resume early2"
same early early2

# A constant rate falls where nothing gets better, also after an interruption; and the best epoch is the one with the
# highest macro F1, in which it ends.
fall="$tiny train.plateau=1 train.plateau_factor=10 train.min_delta=100 train.monitor=macro_f1 train.finish=best"
phases='train.phases=[{kind: constant, epochs: 4, lr: 1e-3}]'
train_run fall $fall "$phases"
[ "$(metric fall 2 lr)" = 0.001 ] || fail "rate of epoch 1: $(metric fall 2 lr)"
case "$(metric fall 3 lr)" in 0.0001 | 0.0001000*) ;; *) fail "rate of epoch 2: $(metric fall 3 lr)" ;; esac
refused 1 "--resume fall2" --name fall2 $fall "$phases" --stop-after 3
"$BIN/train" --data "$data" --results "$results" --resume fall2 > "$scratch/out" 2> "$scratch/err" ||
    fail "--resume fall2"
same fall fall2
chain() { "$BIN/eval" --data "$data" --results "$results" "$@" > "$scratch/out" 2> "$scratch/err"; }
most=$(for i in 1 2 3 4; do metric fall $i macro_f1; done | sort -g | tail -n 1)
grep -A 12 '"final"' "$results/fall/metrics.json" | grep -q "\"macro_f1\": $most" || fail "the best macro F1 is $most"
grep -q macro_f1 "$results/plain/metrics.jsonl" && fail "control: a run by its loss has macro_f1"
chain fall --json || fail "eval fall"
[ "$(grep -c "\"macro_f1\": $most" "$scratch/out")" = 3 ] || fail "macro F1 of the final and of the best line, and of the predictions: $(cat "$scratch/out")"
chain fall && grep -q "the best by macro F1 (error rate .*, macro F1 $(printf %.4f "$most"))" "$scratch/out" ||
    fail "the best epoch's monitor: $(cat "$scratch/out")"
grep -q "The best epoch by macro F1 ($(printf %.4f "$most")) is" "$results/fall/report.html" || fail "report: the best epoch"
chain fall --verify || fail "the chain of train.monitor=macro_f1: $(cat "$scratch/out")"
sed -i "s/\"macro_f1\": *$most/\"macro_f1\": 0.99/" "$results/fall2/metrics.json" "$results/fall2/metrics.jsonl"
chain fall2 --verify && fail "control: another macro F1 went unnoticed"
grep -q "^predictions *FAILED *predictions.h5 has a macro F1 of" "$scratch/out" || fail "$(cat "$scratch/out")"

# The run ends with its best epoch's weights; by the error rate where that is watched.
phases='train.phases=[{kind: constant, epochs: 3, lr: 1e-4}, {kind: constant, epochs: 1, lr: 1, size: 48}]'
train_run best $tiny train.finish=best train.monitor=error_rate "$phases"
grep -q "best epoch" "$scratch/err" || fail "finish=best is not said"
n=$(($(wc -l < "$results/best/predictions.csv") - 1))
wrong=$(awk -F, 'NR > 1 && $2 != $3' "$results/best/predictions.csv" | wc -l)
least=$(for i in 1 2 3 4; do metric best $i error_rate; done | sort -g | head -n 1)
awk -v a="$wrong" -v n="$n" -v b="$least" 'BEGIN { exit !(a / n - b < 1e-6 && b - a / n < 1e-6) }' ||
    fail "finish=best: $wrong of $n wrong, the best epoch has $least"
"$BIN/eval" --data "$data" --results "$results" best --verify > "$scratch/out" 2> "$scratch/err" ||
    fail "the chain of finish=best: $(cat "$scratch/out")"

picture=$(sed -n '2s/,.*//p' "$results/best/predictions.csv")
"$BIN/eval" --data "$data" --results "$results" best --csv --predict "$data/demo/tree/images/$picture" \
    > "$scratch/out" 2> "$scratch/err" || fail "predict with the best epoch's weights"
predicted=$(sed -n '2s/^[^,]*,[^,]*,\([^,]*\),.*/\1/p' "$results/best/predictions.csv")
grep -q "$predicted" "$scratch/out" || fail "--predict: $(cat "$scratch/out"), predictions.csv: $predicted"

# A loss that is no number: where it began is named, the run fails, the checkpoint before it stays.
phases='train.phases=[{kind: constant, epochs: 1, lr: 1e-3}, {kind: constant, epochs: 1, lr: 100}]'
"$BIN/train" --data "$data" --results "$results" --name nan $tiny train.batch=2 exec.microbatch=2 optim.wd=1 "$phases" \
    > "$scratch/out" 2> "$scratch/err" && fail "a rate of 100 trained"
grep -q "loss is" "$scratch/err" || fail "what is no number is not said: $(cat "$scratch/err")"
grep -q "first such number is in .*, which op [0-9]* (bn_stats) wrote" "$scratch/err" ||
    fail "the op is not named: $(cat "$scratch/err")"
[ -s "$results/nan/checkpoints/last.safetensors" ] || fail "the checkpoint before it is gone"
grep -q '"status": "failed"' "$results/nan/run.json" || fail "status of the diverged run"

# Bad input.
refused 1 "at most train.accumulate=" $tiny train.accumulate=50
refused 1 "augment.mixup and augment.cutmix" $tiny augment.mixup=1 augment.cutmix=1
refused 1 "train.plateau" $tiny train.plateau=2
refused 1 "none.csv" $tiny train.loss.class_weights=none.csv
refused 1 "none.csv" $tiny data.sample_weights=none.csv
refused 2 "train.loss.smoothing" $tiny train.loss.smoothing=1
refused 2 "did you mean" $tiny train.accumulat=2
