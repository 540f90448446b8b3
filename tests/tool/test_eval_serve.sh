#!/bin/bash
# test_eval_serve.sh - eval --serve: what it must refuse, what its pages do in Chromium (where it is there), how it ends.
# Needs BIN, SOURCE and BUILD. SPDX-License-Identifier: MIT
. "$(dirname "$0")/train_common.sh"

"$BIN/eval" --serve 99999 >"$scratch/out" 2>"$scratch/err"
[ $? = 2 ] || fail "a port of 99999 is no misuse"
"$BIN/eval" --serve 0 a-run >"$scratch/out" 2>"$scratch/err"
[ $? = 2 ] || fail "a run beside --serve is no misuse"
if ! "$BIN/eval" --version --verbose | grep -q libmicrohttpd; then
    mkdir -p "$results"
    "$BIN/eval" --serve 0 --results "$results" >"$scratch/out" 2>"$scratch/err"
    [ $? = 1 ] && grep -q "built without libmicrohttpd" "$scratch/err" || fail "--serve without the library"
    skip "this build has no libmicrohttpd"
fi
command -v python3 >"$scratch/out" || skip "no python3"

"$BIN/eval" --serve 0 --results "$scratch/nothing" >"$scratch/out" 2>"$scratch/err"
[ $? = 1 ] && grep -q "cannot serve $scratch/nothing" "$scratch/err" || fail "no results folder"

tiny_experiment 6 4 8 "{kind: one_cycle, epochs: 2, lr: 1e-3}"
train_run first $tiny
train_run second $tiny seed=2 train.finish=best
"$BIN/train" --data "$data" --results "$results" --name pair $tiny --seeds 2 >"$scratch/out" 2>"$scratch/err" || fail "a study"
picture=$(awk -F, '$2 == "valid" { print $1; exit }' "$scratch/split.csv")
# Class activation maps, in the page that train wrote, of one file and of files that are predicted; the same each time.
maps() { grep -o '<img class="cam" hidden[^>]*>' "$results/$1/report.html"; }
maps first >"$scratch/maps0"
maps second >"$scratch/maps3"
for i in 1 2; do
    "$BIN/eval" --data "$data" --results "$results" first --report >"$scratch/out" 2>"$scratch/err" || fail "--report"
    "$BIN/eval" --data "$data" --results "$results" first --predict "$data/demo/tree/images/$picture" \
        --cam "$scratch/cam$i.png" >"$scratch/out" 2>"$scratch/err" || fail "--cam"
    maps first >"$scratch/maps$i"
done
[ "$(wc -l <"$scratch/maps1")" = 25 ] || fail "maps in the page: $(wc -l <"$scratch/maps1")"
[ "$(sort -u "$scratch/maps1" | wc -l)" = 25 ] || fail "pictures have the same map"
"$BIN/eval" --data "$data" --results "$results" second --report >"$scratch/out" 2>"$scratch/err" || fail "--report"
cmp -s "$scratch/maps0" "$scratch/maps1" && maps second | cmp -s - "$scratch/maps3" || fail "train's page has other maps than eval's"
cmp -s "$scratch/maps0" "$scratch/maps3" && fail "two networks have the same maps"
cmp -s "$scratch/maps1" "$scratch/maps2" && cmp -s "$scratch/cam1.png" "$scratch/cam2.png" || fail "other maps the second time"
head -c 4 "$scratch/cam1.png" | grep -q PNG || fail "--cam wrote no PNG"
"$BIN/eval" --results "$results" first --cam "$scratch/cam1.png" >"$scratch/out" 2>"$scratch/err"
[ $? = 2 ] || fail "--cam alone is no misuse"
"$BIN/eval" --results "$results" first --predict "$data/demo/tree/images/$picture" --cam "$scratch/cam.jpg" \
    >"$scratch/out" 2>"$scratch/err" && fail "--cam FILE.jpg"
grep -q 'png' "$scratch/err" || fail "--cam FILE.jpg: $(cat "$scratch/err")"
# A page without weights is a page without maps.
mv "$results/first/checkpoints" "$scratch/checkpoints"
"$BIN/eval" --data "$data" --results "$results" first --report >"$scratch/out" 2>"$scratch/err" || fail "--report without weights"
grep -q "without class activation maps" "$scratch/err" || fail "no word of missing maps: $(cat "$scratch/err")"
mv "$scratch/checkpoints" "$results/first/checkpoints"
"$BIN/eval" --data "$data" --results "$results" first --report >"$scratch/out" 2>"$scratch/err" || fail "--report"

# The server's own folder has a study of the same name as a run: no study of the results.
mkdir "$scratch/here"
cp -r "$results/pair" "$scratch/here/first"
mkfifo "$scratch/address"
(cd "$scratch/here" && exec "$BIN/eval" --serve 0 --data "$data" --results "$results") >"$scratch/address" 2>"$scratch/served" &
server=$!
at_end() { kill $server 2>/dev/null; }
read -r -t 20 address <"$scratch/address" || fail "no address: $(cat "$scratch/served")"
port=${address#http://127.0.0.1:}
port=${port%%/*}
"$BIN/eval" --serve "$port" --results "$results" >"$scratch/out" 2>"$scratch/err"
[ $? = 1 ] && grep -q "cannot listen at port $port" "$scratch/err" || fail "a port that is in use"

label=$(sed -n '2s/,.*//p' "$results/first/per_class.csv")
python3 "$SOURCE/tests/tool/serve_hostile.py" "$address" first "$results/first" "$picture" "$label" pair >"$scratch/out" ||
    fail "refusals: $(cat "$scratch/out" "$scratch/served")"
cat "$scratch/out"
grep -qx "$picture,drop,,'=1+1" "$results/clean-demo.csv" || fail "clean-demo.csv: $(cat "$results/clean-demo.csv")"
[ "$(ls "$results")" = "$(printf 'clean-demo.csv\nfirst\npair\nsecond')" ] || fail "the server left other files: $(ls "$results")"

# What it saved is a table that data.clean takes.
train_run cleaned $tiny data.clean="$results/clean-demo.csv"
"$BIN/eval" --data "$data" --results "$results" cleaned >"$scratch/out" 2>"$scratch/err" || fail "eval cleaned"
grep -q "1 dropped" "$scratch/out" || fail "the saved table drops nothing: $(cat "$scratch/out")"

. "${SOURCE:?}/tests/tool/browser.sh"
if [ -n "$browser" ]; then
    python3 "$SOURCE/tests/tool/serve_pages.py" "$browser" "$address" "$results" first second pair \
        "$data/demo/tree/images/$picture" >"$scratch/out" || fail "pages in $browser: $(cat "$scratch/out" "$scratch/served")"
else
    echo "not run: served pages in a browser (no chromium)"
fi
kill -INT $server
wait $server || fail "Ctrl-C is no success"
