# test_train_memorise.sh - a network that cannot learn 64 real pictures by heart has a wrong gradient.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
needs_archive
data=$scratch/data
"$BIN/fetch" pets-mini --from "$archive" --data "$data" > "$scratch/out" 2> "$scratch/err" ||
    fail "fetch pets-mini"
"$BIN/prep" pets-mini --data "$data" presize.size=96 > "$scratch/out" 2> "$scratch/err" ||
    fail "prep pets-mini"

# 64 pictures to train on, two each of 32 classes, and 8 to validate.
images=$(dirname "$(find "$data/pets-mini/tree" -name 'Abyssinian_*.jpg' | head -n 1)")
(cd "$images" && ls) | grep 'jpg$' | few 2 1 > "$scratch/all.csv"
grep -E '^path|,train$' "$scratch/all.csv" | head -n 65 > "$scratch/split.csv"
sed -n 's/_[0-9]*\.jpg,train$/_/p' "$scratch/split.csv" | sort -u > "$scratch/classes"
grep ',valid$' "$scratch/all.csv" | grep -F -f "$scratch/classes" | head -n 8 >> "$scratch/split.csv"
[ "$(grep -c ',train$' "$scratch/split.csv")" = 64 ] || fail "64 pictures"

cat > "$scratch/memorise.yaml" <<YAML
# Can the network learn 64 pictures by heart?
data: {set: pets-mini, split: csv, split_csv: $scratch/split.csv}
model: {arch: resnet18, weights: none}
augment: {mode: none}
train:
  size: 64
  batch: 16
  score_train: true
  phases:
    - {kind: one_cycle, epochs: 20, lr: 2e-3}
YAML
for precision in bf16; do # fp32 is compared with PyTorch's numbers (test_reference, test_train_curve)
    train_run $precision --exp "$scratch/memorise.yaml" train.precision=$precision
    accuracy=$(tr -d ' \n' < "$results/$precision/metrics.json" |
        sed -n 's/.*"train":{[^}]*"accuracy":\([0-9.]*\).*/\1/p')
    echo "$precision: training accuracy $accuracy after 20 epochs"
    awk -v a="$accuracy" 'BEGIN { exit !(a >= 0.95) }' || fail "$precision: accuracy $accuracy < 0.95"
done
