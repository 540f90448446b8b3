#!/bin/bash
# test_fetch_demo.sh - the demo set: same bytes each time and at any number of processors, Oxford's
# layout, lists that agree with the pictures, the set as Croissant. Needs BIN and SOURCE. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
fetch=$BIN/fetch

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
    "$BIN/prep" demo --data "$scratch/data" --croissant >"$scratch/croissant$i" 2>"$scratch/err" || fail "--croissant: $(cat "$scratch/err")"
done
cmp -s "$scratch/croissant1" "$scratch/croissant2" || fail "--croissant: other bytes the second time"
grep -qF "\"sha256\": \"$(sha256sum "$scratch/data/archives/demo.tar" | cut -d ' ' -f 1)\"" "$scratch/croissant1" || fail "--croissant: no archive"
[ "$(grep -c '"classes/name": ' "$scratch/croissant1")" = "$(wc -l <"$scratch/data/demo/kinds")" ] || fail "--croissant: classes"
grep -qF '"conformsTo": "http://mlcommons.org/croissant/1.1"' "$scratch/croissant1" || fail "--croissant: its version"
grep -qF '"*images/*.jpg"' "$scratch/croissant1" || fail "--croissant: pictures"
grep -qF '"encodingFormat": "image/jpeg"' "$scratch/croissant1" || fail "--croissant: the pictures' format"
grep -q '"url"' "$scratch/croissant1" && fail "--croissant: an address of a set that is published nowhere"

# Labels of a table, pictures of two formats, whatever their names end with.
cd "$scratch" || exit 1
mkdir -p own/images
cp data/demo/tree/images/Classic_Tabby_1.jpg own/images/a.jpg
printf '\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\0\010\0\0\0\010\010\002\0\0\0' >own/images/b.jpg
head -c 64 /dev/zero >>own/images/b.jpg
printf 'id,breed,why\na,cat,x\nb,dog,y\n' >own/labels.csv
printf 'title: own\nimages: images\nlabel: {from: csv, csv: labels.csv}\n' >own.yaml
tar -cf own.tar own
"$fetch" -q own --from own.tar >out 2>err || fail "fetch own: $(cat err)"
"$BIN/prep" own.yaml --croissant >own.json 2>err || fail "--croissant of a table: $(cat err)"
tr -d ' \n' <own.json >own.flat
for text in '"encodingFormat":["image/jpeg","image/png"]' \
    "\"contentUrl\":\"labels.csv\",\"contentSize\":\"29B\",\"encodingFormat\":\"text/csv\",\"sha256\":\"$(sha256sum own/labels.csv | cut -d ' ' -f 1)\"" \
    '"extract":{"column":"id"}' '"extract":{"column":"breed"}' '"references":{"field":{"@id":"labels/name"}}' \
    '"source":{"field":{"@id":"labels/label"}}'; do
    grep -qF "$text" own.flat || fail "--croissant of a table lacks $text: $(cat own.flat)"
done
grep -q "labels are in data/own/tree/labels.csv" err || fail "--croissant: where the table is: $(cat err)"
# What Croissant cannot say is said: other separators, names that are there twice.
sed -i 's/,/;/g' data/own/tree/labels.csv
"$BIN/prep" own.yaml --croissant >own.json 2>err || fail "--croissant: $(cat err)"
grep -q "have no labels: the columns of labels.csv are parted by ;" err || fail "a table with semicolons: $(cat err)"
grep -q '"records/label"' own.json && fail "labels of a table with semicolons"
sed -i 's/;/,/g' data/own/tree/labels.csv
mkdir data/own/tree/images/more
cp data/own/tree/images/a.jpg data/own/tree/images/more/a.jpg
echo more/a,cat,z >>data/own/tree/labels.csv
"$BIN/prep" own.yaml --croissant >own.json 2>err || fail "--croissant: $(cat err)"
grep -q "have no labels: .* several pictures are called a.jpg" err || fail "a name that is there twice: $(cat err)"
grep -q "1 picture of the set came after the fetch, for example more/a.jpg" err || fail "a picture that is in no archive: $(cat err)"
rm -r data/own/tree/images/more
# The same of two rows, one of them without a picture, and of a row whose name looks as if it had an ending: no fault.
printf 'id,breed\na,cat\nb,dog\nother/a.jpg,dog\n' >data/own/tree/labels.csv
"$BIN/prep" own.yaml --croissant >own.json 2>err || fail "--croissant: $(cat err)"
grep -q "have no labels: .* several rows are called a.jpg" err || fail "a row whose name is there twice: $(cat err)"
grep -q '"records/label"' own.json && fail "labels of a table with two rows of a name"
printf 'id,breed\na,cat\nb,dog\nc.one,dog\nc.two,cat\n' >data/own/tree/labels.csv
"$BIN/prep" own.yaml --croissant >own.json 2>err || fail "--croissant: $(cat err)"
grep -q '"records/label"' own.json || fail "names with other endings are not the same: $(cat err)"
# The hash of a table is that of the file which was read: an edited one, one that came after the fetch.
grep -qF "\"sha256\": \"$(sha256sum data/own/tree/labels.csv | cut -d ' ' -f 1)\"" own.json || fail "the hash of an edited table: $(cat own.json)"
grep -qF "\"contentSize\": \"$(stat -c %s data/own/tree/labels.csv) B\"" own.json || fail "the size of an edited table: $(cat own.json)"
grep -q "labels.csv is another file now .* $(sha256sum own/labels.csv | cut -d ' ' -f 1)" err || fail "an edited table: $(cat err)"
mv data/own/tree/labels.csv data/own/tree/mine.csv
cp own/labels.csv data/own/tree/labels.csv
"$BIN/prep" own.yaml --croissant label.csv=mine.csv >own.json 2>err || fail "a table that was not fetched: $(cat err)"
grep -qF "\"sha256\": \"$(sha256sum data/own/tree/mine.csv | cut -d ' ' -f 1)\"" own.json || fail "the hash of a table that was not fetched: $(cat own.json)"
grep -q "tree/mine.csv, which is in no archive: put" err || fail "a table that was not fetched: $(cat err)"
mv data/own/tree/mine.csv data/own/mine.csv
"$BIN/prep" own.yaml --croissant label.csv=../mine.csv >own.json 2>err || fail "a table outside of the tree: $(cat err)"
grep -q "tree/../mine.csv, which is in no archive: put" err || fail "a table outside of the tree: $(cat err)"
rm data/own/mine.csv
"$BIN/prep" own.yaml --croissant label.csv=./labels.csv >own.json 2>err || fail "--croissant: $(cat err)"
grep -Eq "another file now|in no archive" err && fail "the table as it was fetched: $(cat err)"
# Patterns for names without an ending and for characters of patterns; they match the pictures, not what lies beside.
mkdir -p 'odd/im[1]/more'
for name in bare more/bäre 'c.[x]*?y' d.png.jpg; do cp data/demo/tree/images/Classic_Tabby_1.jpg "odd/im[1]/$name"; done
printf 'id,breed\nbare,cat\nmore/bäre,cat\nc.[x]*?y,dog\nd.png.jpg,dog\n' >odd/labels.csv
touch 'odd/im[1]/README' 'odd/im[1]/c.xzzy' 'odd/im[1]/a.md'
printf 'title: odd\nimages: "im[1]/"\nlabel: {from: csv, csv: labels.csv}\n' >odd.yaml
tar -cf odd.tar odd
"$fetch" -q odd --from odd.tar >out 2>err || fail "fetch odd: $(cat err)"
"$BIN/prep" odd.yaml --croissant >odd.json 2>err || fail "--croissant of odd names: $(cat err)"
grep -q "after the fetch" err && fail "all pictures are in the archive: $(cat err)"
sed -n '/"includes": \[/,/\]$/s/^ *"\(.*\)",*$/\1/p' odd.json >patterns
[ "$(head -n 2 patterns)" = "$(printf '%s\n' '*im[[]1[]]/*.[[]x[]][*][?]y' '*im[[]1[]]/*.jpg')" ] || fail "patterns: $(cat patterns)"
find odd -type f | while read -r file; do
    LC_ALL=C.UTF-8 # a pattern counts characters
    while read -r pattern; do
        # shellcheck disable=SC2254
        case $file in $pattern) echo "$file" ;; esac
    done <patterns
done | LC_ALL=C sort >matched
(cd odd && find 'im[1]' -type f -size +0 | sed 's,^,odd/,' | sort) | cmp -s - matched || fail "the patterns $(cat patterns) match $(cat matched)"
# A published archive has its address, one of the same name and another hash has none.
sed -i '1s/"source": "own"/"source": "pets"/; 1s/"file": "own.tar"/"file": "images.tar.gz"/; 1s/, "sha256": "[0-9a-f]*"}$/}/' data/own/manifest.jsonl
"$BIN/prep" own.yaml --croissant >own.json 2>err || fail "--croissant of a published set: $(cat err)"
grep -q '"contentUrl": "images.tar.gz"' own.json || fail "another archive than the published one"
sed -i '1s/"sha256": "[0-9a-f]*"/"sha256": "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d"/' data/own/manifest.jsonl
"$BIN/prep" own.yaml --croissant >own.json 2>err || fail "--croissant of a published set: $(cat err)"
grep -q '"contentUrl": "https://www.robots.ox.ac.uk/.*/images.tar.gz"' own.json && grep -q '"url": "https://www.robots' own.json ||
    fail "no address of a published archive"
