#!/bin/bash
# test_train_data.sh - what train says of the data: pictures in no part, classes that are not validated,
# duplicates across the split, shards that disagree or were changed, more shards than open files.
# Needs BIN, SOURCE and BUILD. SPDX-License-Identifier: MIT
. "$(dirname "$0")/train_common.sh"
cd "$scratch" || exit 1
unset PRESIZE_DATA
mkdir -p prep/datasets experiments
cat >experiments/e.yaml <<'END'
# does it run?
model: {arch: resnet20, weights: none}
train: {size: 16, batch: 8, phases: [{kind: one_cycle, epochs: 1, lr: 1e-3}]}
exec: {threads: 1}
END
says() { grep -qF -- "$1" err || fail "stderr lacks '$1'"; }
silent() { ! grep -qF -- "$1" err || fail "stderr has '$1'"; }
# run NAME WORDS...: it must train
run() {
    local name=$1
    shift
    "$BIN/train" --exp e --data d --results r --name "$name" data.set=s "$@" >out 2>err || fail "train $name"
}
# shows WORDS...: what would be trained with
shows() { "$BIN/train" --exp e --data d --summary data.set=s "$@" >out 2>err || fail "train --summary $*"; }
refuse() {
    "$BIN/train" --exp e --data d --results r --name no data.set=s "$@" >out 2>err && fail "train $*: not refused"
    [ ! -e r/no ] || fail "a run was begun"
}
# lists RUN TEXT: eval --json has it
lists() { "$BIN/eval" "$1" --data d --results r --json 2>err | grep -qF "$2" || fail "eval $1 --json lacks $2"; }
first=0
for i in 10 11 12 13 14 15 16 17 18 19; do
    for c in cat dog owl; do
        mkdir -p s/$c
        first=$((first + 1)) # noise, the same every time
        { printf 'P6\n40 40\n255\n'
            LC_ALL=C awk -v seed=$first 'BEGIN { srand(seed); for (i = 0; i < 4800; i++) printf "%c", 1 + int(rand() * 255) }'; } >s/$c/$i.ppm
    done
done
rm s/owl/1[2-9].ppm
cp s/cat/10.ppm s/dog/copy.ppm
printf 'root: %s\npresize: {size: 32}\n' "$scratch/s" >prep/datasets/s.yaml
"$BIN/prep" s --data d >out 2>err || fail "prep s"

# --- a table that names some of the pictures only; owl trains and is not validated; a leak
{ echo path,split
    for i in 10 11 12 13 14; do echo "cat/$i.ppm,train"; echo "dog/$i.ppm,train"; done
    echo owl/10.ppm,train; echo cat/15.ppm,valid; echo dog/15.ppm,valid; echo dog/copy.ppm,valid; } >sp.csv
run a data.split=csv data.split_csv=sp.csv
says "9 pictures are in no part of the split"
says "1 class has no validation picture: its recall is not measured: owl (1 training pictures)"
says "1 validation or test picture has a duplicate in training"
says "on the 2 that have no duplicate in training"
grep -q '^owl,,,,0,' r/a/per_class.csv || fail "per_class.csv gives owl a recall"
"$BIN/eval" a --data d --results r >out 2>err || fail "eval a"
grep -q "9 pictures are in no part" out || fail "eval does not say what was left out"
grep -q "on the 2 that have no duplicate" out || fail "eval does not give the rate without leaks"
lists a '"in_no_part"'
lists a '"copies"'
"$BIN/eval" a --data d --results r --verify >out 2>err || fail "eval --verify"

# --- wherever a rate stands, the one without the leaking picture stands beside it, and --compare tests both
run b data.split=csv data.split_csv=sp.csv seed=7
evals() { # evals TEXT ARGS...: eval prints TEXT
    local text=$1
    shift
    "$BIN/eval" "$@" --data d --results r >out 2>err || fail "eval $*"
    grep -q -e "$text" out || fail "eval $*: no '$text' in: $(cat out)"
}
evals "pictures_without_leaks\": 2" --compare a b --json
evals "\"without_leaks\": [01]" --compare a b --json
grep -q '"pictures": 3' out || fail "--compare: the test of all pictures"
evals "without pictures that have duplicates in training: .*" --compare a b
grep -q "on 3 pictures" out && grep -q "on 2 pictures" out || fail "--compare: $(cat out)"
evals "that have no duplicate in training" a --split valid
evals "without_leaks" a --split valid --csv
evals "report.html" a --report
grep -q "that have no duplicate in training" r/a/report.html || fail "report.html: no rate without leaks"
# a run of an older program names no picture: that is said, and what to do
sed -i 's/"leaking"/"other"/' r/b/metrics.json
evals "does not record which of its pictures" --compare a b
evals "on 2 pictures" --compare a b --split valid

# --- without leaks there is no such line, and nothing is left out (control)
{ cat sp.csv; for f in s/*/*; do grep -q "^${f#s/}," sp.csv || echo "${f#s/},train"; done; } |
    sed 's/copy.ppm,valid/copy.ppm,train/; s#owl/10.ppm,train#owl/10.ppm,valid#' >all.csv
shows data.split=csv data.split_csv=all.csv
silent "no part"
run c data.split=csv data.split_csv=all.csv
run d data.split=csv data.split_csv=all.csv seed=7
"$BIN/eval" --compare c d --data d --results r >out 2>err || fail "eval --compare"
grep -q "without pictures" out && fail "--compare tests without leaks where there are none"
grep -q "that have no duplicate" r/c/report.html && fail "report.html: a rate without leaks"
silent "duplicate"

# --- random: copies go where their twins are, and a record from before the key means as_split
cp s/cat/1*.ppm s/owl/
"$BIN/prep" s --data d >out 2>err || fail "prep s"
run together
says "in training and train instead"
silent "too good"
run as data.duplicates=as_split
says "may be too good"
sed '/^version: /d; /^  duplicates: /d; /^  conv: /d; /^  isa: /d; /^  weights_key: /d' r/as/resolved.yaml >resolved.yaml
config() { grep -o '"config": "[0-9a-f]*"' "r/$1/run.json"; }
"$BIN/train" --exp resolved.yaml --data d --results r --name old exec.conv=own >out 2>err || fail "an older record"
says "may be too good"
[ "$(config as)" != "$(config together)" ] || fail "together and as_split have one hash"

# --- shards that disagree are not mixed, and not chosen by time
"$BIN/prep" s --data d presize.size=40 >out 2>err || fail "prep s"
shows
grep -q "shards-40" out || fail "not the larger shards"
mv s/dog/copy.ppm s/owl/
"$BIN/prep" s --data d >out 2>err || fail "prep s"
refuse
says "disagree about"
says "data.size"
shows data.size=32

# --- more shards than open files
"$BIN/prep" s --data many shard.pictures=1 >out 2>err || fail "prep s, a picture a shard"
(ulimit -n 24 && "$BIN/train" --exp e --data many --summary data.set=s >out 2>err) ||
    fail "more shards than open files"

# --- shards of JPEG files: any number of readers gives the same weights, and the chain back to the pictures is checked
"$BIN/prep" s --data j shard.storage=jpeg >out 2>err || fail "prep s, jpeg"
for readers in 1 3; do
    "$BIN/train" --exp e --data j --results r --name j$readers data.set=s exec.readers=$readers >out 2>err ||
        fail "train on shards of JPEG files, $readers readers"
done
weights() { sed -n 's/.*"weights_sha256": *"\([0-9a-f]*\)".*/\1/p' "r/$1/metrics.jsonl" | tail -n 1; }
[ -n "$(weights j1)" ] && [ "$(weights j1)" = "$(weights j3)" ] || fail "1 and 3 readers: other weights"
"$BIN/eval" j3 --data j --results r --verify >out 2>err || fail "eval --verify, jpeg"
"$BIN/eval" j3 --data j --results r --split valid >out 2>err || fail "eval --split valid, jpeg"
"$BIN/eval" j3 --data d --results r --split valid >out 2>err && fail "other pixels than the run's are not refused"

# --- index.json and shards that name other classes or settings
rm -r d/s/shards-40
for change in 's/"cat"/"cut"/' 's/"exif": "ignore"/"exif": "apply"/'; do
    cp d/s/shards-32/index.json keep
    sed -i "s/^  \"version\": 2/  \"version\": 1/; /^  \"sha256\"/d; $change" d/s/shards-32/index.json # as an older prep's
    cmp -s keep d/s/shards-32/index.json && fail "$change changes nothing"
    refuse
    says "index.json"
    says "run prep again"
    mv keep d/s/shards-32/index.json
done

# --- pipes are not waited for
mkfifo pipe.csv
timeout 20 "$BIN/train" --exp e --data d --results r --name no data.set=s data.split=csv data.split_csv=pipe.csv >out 2>err
[ $? = 1 ] || fail "a pipe as a table"
says "named pipe"
