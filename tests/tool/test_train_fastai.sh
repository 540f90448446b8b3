# test_train_fastai.sh - augment.mode fastai from training to prediction: one arithmetic everywhere.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
tiny_experiment 3 1 8 "{kind: one_cycle, epochs: 1}" "augment: {mode: fastai}" "exec: {microbatch: 4}"

# show FILE ARGS...
show() {
    local file=$scratch/$1
    shift
    "$BIN/train" --data "$data" --results "$results" $tiny --show-batch "$file" "$@" \
        > "$scratch/out" 2> "$scratch/err" || fail "--show-batch $*: status $?"
}
show fastai.png
show ref.png exec.backend=ref
cmp -s "$scratch/fastai.png" "$scratch/ref.png" || fail "cpu and ref show other pictures"
show presize.png augment.mode=presize
cmp -s "$scratch/fastai.png" "$scratch/presize.png" && fail "fastai's pictures are presize's"

train_run one $tiny exec.threads=1
train_run two $tiny exec.threads=2
same one two
train_run presize $tiny augment.mode=presize
[ "$(weights_hash one)" != "$(weights_hash presize)" ] || fail "the mode changes no weights"

# Files predicted one by one, and the validation of the run: the same probability to the bit.
predict() { # RUN: file,label,probability
    (cd "$data/demo/tree/images" && "$BIN/eval" --data "$data" --results "$results" "$1" --csv \
        --predict $(cut -d, -f1 "$scratch/expected")) > "$scratch/out" 2> "$scratch/err" ||
        fail "eval --predict: status $?"
    tail -n +2 "$scratch/out" | cut -d, -f1-3 | six_digits
}
six_digits() { # the run's CSV has the shortest text of a float32, that of --predict of a double
    sort | while IFS=, read -r file label probability; do
        printf '%s,%s,%.6f\n' "$file" "$label" "$probability"
    done
}
tail -n +2 "$results/one/predictions.csv" | cut -d, -f1,3,5 > "$scratch/expected"
six_digits < "$scratch/expected" > "$scratch/rounded"
predict one > "$scratch/got"
cmp "$scratch/got" "$scratch/rounded" || fail "validation and --predict differ"
