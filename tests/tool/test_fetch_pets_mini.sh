#!/bin/bash
# test_fetch_pets_mini.sh - real pictures: all 695 with the odd files, paths without the top folder,
# a damaged copy refused. Needs BIN; skipped without the archive. SPDX-License-Identifier: MIT
set -u
export LC_ALL=C
unset PRESIZE_DATA
ARCHIVE=$(realpath "${PRESIZE_SHARED:-${SOURCE:-.}/../shared}")/data/oxford-iiit-pet-mini.tgz
[ -f "$ARCHIVE" ] || { echo "skipped: no oxford-iiit-pet-mini.tgz (PRESIZE_SHARED)"; exit 77; }
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
FAILED=0
fetch=$BIN/fetch
fail() { echo "FAILED: $*"; FAILED=1; }

"$fetch" pets-mini --from "$ARCHIVE" >out 2>err || { cat err; exit 1; }
[ "$(cat out)" = data/pets-mini/tree ] || fail "stdout: $(cat out)"
grep -q "no published hash" err || fail "it does not say that the hash is its own"
m=data/pets-mini/manifest.jsonl
[ "$(grep -cE '"images/[^"]*\.jpg"' $m)" = 695 ] || fail "pictures: $(grep -c images/ $m)"
[ "$(grep -cE '"images/[^"]*\.mat"' $m)" = 3 ] || fail "the three .mat files"
for f in images/Abyssinian_34.jpg images/Egyptian_Mau_14.jpg annotations/list.txt \
    annotations/trimaps/Abyssinian_1.png annotations/xmls/Abyssinian_1.xml; do
    grep -q "\"path\": \"$f\"" $m || fail "$f is missing"
done
grep -q oxford-iiit-pet/ $m && fail "the top folder was not taken off"
head -n 1 $m | grep -q "$(sha256sum <"$ARCHIVE" | cut -d ' ' -f 1)" || fail "the archive's hash"
diff -r <(cd data/pets-mini/tree && find . -type f -exec sha256sum {} + | sort) \
    <(mkdir tar && cd tar && tar xzf "$ARCHIVE" && cd * && find . -type f ! -path '*/.*' -exec sha256sum {} + | sort) \
    >/dev/null || fail "not what tar unpacks"
"$fetch" -q pets-mini --verify >out || fail "--verify"
"$fetch" -q mini --from "$ARCHIVE" >out || fail "under another name"
cmp -s <(tail -n +2 $m) <(tail -n +2 data/mini/manifest.jsonl) || fail "another name, other files"

# a byte lost in the middle, and the end lost
rm -rf data
{ head -c 30000000 "$ARCHIVE"; tail -c +30000002 "$ARCHIVE"; } >damaged.tgz
"$fetch" -q pets-mini --from damaged.tgz >out 2>err && fail "a lost byte passes"
[ -z "$(ls -A data)" ] || fail "left: $(find data | head)"
head -c 72000000 "$ARCHIVE" >damaged.tgz
"$fetch" -q pets-mini --from damaged.tgz >out 2>err && fail "a lost end passes"
grep -q "damaged.tgz" err || fail "the archive is not named: $(cat err)"
[ -z "$(ls -A data)" ] || fail "left: $(find data | head)"

[ $FAILED = 0 ] && echo "fetch pets-mini: all good"
exit $FAILED
