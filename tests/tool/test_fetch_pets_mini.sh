#!/bin/bash
# test_fetch_pets_mini.sh - real pictures: all 695 with the odd files, paths without the top folder,
# a damaged copy refused. Needs BIN; skipped without the archive. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
needs_archive
fetch=$BIN/fetch

"$fetch" pets-mini --from "$archive" >out 2>err || { cat err; exit 1; }
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
head -n 1 $m | grep -q "$(sha256sum <"$archive" | cut -d ' ' -f 1)" || fail "the archive's hash"
diff -r <(cd data/pets-mini/tree && find . -type f -exec sha256sum {} + | sort) \
    <(mkdir tar && cd tar && tar xzf "$archive" && cd * && find . -type f ! -path '*/.*' -exec sha256sum {} + | sort) \
    >/dev/null || fail "not what tar unpacks"
"$fetch" -q pets-mini --verify >out || fail "--verify"
"$fetch" -q mini --from "$archive" >out || fail "under another name"
cmp -s <(tail -n +2 $m) <(tail -n +2 data/mini/manifest.jsonl) || fail "another name, other files"

# a byte lost in the middle, and the end lost
rm -rf data
{ head -c 30000000 "$archive"; tail -c +30000002 "$archive"; } >damaged.tgz
"$fetch" -q pets-mini --from damaged.tgz >out 2>err && fail "a lost byte passes"
[ -z "$(ls -A data)" ] || fail "left: $(find data | head)"
head -c 72000000 "$archive" >damaged.tgz
"$fetch" -q pets-mini --from damaged.tgz >out 2>err && fail "a lost end passes"
grep -q "damaged.tgz" err || fail "the archive is not named: $(cat err)"
[ -z "$(ls -A data)" ] || fail "left: $(find data | head)"
