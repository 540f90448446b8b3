#!/bin/bash
# test_fetch_demo.sh - the demo set: same bytes each time and at any number of processors, Oxford's
# layout, lists that agree with the pictures, the set as Croissant. Needs BIN and SOURCE. SPDX-License-Identifier: MIT
set -u
export LC_ALL=C
unset PRESIZE_DATA
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
FAILED=0
fetch=$BIN/fetch
fail() { echo "FAILED: $*"; FAILED=1; }

"$fetch" demo >out 2>err || { cat err; exit 1; }
[ "$(tail -n 1 out)" = data/demo/tree ] || fail "stdout: $(cat out)"
taskset -c 0 "$fetch" -q demo --data once >/dev/null || fail "on one processor"
cmp -s data/archives/demo.tar once/archives/demo.tar || fail "not the same archive twice"
cmp -s data/demo/manifest.jsonl once/demo/manifest.jsonl || fail "not the same manifest twice"
"$fetch" demo >out 2>err; grep -q complete err || fail "made twice"
"$fetch" -q demo --verify >out || fail "--verify"

cd data/demo/tree || exit 1
[ "$(ls -A)" = "$(printf 'annotations\nimages')" ] || fail "layout: $(ls -A)"
# KIND_N.jpg, at least 8 kinds of at least 60, capital = cat
ls images | sed -n 's/_[0-9]*\.jpg$//p' | sort | uniq -c >../kinds
[ "$(ls images | grep -cvE '^[A-Za-z_]+_[0-9]+\.jpg$')" = 0 ] || fail "odd names"
[ "$(wc -l <../kinds)" -ge 8 ] || fail "kinds: $(cat ../kinds)"
awk '$1 < 60 { exit 1 }' ../kinds || fail "kinds: $(cat ../kinds)"
grep -q ' [A-Z]' ../kinds && grep -q ' [a-z]' ../kinds || fail "no cats or no dogs"
awk '!/^#/ && (($1 ~ /^[A-Z]/) != ($3 == 1)) { exit 1 }' annotations/list.txt || fail "species"
# list.txt names every picture once; trainval and test are its two halves
grep -v '^#' annotations/list.txt | sort >../all
cat annotations/trainval.txt annotations/test.txt | sort | cmp -s - ../all || fail "the two lists"
cut -d ' ' -f 1 ../all | sed 's/$/.jpg/' | sort | cmp -s - <(ls images | sort) || fail "list and pictures"
# all of them begin as a JPEG does, and no two are the same
for f in images/*; do
    [ "$(head -c 3 "$f" | od -An -tx1 | tr -d ' ')" = ffd8ff ] || fail "$f is no JPEG"
done
[ "$(sha256sum images/* | cut -d ' ' -f 1 | sort -u | wc -l)" = "$(ls images | wc -l)" ] || fail "equal pictures"

# Croissant: the archive by its hash, a class a record, and the same bytes twice
cd "$SOURCE" || exit 1
for i in 1 2; do
    "$BIN/prep" demo --data "$WORK/data" --croissant >"$WORK/croissant$i" 2>"$WORK/err" || fail "--croissant: $(cat "$WORK/err")"
done
cmp -s "$WORK/croissant1" "$WORK/croissant2" || fail "--croissant: other bytes the second time"
grep -qF "\"sha256\": \"$(sha256sum "$WORK/data/archives/demo.tar" | cut -d ' ' -f 1)\"" "$WORK/croissant1" || fail "--croissant: no archive"
[ "$(grep -c '"classes/name": ' "$WORK/croissant1")" = "$(wc -l <"$WORK/data/demo/kinds")" ] || fail "--croissant: classes"
grep -qF '"conformsTo": "http://mlcommons.org/croissant/1.1"' "$WORK/croissant1" || fail "--croissant: its version"
grep -qF '"*images/*.jpg"' "$WORK/croissant1" || fail "--croissant: pictures"

[ $FAILED = 0 ] && echo "fetch demo: all good"
exit $FAILED
