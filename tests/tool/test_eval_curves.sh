# test_eval_curves.sh - eval --plot and --watch on made-up runs: in progress, done, killed, torn, empty.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
holder=
at_end() { kill $holder 2> /dev/null; }
results=$scratch/results
unset COLUMNS LC_ALL LC_CTYPE
export LANG=C

evaluate() { # STATUS ARGS...
    local status=$1 got
    shift
    "$BIN/eval" --results "$results" "$@" > "$scratch/out" 2> "$scratch/err"
    got=$?
    [ $got = "$status" ] || fail "eval $*: status $got, expected $status"
}
shows() { grep -qF -e "$1" "$scratch/out" || fail "expected \"$1\" on stdout"; }
says() { grep -qF -e "$1" "$scratch/err" || fail "expected \"$1\" on stderr"; }
epoch() { # NUMBER LOSS
    echo "{\"epoch\": $1, \"phase\": \"head\", \"split\": \"valid\", \"train_loss\": $2, \"valid_loss\": $2," \
        "\"error_rate\": 0.5, \"accuracy\": 0.5, \"lr\": 0.001, \"lr_first\": 0.0001, \"steps\": 4}"
}
status_is() { # STATUS: of run.json, replaced whole as train does
    sed "s/\"status\": \"[a-z]*\"/\"status\": \"$1\"/" "$results/live/run.json" > "$scratch/run.json" &&
        mv "$scratch/run.json" "$results/live/run.json"
}
hold() { # as a training holds the lock of its run
    (exec 9> "$results/live/.lock"; flock 9; exec sleep 100) &
    holder=$!
    for _ in $(seq 100); do
        flock -n "$results/live/.lock" true || return 0
        sleep 0.05
    done
    fail "the lock is free"
}
release() {
    kill "$holder"
    wait "$holder" 2> /dev/null
    holder=
}
until_shows() { # TEXT: in what runs in the background printed
    for _ in $(seq 200); do
        grep -qF -e "$1" "$scratch/out" && return 0
        sleep 0.05
    done
    fail "expected \"$1\""
}

"$BIN/test_predictions" --make "$results" live 1 5 || fail "test_predictions --make"
metrics=$results/live/metrics.jsonl
rm -f "$metrics"
touch "$results/live/.lock"

# No epoch yet; one; three, with what is no number and a line that is no JSON; a last line that is still written.
evaluate 0 live --plot
shows "(done, 0 epochs)"
shows "no epoch has ended yet"
epoch 0 2.5 > "$metrics"
evaluate 0 live --plot
shows "(done, 1 epoch)"
for title in "Loss (nat)  ... train  o valid" "Error rate (share of pictures)  o valid" "Learning rate (of the head)  ... train"; do
    shows "$title"
done
grep -q "not finite\|left out" "$scratch/out" && fail "control: nothing is wrong here"
{ epoch 1 null; echo 'torn {'; epoch 2 1e999; epoch 2 1.5; epoch 3 1.25; epoch 4 1 | head -c 60; } >> "$metrics"
evaluate 0 live --plot
shows "(done, 4 epochs)" # 1e999 is no JSON either
shows "metrics.jsonl: line 3 is no JSON object: left out"
shows "2 points are not finite"
cp "$scratch/out" "$scratch/once"
evaluate 0 --plot live
cmp -s "$scratch/once" "$scratch/out" || fail "the same run, another drawing"
LC_ALL=C grep -q '[^ -~]' "$scratch/out" && fail "not ASCII"
for columns in 40 57 132; do
    COLUMNS=$columns evaluate 0 live --plot
    awk -v most=$columns 'NR > 1 && length($0) > most { bad = 1 } NR > 4 && length($0) > most - 3 { wide = 1 }
        END { exit bad || !wide }' "$scratch/out" || fail "COLUMNS=$columns: too wide, or room is left"
done
LANG=C.UTF-8 evaluate 0 live --plot
LC_ALL=C grep -q "$(printf '\342[\240-\243]')" "$scratch/out" || fail "UTF-8: no braille"

# The curve of steps is the last checkpoint's; a damaged one is said, the epochs' values stand in.
mkdir -p "$results/live/checkpoints"
echo '{"resume": {"curve": [[0.5, 7.5, 0.001, 0.001], [1.0, 6, 0.001, 0.001]]}}' > "$results/live/checkpoints/last.json"
evaluate 0 live --plot
shows "8 +"
echo '{"resume": ' > "$results/live/checkpoints/last.json"
evaluate 0 live --plot
shows "the training loss is that of the epochs' ends"
rm "$results/live/checkpoints/last.json"

evaluate 2 live --plot --json
says "--plot draws"
evaluate 2 live --watch --best
says "not with --watch"
evaluate 1 nowhere --watch
says "no run nowhere"

# Followed into a pipe: a line per epoch, until the run is done.
epoch 0 2.5 > "$metrics"
hold
status_is running
: > "$scratch/out"
"$BIN/eval" --results "$results" --watch live > "$scratch/out" 2> "$scratch/err" &
watcher=$!
until_shows "epoch 0  head  train loss 2.5000  valid loss 2.5000  error rate 0.5000  rate 0.001"
epoch 1 2 >> "$metrics"
until_shows "epoch 1  head  train loss 2.0000"
kill -0 $watcher 2> /dev/null || fail "it ended while the run went on"
epoch 2 1 >> "$metrics"
status_is done
wait $watcher || fail "done: status $?"
[ "$(grep -c '^epoch' "$scratch/out")" = 3 ] || fail "a line per epoch"
shows "live: done"

# Ctrl-C ends it with status 0; a run whose process is gone with status 1.
status_is running
: > "$scratch/out"
"$BIN/eval" --results "$results" --watch live > "$scratch/out" 2> "$scratch/err" &
watcher=$!
until_shows "epoch 2"
kill -INT $watcher
wait $watcher || fail "Ctrl-C: status $?"
: > "$scratch/out"
"$BIN/eval" --results "$results" --watch live > "$scratch/out" 2> "$scratch/err" &
watcher=$!
until_shows "epoch 2"
release
wait $watcher
[ $? = 1 ] || fail "killed: not status 1"
says "live: killed"
says "train --resume live"

# On a terminal the screen is cleared and drawn, not more often than there is something new.
if command -v script > /dev/null; then
    status_is done
    TERM=xterm script -qec "stty rows 24 columns 60; '$BIN/eval' --results '$results' --watch live" /dev/null \
        > "$scratch/out" < /dev/null || fail "on a terminal: status $?"
    [ "$(grep -c "$(printf '\033\\[2J')" "$scratch/out")" = 1 ] || fail "drawn other than once"
    [ "$(wc -l < "$scratch/out")" -le 24 ] || fail "more lines than the terminal has"
fi
exit 0
