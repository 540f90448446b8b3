# test_eval_score.sh - a run scored on other parts of its set, on other sets and with test-time
# augmentation: what is stored, counted, taken again and refused. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
demo_set
official="--exp smoke data.split=official data.stratify=true train.phases.0.freeze_epochs=1 model.arch=resnet20"
train_run off $official
demo_split "$scratch/split.csv" 4 3
train_run csv --exp smoke data.split=csv data.split_csv="$scratch/split.csv" train.batch=8 model.arch=resnet20

# evaluate STATUS ARGS...
evaluate() {
    local status=$1 got
    shift
    "$BIN/eval" --data "$data" --results "$results" "$@" > "$scratch/out" 2> "$scratch/err"
    got=$?
    [ $got = "$status" ] || fail "eval $*: status $got, expected $status: $(cat "$scratch/out")"
}
shows() {
    local text
    for text in "$@"; do
        grep -qF -e "$text" "$scratch/out" || fail "expected \"$text\" in: $(cat "$scratch/out")"
    done
}
says() { grep -qF -e "$1" "$scratch/err" || fail "expected \"$1\" in: $(cat "$scratch/err")"; }
silent() { [ ! -s "$scratch/err" ] || fail "said: $(cat "$scratch/err")"; }
no() { # STATUS TEXT ARGS...
    evaluate "$1" "${@:3}"
    says "$2"
}
looks() { [ "$(cat "$results/off/looks.jsonl" 2> /dev/null | wc -l)" = "$1" ] || fail "not $1 looks"; }
sound() { "$BIN/test_predictions" --check "$1" > "$scratch/sound" || fail "$1: $(cat "$scratch/sound")"; }

# What the run was finished with, and its validation part asked for by name: the same, nothing new.
sound "$results/off"
evaluate 0 off --split valid --csv
silent
shows "official split (42, stratified)"
[ ! -e "$results/off/scores" ] || fail "validation was stored again"
[ "$(sed -n 2p "$scratch/out" | cut -d, -f6)" = 80 ] || fail "80 pictures validate: $(cat "$scratch/out")"

# The test pictures: those of the official list, each look counted, what is stored taken again.
looks 0
evaluate 0 off --split test
says "first evaluation"
shows "test pictures of demo, official split (42, stratified)" "on the test split 1 time" "most confused:"
cp "$scratch/out" "$scratch/test"
looks 1
grep -Eq '"time"|"at"|20[0-9][0-9]-' "$results/off/looks.jsonl" && fail "looks.jsonl holds a time"
test=$results/off/scores/demo/test
[ "$(tail -n 1 "$scratch/out")" = "$test/predictions.csv" ] || fail "--split test: last line"
tail -n +2 "$test/predictions.csv" | cut -d, -f1 | sed 's/\.jpg$//' > "$scratch/ids"
cut -d' ' -f1 "$data/demo/tree/annotations/test.txt" | LC_ALL=C sort | cmp - "$scratch/ids" ||
    fail "the test part is not the official list"
sound "$test"
grep -q '"weights": "last"' "$test/score.json" || fail "score.json"
cp "$test/predictions.h5" "$scratch/first.h5"
evaluate 0 off --split test
silent
cmp "$scratch/out" "$scratch/test" || fail "the second look differs"
looks 1
evaluate 0 off --split test --most-confused --csv
evaluate 0 off --split test --top-losses=2 --csv
[ "$(wc -l < "$scratch/out")" = 3 ] || fail "--top-losses=2: $(cat "$scratch/out")"
evaluate 0 off --split test --top-losses=4 --show "$scratch/top.png"
[ "$(tail -n 1 "$scratch/out")" = "$scratch/top.png" ] || fail "--show: $(cat "$scratch/out")"
[ "$(head -c 4 "$scratch/top.png" | tail -c 3)" = PNG ] || fail "--show: no PNG"
evaluate 0 off --split test --confusion
[ "$(tail -n 1 "$scratch/out")" = "$test/plots/confusion.svg" ] || fail "--confusion of the test part"
grep -q "test pictures of demo" "$test/plots/confusion.svg" || fail "the plot's title"
looks 1

# One command with --tta makes two figures, which are one evaluation: its line says how they were made. A later one
# is counted and warned of.
cp -r "$results/off" "$results/once" && rm -r "$results/once/scores" "$results/once/looks.jsonl"
evaluate 0 once --split test --tta=1
says "first evaluation"
grep -q "evaluation [0-9]" "$scratch/err" && fail "a warning of the command's own figure: $(cat "$scratch/err")"
[ "$(wc -l < "$results/once/looks.jsonl")" = 1 ] || fail "not one line of one command with --tta"
grep -q '"rounds": *1' "$results/once/looks.jsonl" || fail "looks.jsonl: $(cat "$results/once/looks.jsonl")"
evaluate 0 once --split test
silent
evaluate 0 once --split test --tta=2
says "evaluation 2"

# Damage, a torn store and other weights are not taken for it; the same bits come again.
head -c 200 "$scratch/first.h5" > "$test/predictions.h5"
evaluate 0 off --split test
says "evaluation 2"
cmp "$test/predictions.h5" "$scratch/first.h5" || fail "scored again: other bits"
# A score of a newer version is left out of the report with a warning, a half-stored one without.
sed -i 's/^  "version": .*/  "version": 99,/' "$test/score.json"
evaluate 0 off --report
says "a score is left out: "
says "version 99"
evaluate 0 off --verify
grep -q '^scores *not checked .*version 99' "$scratch/out" || fail "--verify of a newer score: $(cat "$scratch/out")"
head -c 50 "$test/score.json" > "$scratch/torn" && cp "$scratch/torn" "$test/score.json"
evaluate 1 off --verify
grep -q '^scores *FAILED .*score.json' "$scratch/out" || fail "--verify of a torn score: $(cat "$scratch/out")"
rm "$test/score.json"
evaluate 0 off --verify
grep -q '^scores *not checked .*demo/test/score.json is missing' "$scratch/out" || fail "--verify of half a score: $(cat "$scratch/out")"
touch "$results/off/scores/demo/notes.txt" # somebody's own
evaluate 0 off --verify
grep -q 'notes' "$scratch/out" && fail "--verify of a file beside the scores: $(cat "$scratch/out")"
mv "$results/off/scores" "$scratch/kept" && touch "$results/off/scores"
evaluate 1 off --verify
grep -q '^scores *FAILED .*off/scores: Not a directory' "$scratch/out" || fail "--verify of scores that are a file: $(cat "$scratch/out")"
rm "$results/off/scores" && mv "$scratch/kept" "$results/off/scores"
evaluate 0 off --report
grep -q "left out" "$scratch/err" && fail "a warning of a folder without score.json"
evaluate 0 off --split test --json
shows '"looks": 3' '"tta_against_plain": null'
cp "$results/off/predictions.h5" "$test/" # whole, but of other pictures
evaluate 0 off --split test
cmp "$test/predictions.h5" "$scratch/first.h5" || fail "predictions of other pictures were taken"
cp -r "$results/off" "$results/other"
cp "$results"/csv/checkpoints/last.* "$results/other/checkpoints/"
evaluate 0 other --split test
says "evaluation 5"
cmp -s "$results/other/scores/demo/test/predictions.h5" "$scratch/first.h5" && fail "other weights, same predictions"
rm -rf "$results/other"

# What it says of files is what it says of the set: plain and averaged.
evaluate 0 off --tta
shows "validation pictures of demo" "TTA of 4 rounds, beta 0.25" "with test-time augmentation against without: " "on 80 pictures"
tta=$results/off/scores/demo/valid-tta
sound "$tta"
cp "$tta/predictions.h5" "$scratch/tta.h5"
cmp -s "$tta/predictions.csv" "$results/off/predictions.csv" && fail "--tta changes nothing"
files=$(tail -n +2 "$tta/predictions.csv" | cut -d, -f1 | tail -n 40) # more than one chunk, another place
(cd "$data/demo/tree/images" && "$BIN/eval" --results "$results" off --csv --tta --predict $files) \
    > "$scratch/out" 2> "$scratch/err" || fail "--predict --tta"
rows() { awk -F, '{ printf "%s,%s,%.6f\n", $1, $2, $3 }' | LC_ALL=C sort; }
tail -n +2 "$scratch/out" | rows > "$scratch/got"
tail -n +2 "$tta/predictions.csv" | tail -n 40 | cut -d, -f1,3,5 | rows > "$scratch/expected"
cmp "$scratch/got" "$scratch/expected" || fail "--predict --tta: $(diff "$scratch/got" "$scratch/expected" | head -n 4)"
# The same bits at other thread counts (and so other batches), from run to run; others for another N.
for threads in 1 3; do
    cp -r "$results/off" "$results/threads"
    rm -r "$results/threads/scores"
    sed -i "s/^\( *threads:\).*/\1 $threads/" "$results/threads/resolved.yaml"
    grep -q "threads: $threads" "$results/threads/resolved.yaml" || fail "threads: not set"
    evaluate 0 threads --tta
    cmp "$results/threads/scores/demo/valid-tta/predictions.h5" "$scratch/tta.h5" ||
        fail "--tta: other bits at $threads threads"
    rm -rf "$results/threads"
done
evaluate 0 off --tta=2 --beta 0.5 --json
shows '"only_tta_wrong"' "TTA of 2 rounds, beta 0.5"
cmp -s "$tta/predictions.h5" "$scratch/tta.h5" && fail "--tta=2 --beta 0.5 gives what --tta gives"
evaluate 0 off
shows "also scored" "test pictures of demo" "TTA of 2 rounds"
evaluate 0 off --report
grep -q "Other scores" "$results/off/report.html" || fail "--report: no scores"

# Another set with these classes: by name, whatever their numbers; pictures trained with are noticed.
sets=$scratch/sets
mkdir -p "$sets" "$scratch/few"
cp -r "$data/demo" "$sets/demo"
cp -r "$data/demo" "$sets/copy"
data=$sets
evaluate 0 off --set copy --csv
says "320 of these 800 pictures of copy are pictures that off was trained with"
shows "pictures of copy, all of them"
evaluate 0 --compare off csv --set copy
shows "csv against off: " " on 800 pictures;" "pictures of copy, all of them"
evaluate 0 --report --compare off csv --set copy
[ "$(cat "$scratch/out")" = "$results/compare-off-csv.html" ] || fail "--compare --report: $(cat "$scratch/out")"
no 1 "no page: csv cannot be compared with off: different pictures" --compare off csv --report

# The pages in a browser.
evaluate 0 off --report
cp -r "$results/off" "$results/bare"
evaluate 0 off --predict "$data/demo/tree/images" --report
"$BIN/eval" --data "$scratch/none" --results "$results" bare --report > "$scratch/out" || fail "--report without shards"
. "${SOURCE:?}/tests/tool/browser.sh"
if [ -n "$browser" ] && command -v python3 > "$scratch/out"; then
    python3 "$SOURCE/tests/tool/pages.py" "$browser" "$results/off/report.html" \
        "$results/compare-off-csv.html" "$results/bare/report.html" \
        "$results/off/predicted.html" > "$scratch/out" 2>&1 ||
        fail "pages in $browser: $(cat "$scratch/out")"
else
    echo "not run: pages in a browser (no chromium, or no python3)"
fi
rm -r "$results/bare"
for id in $(tail -n +2 "$results/off/predictions.csv" | cut -d, -f1 | grep -E '^(Rosetted|brindle|star|arrow)' | head -n 40); do
    cp "$data/demo/tree/images/$id" "$scratch/few/"
done
[ "$(ls "$scratch/few" | wc -l)" -gt 10 ] || fail "too few pictures for a set"
printf "title: few\nroot: %s\nlabel: {from: regex, regex: '(.+)_\\\\d+.jpg$'}\npresize: {size: 128}\n" \
    "$scratch/few" > "$scratch/few.yaml"
"$BIN/prep" "$scratch/few.yaml" --data "$data" > "$scratch/out" 2> "$scratch/err" || fail "prep few"
evaluate 0 off --set few --csv
silent # they validated, they were not trained with
grep -F -f <(ls "$scratch/few") "$results/off/predictions.csv" | LC_ALL=C sort > "$scratch/expected"
tail -n +2 "$results/off/scores/few/all/predictions.csv" | LC_ALL=C sort > "$scratch/got"
cmp "$scratch/expected" "$scratch/got" || fail "--set few: $(diff "$scratch/expected" "$scratch/got" | head -n 4)"
one=$(ls "$scratch/few" | head -n 1)
mv "$scratch/few/$one" "$scratch/few/new kind_1.jpg"
cp "$scratch/few/new kind_1.jpg" "$scratch/few/Other_1.jpg"
"$BIN/prep" "$scratch/few.yaml" --data "$data" > "$scratch/out" 2> "$scratch/err" || fail "prep few again"
no 1 "not 2 of this set's: Other, new kind" off --set few
[ "$(ls "$results/off/scores/few")" = all ] || fail "a refused set left something"

# Refused.
no 1 "keeps no such pictures" csv --split test
no 1 "prep none" off --set none
no 1 "name of a prepared set" off --set ../few
no 2 "train, valid or test" off --split all
no 2 "from 0 to 1" off --tta --beta 1.5
no 2 "whole number from 1" off --tta=none
no 2 "--beta goes with --tta" off --beta 0.5
no 2 "not with --verify" off --split test --verify
no 2 "takes files" off --split test --predict "$0"
awk -F, 'NR > 1 && !t && $2 == "train" { t = $2 = "valid" } NR > 2 && !v && $2 == "valid" { v = $2 = "train" }
    { print $1 "," $2 }' "$scratch/split.csv" > "$scratch/swapped.csv"
[ "$(cut -d, -f2 "$scratch/swapped.csv" | sort | uniq -c)" = "$(cut -d, -f2 "$scratch/split.csv" | sort | uniq -c)" ] ||
    fail "the control: parts of other sizes"
evaluate 0 csv --split train
cp "$scratch/swapped.csv" "$scratch/split.csv"
no 1 "the table was changed" csv --split train
sed -i 's/"size": 128/"size":  128/' "$data/demo/shards-128/index.json"
no 1 "was prepared again" off --split train
cp -r "$results/csv" "$results/plain"
sed -i 's/^\( *mode:\).*/\1 none/' "$results/plain/resolved.yaml"
no 1 "nothing to average" plain --tta
no 1 "nothing to average" plain --tta --predict "$scratch/few/Other_1.jpg"
rm "$results"/plain/checkpoints/*
no 1 "no checkpoint" plain --split train
exit 0
