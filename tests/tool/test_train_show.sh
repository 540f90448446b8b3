# test_train_show.sh - contact sheets of what the network sees: train --show-batch, --unique.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
demo_set
demo_split "$scratch/split.csv" 3 1
cat > "$scratch/tiny.yaml" <<YAML
# What does the network see?
data: {set: demo, split: csv, split_csv: $scratch/split.csv}
model: {arch: resnet34, weights: imagenet}
train: {size: 32, batch: 8, phases: [{kind: one_cycle, epochs: 1}]}
YAML
tiny="--exp $scratch/tiny.yaml"

# show FILE ARGS...: a sheet in FILE, its lines in $scratch/out. No weights are needed for that.
show() {
    local file=$scratch/$1
    shift
    "$BIN/train" --data "$data" --results "$results" $tiny --show-batch "$file" "$@" \
        > "$scratch/out" 2> "$scratch/err" || fail "--show-batch $*: status $?"
    [ "$(tail -n 1 "$scratch/out")" = "$file" ] || fail "--show-batch $*: last line of stdout"
    [ "$(head -c 8 "$file" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] ||
        fail "--show-batch $*: not a PNG"
}
differ() { cmp -s "$scratch/$1" "$scratch/$2" && fail "$1 and $2 are the same sheet: $3"; }
equal() { cmp -s "$scratch/$1" "$scratch/$2" || fail "$1 and $2 differ: $3"; }

show batch.png exec.threads=1
[ "$(wc -l < "$scratch/out")" = 10 ] || fail "nine pictures and the file's name: $(cat "$scratch/out")"
[ "$(sed '$d' "$scratch/out" | awk '{ print $3 }' | sort -u | wc -l)" = 9 ] || fail "nine pictures"
sed '$d' "$scratch/out" | while read -r cell label path; do # true labels, training pictures
    grep -qxF "$path,train" "$scratch/split.csv" || fail "$path is not trained on"
    case $path in "$label"_*) ;; *) fail "$path under the label $label" ;; esac
done || exit 1
show again.png exec.threads=2
equal batch.png again.png "threads"
show ref.png exec.backend=ref
equal batch.png ref.png "the backend's augmentation is the reference's, bit for bit"
show seed.png seed=7
differ batch.png seed.png "another seed"

show unique.png --unique
[ "$(sed '$d' "$scratch/out" | awk '{ print $3 }' | sort | uniq -c | awk '{ print $1 }')" = 9 ] ||
    fail "one picture nine times: $(cat "$scratch/out")"
differ batch.png unique.png "one picture and nine"
demo_split "$scratch/eight.csv" 1 1
show eight.png --unique data.split_csv="$scratch/eight.csv"
show eight.png data.split_csv="$scratch/eight.csv"
[ "$(wc -l < "$scratch/out")" = 9 ] || fail "eight pictures to train on: $(cat "$scratch/out")"
show none.png --unique augment.mode=none
differ unique.png none.png "with and without augmentation"
[ "$(stat -c %s "$scratch/none.png")" -lt "$(stat -c %s "$scratch/unique.png")" ] ||
    fail "nine times the same should take less room than nine augmentations"
for option in augment.vflip=1 augment.hue=0.3 augment.saturation=1 augment.erase=1 augment.policy=trivial \
    augment.resize=squish augment.resize=pad augment.pad=zeros; do
    show one.png $option
    differ batch.png one.png "$option"
    show one_ref.png $option exec.backend=ref
    equal one.png one_ref.png "$option on the reference"
done

[ ! -e "$results" ] || fail "--show-batch made a run folder"
refused 1 "no/such/folder" $tiny --show-batch "$scratch/no/such/folder/sheet.png"
refused 2 "--show-batch" $tiny --unique
refused 2 "--resume" --resume some --show-batch "$scratch/other.png"
[ ! -e "$scratch/other.png" ] || fail "a sheet in spite of the wrong options"
