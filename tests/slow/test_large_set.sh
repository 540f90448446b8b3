#!/bin/bash
# test_large_set.sh - a set of ImageNet's size, 1,281,167 pictures in 2,503 shards, is opened and split within 400 MB
# (docs/performance.md: 283 MB), also where few files may be open. Needs BIN and BUILD. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
LIMIT_MB=400 # of bench_large's peak
cmake --build "$BUILD" --parallel --target bench_large >"$scratch/built" 2>&1 || { cat "$scratch/built"; exit 1; }
(ulimit -n 256 && "$BIN/bench_large" "$scratch" 1281167 no-duplicates) >"$scratch/out" || fail "bench_large"
cat "$scratch/out"
grep -q '^1281167 pictures in 2503 shards' "$scratch/out" || fail "not as many pictures"
peak=$(sed -n 's/^peak \([0-9]*\)\..*/\1/p' "$scratch/out")
[ "$peak" -le $LIMIT_MB ] || fail "$peak MB, above $LIMIT_MB"
[ "$peak" -gt 60 ] || fail "$peak MB cannot be: 1,281,167 records of 48 bytes"
