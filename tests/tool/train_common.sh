# train_common.sh - what the tests of train share: the demo set's shards, helpers.
# Sourced by test_train*.sh with BIN, SOURCE and BUILD set. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
cd "$SOURCE" || exit 1
results=$scratch/results

# data: folder with the demo set, fetched and prepped once per build of fetch and prep.
demo_set() {
    local key
    key=$(cat "$BIN/fetch" "$BIN/prep" "$SOURCE"/prep/datasets/*.yaml | sha256sum | cut -c1-12)
    data=$BUILD/test-data/$key
    mkdir -p "$data"
    (
        flock 9
        [ -e "$data/ready" ] && exit 0
        "$BIN/fetch" demo --data "$data" && "$BIN/prep" demo --data "$data" && touch "$data/ready"
    ) 9> "$data/lock" > "$scratch/out" 2> "$scratch/err" || fail "fetch demo, prep demo"
}

# few TRAIN VALID < IDS: a split of the first TRAIN pictures of each class to train on and the next
# VALID ones to validate, as CSV. The class is the name up to its last '_'.
few() {
    LC_ALL=C sort | awk -v train="$1" -v valid="$2" '
        BEGIN { print "path,split" }
        { class = $0; sub(/_[0-9]+\.[A-Za-z]+$/, "", class); n = ++seen[class] }
        n <= train { print $0 ",train" }
        n > train && n <= train + valid { print $0 ",valid" }'
}

# demo_split FILE TRAIN VALID
demo_split() {
    (cd "$data/demo/tree/images" && find . -type f | sed 's|^\./||') | few "$2" "$3" > "$1"
}

# tiny_experiment TRAIN VALID BATCH PHASES [LINE...]: the demo set and demo_split()'s split of it; $tiny are the options
# that train resnet20, whose weights are 40 times smaller than resnet18's, from nothing on it, at 32 px. LINEs of YAML
# add to the experiment.
tiny_experiment() {
    demo_set
    demo_split "$scratch/split.csv" "$1" "$2"
    cat > "$scratch/tiny.yaml" <<YAML
# Does a tiny training do what it should?
data: {set: demo, split: csv, split_csv: $scratch/split.csv}
model: {arch: resnet20, weights: none}
train: {size: 32, batch: $3, phases: [$4]}
YAML
    shift 4
    [ $# = 0 ] || printf '%s\n' "$@" >> "$scratch/tiny.yaml"
    tiny="--exp $scratch/tiny.yaml"
}

# train_run NAME ARGS...: a run that must succeed; its folder's path is the last line.
train_run() {
    local name=$1
    shift
    "$BIN/train" --data "$data" --results "$results" --name "$name" "$@" > "$scratch/out" \
        2> "$scratch/err" || fail "train $name $*: status $?"
    [ "$(tail -n 1 "$scratch/out")" = "$results/$name" ] || fail "$name: last line of stdout"
}

# refused STATUS TEXT ARGS...: train must end with STATUS and say TEXT on stderr.
refused() {
    local status=$1 text=$2 got
    shift 2
    "$BIN/train" --data "$data" --results "$results" "$@" > "$scratch/out" 2> "$scratch/err"
    got=$?
    [ $got = "$status" ] || fail "train $*: status $got, expected $status"
    grep -qF -e "$text" "$scratch/err" || fail "train $*: expected \"$text\" in: $(cat "$scratch/err")"
}

# same A B: everything that must not differ between equal runs.
same() {
    local file
    for file in metrics.jsonl metrics.json predictions.csv predictions.h5 confusion.csv \
        per_class.csv plots/loss.svg plots/lr.svg plots/confusion.svg \
        checkpoints/last.safetensors checkpoints/last.optim.safetensors \
        checkpoints/best.safetensors checkpoints/best.json; do
        cmp -s "$results/$1/$file" "$results/$2/$file" || fail "$file differs between $1 and $2"
    done
}

weights_hash() { # RUN: of the last epoch
    sed -n 's/.*"weights_sha256": *"\([0-9a-f]\{64\}\)".*/\1/p' "$results/$1/metrics.jsonl" | tail -n 1
}
