#!/bin/bash
# test_large_set.sh - a set of ImageNet's size, 1,281,167 pictures in 2,503 shards, is opened and split within 400 MB
# (docs/performance.md: 283 MB), also where few files may be open. Needs BIN and BUILD. SPDX-License-Identifier: MIT
set -u
LIMIT_MB=400 # of bench_large's peak
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cmake --build "$BUILD" --parallel --target bench_large >"$WORK/built" 2>&1 || { cat "$WORK/built"; exit 1; }
(ulimit -n 256 && "$BIN/bench_large" "$WORK" 1281167 no-duplicates) >"$WORK/out" || { echo "FAIL: bench_large"; exit 1; }
cat "$WORK/out"
grep -q '^1281167 pictures in 2503 shards' "$WORK/out" || { echo "FAIL: not as many pictures"; exit 1; }
peak=$(sed -n 's/^peak \([0-9]*\)\..*/\1/p' "$WORK/out")
[ "$peak" -le $LIMIT_MB ] || { echo "FAIL: $peak MB, above $LIMIT_MB"; exit 1; }
[ "$peak" -gt 60 ] || { echo "FAIL: $peak MB cannot be: 1,281,167 records of 48 bytes"; exit 1; }
