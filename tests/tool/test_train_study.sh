# test_train_study.sh - a study: killed and resumed, shared by two, grown; what is wrong with one is said.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
tiny_experiment 3 2 8 "{kind: constant, epochs: 2, lr: 1e-3}" "exec: {threads: 1}"
train="$BIN/train --data $data --results $results"
evaluate="$BIN/eval --data $data --results $results"
cat > "$scratch/smooth.yaml" <<YAML
# Does smoothing help?
exp: tiny
grid: {train.loss.smoothing: [0, 0.1]}
seeds: 2
YAML
study=$results/smooth

statuses() { # STATUS N: as many runs of the study have it
    local n
    n=$($evaluate smooth --list --csv 2> "$scratch/err" | grep -c ",$1,")
    [ "$n" = "$2" ] || fail "$n runs are $1, not $2: $($evaluate smooth --list)"
}

# Before it starts: runs, time, disk, what it can show; nothing is made.
$train --study "$scratch/smooth.yaml" --plan > "$scratch/out" 2> "$scratch/err" || fail "--plan: status $?"
for text in "4: 2 recipes, each 2 times" "disk " "p cannot fall below 0.5; at least 6 seeds are needed"; do
    grep -qF "$text" "$scratch/out" || fail "--plan lacks \"$text\": $(cat "$scratch/out")"
done
[ ! -e "$results" ] || fail "--plan made $(ls "$results")"

# kill -9 of the study's process and of the run that it is at, once that has a checkpoint to resume from
$train --study "$scratch/smooth.yaml" > "$scratch/out" 2> "$scratch/err" &
pid=$!
first="$study/smoothing=0,seed=42"
tries=0
until [ -s "$first/checkpoints/last.json" ] || [ $((tries += 1)) -gt 1200 ]; do sleep 0.02; done
run=$(tr -d " " < /proc/$pid/task/$pid/children)
kill -KILL $pid $run
wait $pid 2> /dev/null
tries=0
while kill -0 "$run" 2> /dev/null && [ $((tries += 1)) -lt 500 ]; do sleep 0.02; done
statuses due 3

# Task 2 alone, as in a job array; a task that is not there
$train --study "$scratch/smooth.yaml" --task 2 > "$scratch/out" 2> "$scratch/err" || fail "--task 2: status $?"
[ "$(tail -n 1 "$scratch/out")" = "$study" ] || fail "last line of stdout: $(tail -n 1 "$scratch/out")"
statuses done 1
[ -s "$study/smoothing=0.1,seed=42/predictions.h5" ] || fail "--task 2 trained another run"
refused 2 "--task 5: the study has runs 1 to 4" --study "$scratch/smooth.yaml" --task 5

# Two share the rest, one of them by the study's folder; each run is trained once.
$train --study "$scratch/smooth.yaml" > "$scratch/out1" 2> "$scratch/err1" &
pid=$!
$train --study smooth > "$scratch/out2" 2> "$scratch/err2" || fail "the second process: $(cat "$scratch/err2")"
wait $pid || fail "the first process: $(cat "$scratch/err1")"
statuses done 4
[ "$(cat "$scratch/err1" "$scratch/err2" | grep -c "info: run . of 4: ")" = 3 ] ||
    fail "not each run once: $(grep -h "of 4: " "$scratch/err1" "$scratch/err2")"
cat "$scratch/err1" "$scratch/err2" | grep -q "smoothing=0,seed=42, resumed" || fail "the killed run did not resume"
grep -q '"resumed"' "$first/run.json" || fail "the killed run began again"

# The run that was killed has the bits of one that was not, trained by itself.
train_run plain $tiny train.loss.smoothing=0 seed=42
for file in metrics.jsonl predictions.h5 checkpoints/last.safetensors; do
    cmp -s "$results/plain/$file" "$first/$file" || fail "$file of a run of the study differs from a plain run's"
done

# By recipe: of the study, of a folder of runs, of both (where the plain run is the study's over again).
$evaluate smooth > "$scratch/out" 2> "$scratch/err" || fail "eval smooth: $(cat "$scratch/err")"
for text in "smooth: 4 of 4 runs done" "smoothing=0.1 against smoothing=0.0: too few seeds to decide" \
    "p cannot fall below 0.5" "at least 6 seeds of each are needed" "over 2 seeds x 16 pictures"; do
    grep -qF "$text" "$scratch/out" || fail "eval smooth lacks \"$text\": $(cat "$scratch/out")"
done
$evaluate --groups plain smooth --json > "$scratch/out" 2> "$scratch/err" || fail "--groups: $(cat "$scratch/err")"
grep -q "smoothing=0,seed=42 is left out: the same recipe, seed, split and fold as another run" "$scratch/err" ||
    fail "--groups counts a run twice: $(cat "$scratch/err")"
[ "$(grep -c '"seeds": 2,' "$scratch/out")" = 3 ] || fail "--groups --json: $(cat "$scratch/out")"
grep -q '"seeds_needed": 6' "$scratch/out" || fail "--groups --json: $(cat "$scratch/out")"
$evaluate "$results" --csv > "$scratch/out" 2> "$scratch/err" || fail "eval of a folder: $(cat "$scratch/err")"
grep -q "^tiny,1,[0-9.]*,,,,1,16," "$scratch/out" || fail "eval of a folder: $(cat "$scratch/out")"
$evaluate --compare smooth plain > "$scratch/out" 2> "$scratch/err" || fail "--compare of a study"
grep -q "sign flips over seeds p" "$scratch/out" || fail "--compare of a study: $(cat "$scratch/out")"

# The page of the study; a folder of runs has none.
[ "$($evaluate smooth --report 2> "$scratch/err")" = "$study/report.html" ] || fail "--report of a study: $(cat "$scratch/err")"
for text in "4 of 4 runs done" "2 seeds cannot decide" 'href="smoothing%3D0%2Cseed%3D42/report.html"' "smoothing=0.1</b>: <span"; do
    grep -qF "$text" "$study/report.html" || fail "the study's page lacks \"$text\""
done
[ "$(grep -c '<tr data-status="done">' "$study/report.html")" = 4 ] || fail "not four runs in the study's page"
for text in "1 recipe compared with <b>smoothing=0.0</b>: 1 has too few seeds to decide." "each run's validation pictures"; do
    grep -qF "$text" "$study/report.html" || fail "the summary lacks \"$text\""
done
legend() { grep -o '<text[^>]*>smoothing=0.0</text>' "$study/report.html" | wc -l; }
[ "$(legend)" = 4 ] && ! grep -q "the mean" "$study/report.html" || fail "curves of all runs: $(legend) in legends"

# Runs without curves, with fewer epochs, without a page: what is missing is said, and nothing leads there.
cp -r "$study" "$scratch/whole"
rm "$study/smoothing=0,seed=43/metrics.jsonl" "$study/smoothing=0,seed=43/report.html"
sed -i 2d "$study/smoothing=0.1,seed=42/metrics.jsonl"
$evaluate smooth --report > "$scratch/out" 2> "$scratch/err" || fail "--report without some curves"
for text in "smoothing=0.0: the mean of 1 of 2 runs, as the other has no epochs." \
    "smoothing=0.1: the mean ends with the shortest run, after 1 epoch; the longest has 2."; do
    grep -qF "$text" "$study/report.html" || fail "the study's page lacks \"$text\""
done
[ "$(legend)" = 4 ] || fail "a recipe with one curve: $(legend) in legends"
grep -q 'href="smoothing%3D0%2Cseed%3D43/' "$study/report.html" && fail "a link to a page that is not there"
grep -q 'href="smoothing%3D0%2Cseed%3D42/' "$study/report.html" || fail "no link to a page that is there"
rm "$study/smoothing=0,seed=42/metrics.jsonl"
$evaluate smooth --report > "$scratch/out" 2> "$scratch/err" || fail "--report without a recipe's curves"
grep -q "smoothing=0.0: no curve, as its runs have no epochs" "$study/report.html" || fail "no word of a curve that is not there"
[ "$(legend)" = 0 ] || fail "a legend names a line that is not there"
rm -r "$study"
mv "$scratch/whole" "$study"

# The recipe that the others are compared with is the study's first, also where its first run is not there.
mv "$study/smoothing=0,seed=42" "$scratch/first"
$evaluate smooth > "$scratch/out" 2> "$scratch/err" || fail "a study without its first run"
grep -q "^smoothing=0.1 against smoothing=0.0: " "$scratch/out" || fail "another recipe came first: $(cat "$scratch/out")"
mv "$scratch/first" "$study/smoothing=0,seed=42"

$evaluate "$results" --report > "$scratch/out" 2> "$scratch/err"
[ $? = 2 ] || fail "--report of a folder is no misuse"

# Done: nothing is trained again. Another experiment, other keys, fewer seeds: answered, and nothing changes.
$train --study "$scratch/smooth.yaml" exec.threads=2 > "$scratch/out" 2> "$scratch/err" || fail "a study that is done: status $?"
grep -q "4 of 4 runs done" "$scratch/err" || fail "a study that is done: $(cat "$scratch/err")"
before=$(sha256sum < "$study/study.json")
sed -i 's/batch: 8/batch: 4/' "$scratch/tiny.yaml"
refused 1 "changed since the study was begun: train.batch was \"8\" and is \"4\"" --study "$scratch/smooth.yaml"
refused 1 "changed since the study was begun" --study smooth
sed -i 's/batch: 4/batch: 8/' "$scratch/tiny.yaml"
refused 1 "begun with other keys" --study "$scratch/smooth.yaml" train.size=48
refused 1 "is in no axis any more" --study "$scratch/smooth.yaml" --seeds 1
[ "$(sha256sum < "$study/study.json")" = "$before" ] || fail "study.json changed"

# Outside of --results, without the sandbox where that is asked for; the study has the hint, its runs have none.
mkdir "$scratch/away"
mv "$study" "$scratch/away/smooth"
bare=$scratch/away/smooth
rm -r "$bare/smoothing=0.1,seed=43"
$train --study "$bare" --no-sandbox > "$scratch/out" 2> "$scratch/err" || fail "a study outside --results: $(cat "$scratch/err")"
grep -q '"sandbox": "off"' "$bare/smoothing=0.1,seed=43/run.json" || fail "--no-sandbox does not reach a study's runs"
rm -r "$bare/smoothing=0.1,seed=43"
$train --study "$bare" > "$scratch/out" 2> "$scratch/err" || fail "a study outside --results, with the sandbox: $(cat "$scratch/err")"
[ "$(grep -c "next:" "$scratch/err")" = 1 ] || fail "not one hint: $(cat "$scratch/err")"
mv "$bare" "$study"
mkdir "$scratch/only"
cp -r "$study" "$scratch/only"
"$BIN/eval" --results "$scratch/only" --list > "$scratch/out" || fail "--list of studies alone"
grep -q "no run in" "$scratch/out" && fail "--list of studies alone: $(cat "$scratch/out")"
"$BIN/eval" --results "$scratch/only" > "$scratch/out" 2>&1 && fail "a study was taken for a run"
grep -q "studies: smooth" "$scratch/out" || fail "studies are not named: $(cat "$scratch/out")"

# A run that was deleted is due again; one that is damaged is named and left out; a study grows.
rm -r "$study/smoothing=0.1,seed=43"
statuses due 1
echo '{"version": 2' > "$study/smoothing=0.1,seed=42/run.json"
refused 1 "smoothing=0.1,seed=42 is damaged and left out" --study "$scratch/smooth.yaml" --seeds 3 --task 2
grep -q "6 runs now, 4 before" "$scratch/err" || fail "the study did not grow: $(cat "$scratch/err")"
statuses unreadable 1
statuses due 3
$evaluate smooth > "$scratch/out" 2> "$scratch/err" || fail "eval of a damaged study: status $?"
grep -q "smooth: 2 of 6 runs done, 3 due, 1 unreadable" "$scratch/out" || fail "eval: $(cat "$scratch/out")"
grep -q "smoothing=0.1,seed=42 is left out" "$scratch/err" || fail "eval does not name the damaged run"
$evaluate smooth --report > "$scratch/out" 2> "$scratch/err" || fail "--report of a damaged study: $(cat "$scratch/err")"
grep -q "2 of 6 runs done, 3 due, 1 unreadable" "$study/report.html" && grep -q "Left out of the figures" "$study/report.html" ||
    fail "the page of a damaged study"
$evaluate --list > "$scratch/out" 2> "$scratch/err" || fail "--list"
grep -q "study smooth: 2 of 6 runs done" "$scratch/out" || fail "--list has no studies: $(cat "$scratch/out")"

# What is wrong is said, before anything is made.
bad() { # STATUS TEXT YAML: a study file
    printf '%s\n' "$3" > "$scratch/bad.yaml"
    refused "$1" "$2" --study "$scratch/bad.yaml"
    [ ! -e "$results/bad" ] || fail "$3: made $results/bad"
}
bad 1 "sedes is no axis of a study" "{exp: tiny, sedes: 3}"
bad 1 "did you mean seeds?" "{exp: tiny, sedes: 3}"
bad 1 "which experiment?" "{seeds: 3}"
bad 1 "seeds is an empty list" "{exp: tiny, seeds: []}"
bad 1 "seeds: 0: expected a whole number from 1" "{exp: tiny, seeds: 0}"
bad 1 "seeds: 7 is there twice" "{exp: tiny, seeds: [7, 8, 7]}"
bad 1 "folds: 1: expected a whole number from 2" "{exp: tiny, folds: 1}"
bad 1 "train.loss.smoothing: expected a list of values" "{exp: tiny, grid: {train.loss.smoothing: []}}"
bad 1 "train.loss.smothing" "{exp: tiny, grid: {train.loss.smothing: [0, 0.1]}}"
bad 1 "are the same recipe" "{exp: tiny, grid: {train.loss.smoothing: [0.1, 0.10]}}"
bad 1 "seed is set twice" "{exp: tiny, seeds: 2, keys: {seed: 3}}"
bad 1 "list: entry 2: expected" "{exp: tiny, list: [{train.size: 48}, 3]}"
bad 1 "a study has at most 100000" "{exp: tiny, seeds: 10000, split_seeds: 100}"
refused 2 "--task 9: the study has runs 1 to 2" --exp "$scratch/tiny.yaml" --seeds 2 --name bad --task 9
[ ! -e "$results/bad" ] || fail "--task 9: made $results/bad"
refused 1 "no such study file" --study "$scratch/none.yaml"
refused 2 "--seeds: x: expected a whole number" --exp "$scratch/tiny.yaml" --seeds x
refused 1 "is a run, not a study" --exp "$scratch/tiny.yaml" --seeds 2 --name plain
refused 2 "--task I goes with a study" --exp "$scratch/tiny.yaml" --task 1
refused 2 "leave out --resume" --seeds 2 --resume plain
printf "{exp: tiny, keys: {train.batch: 4000}, seeds: 2}" > "$scratch/large.yaml"
refused 1 "run seed=42 could not begin" --study "$scratch/large.yaml"
refused 1 "larger than" --study "$scratch/large.yaml"
echo "a study is killed, shared, grown and refused as it should be"
