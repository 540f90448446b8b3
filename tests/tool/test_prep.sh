#!/bin/bash
# test_prep.sh - prep on small sets made here: same bytes at any number of workers, every kind of bad
# input, and what each option prints. Needs BIN and SOURCE. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/flip_byte.sh"
mkdir -p prep/datasets
prep=$BIN/prep
hashes() { (cd "$1" && sha256sum shard-*.h5 index.json | sort -k 2); }

offset=1000
for label in Cat_a cat_b dog; do
    for i in 1 2 3 4 5 6 7; do
        offset=$((offset + 977))
        picture "flat/${label}_$i.jpg" $((20 + 7 * i)) $((61 - 6 * i)) $offset
        mkdir -p "nested/train/$label"
        cp "flat/${label}_$i.jpg" "nested/train/$label/picture$i.ppm"
    done
done
picture flat/dog_8.jpg 90 20 5000 # longer than twice its height
printf 'hello' >flat/notes.txt
printf 'x' >flat/.hidden_1.jpg

cat >prep/datasets/flat.yaml <<END
title: flat
root: $scratch/flat
skip: '\.txt$'
label: {from: regex, regex: '(.+)_\d+.jpg$'}
presize: {size: 32}
shard: {pictures: 8}
END
cat >prep/datasets/nested.yaml <<END
title: nested
root: $scratch/nested
label: {from: folder}
presize: {size: 32}
END

# --- the same bytes at 1 and 2 workers, two seconds apart; the last line is the folder
for set in flat nested; do
    ok "$prep" $set --data one --workers 1
    [ "$(tail -n 1 out)" = "one/$set/shards-32" ] || fail "$set: last line '$(tail -n 1 out)'"
done
sleep 2
for set in flat nested; do
    ok "$prep" $set --data two --workers 2
    hashes "one/$set/shards-32" >a
    hashes "two/$set/shards-32" >b
    cmp -s a b || { fail "$set: bytes differ between 1 and 2 workers"; diff a b; }
done
[ "$(ls one/flat/shards-32 | tr '\n' ' ')" = "index.json shard-00000.h5 shard-00001.h5 shard-00002.h5 " ] ||
    fail "files: $(ls one/flat/shards-32)"
[ "$(ls one/flat)" = shards-32 ] || fail "left behind: $(ls one/flat)"
# control: another size gives other bytes
ok "$prep" flat --data two presize.size=33
cmp -s one/flat/shards-32/shard-00000.h5 two/flat/shards-33/shard-00000.h5 && fail "33 equals 32"

# --- up to date: does nothing; --force, another setting or other pictures: rebuilds it
stamp() { stat -c '%i %Y %Z' one/flat/shards-32/index.json; }
before=$(stamp)
ok "$prep" flat --data one
says "up to date"
[ "$(stamp)" = "$before" ] || fail "an up-to-date set was written"
[ "$(tail -n 1 out)" = one/flat/shards-32 ] || fail "no folder on stdout when up to date"
ok "$prep" flat --data one --force
[ "$(stamp)" != "$before" ] || fail "--force did nothing"
before=$(stamp)
ok "$prep" flat --data one presize.max_aspect=3
says "settings"
[ "$(stamp)" != "$before" ] || fail "another setting did nothing"
ok "$prep" flat --data one
cp flat/dog_1.jpg keep
picture flat/dog_1.jpg 27 55 9000
ok "$prep" flat --data one
says "pictures differ from"
cp keep flat/dog_1.jpg
ok "$prep" flat --data one
hashes one/flat/shards-32 >b
hashes two/flat/shards-32 >a
cmp -s a b || fail "the old pictures do not give the old bytes"

# --- zstd holds the same pictures, jpeg nearly the same ones: the same bytes at 1 and 2 workers, checked and repaired
for storage in zstd jpeg; do
    ok "$prep" flat --data $storage shard.storage=$storage --workers 1
    hashes $storage/flat/shards-32 >a
    ok "$prep" flat --data $storage shard.storage=$storage --workers 2 --force
    hashes $storage/flat/shards-32 >b
    cmp -s a b || fail "$storage: bytes differ between 1 and 2 workers"
    ok "$prep" flat --data $storage shard.storage=$storage --check
    prints "22 pictures"
    flip_byte $storage/flat/shards-32/shard-00001.h5 5000
    refuse 1 "$prep" flat --data $storage shard.storage=$storage --check
    says shard-00001.h5
    ok "$prep" flat --data $storage shard.storage=$storage --repair
    hashes $storage/flat/shards-32 >b
    cmp -s a b || fail "$storage: --repair gives other bytes"
    ok "$prep" flat --data none shard.storage=$storage --plan
    prints "presize and compress"
    ok "$prep" flat --data none shard.storage=$storage --summary
    prints "store     $storage, "
    ok "$prep" flat --data none shard.storage=$storage --show sheet.png
done
grep -q '"quality": 95' jpeg/flat/shards-32/index.json || fail "the quality is not recorded"
grep -q quality zstd/flat/shards-32/index.json && fail "a quality of zstd is recorded"
before=$(cat jpeg/flat/shards-32/index.json)
ok "$prep" flat --data jpeg shard.storage=jpeg shard.quality=50
says "the settings differ"
[ "$before" != "$(cat jpeg/flat/shards-32/index.json)" ] || fail "another quality gives the same shards"
# longer than a JPEG can be: nothing is kept, and the way out is named; the control: raw
mkdir long && { printf 'P6\n9000 1\n255\n' && head -c 27000 /dev/zero; } >long/a_1.ppm
ok "$prep" flat "root=$scratch/long" label.regex='(.)_' presize.max_aspect=100 presize.size=700 --data long_raw
refuse 1 "$prep" flat "root=$scratch/long" label.regex='(.)_' presize.max_aspect=100 presize.size=700 --data long_jpeg \
    shard.storage=jpeg decode.on_error=skip
says "70000 x 700"
says "set shard.storage=raw"
[ -z "$(find long_jpeg -type f)" ] || fail "left behind: $(find long_jpeg)"
rm -r long long_raw

# --- what the options print
ok "$prep" flat --data one --vocab
refuse 1 "$prep" flat --data one --croissant
says "names the archive of a set that was fetched"
ok "$prep" flat --data one --vocab
printf '0\tCat_a\t7\n1\tcat_b\t7\n2\tdog\t8\n' | cmp -s - out || fail "--vocab: $(cat out)"
ok "$prep" flat --data one --check
prints "3 shards, 22 pictures"
[ "$(tail -n 1 out)" = one/flat/shards-32 ] || fail "--check: last line"
ok "$prep" flat --data none --plan
prints "22 pictures of 3 classes"
prints "standard error"
prints "memory"
[ -e none ] && fail "--plan wrote something"
ok "$prep" flat --data none --summary
prints "uint8 55 x 27 x 3"
prints "cut       to 54 x 27"
prints "uint8 64 x 32 x 3"
prints "class 0 of 3"
ok "$prep" flat --data none --show sheet.png
[ "$(head -c 8 sheet.png | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "--show: not a PNG"
[ "$(stat -c %s sheet.png)" -gt 5000 ] || fail "--show: an empty sheet"
refuse 1 "$prep" flat --data none --show no/such/folder/sheet.png
ok "$prep" nested --data one --vocab
prints "cat_b"

# --- --init proposes what then works
for folder in flat nested; do
    ok "$prep" --init $folder
    cp out prep/datasets/made_$folder.yaml
    ok "$prep" made_$folder --data made presize.size=32
    ok "$prep" made_$folder --data made presize.size=32 --vocab
    [ "$(wc -l <out)" = 3 ] || fail "--init $folder: $(cat out)"
done
ok "$prep" --init flat saved
[ "$(cat out)" = prep/datasets/saved.yaml ] && says "prep saved" || fail "--init flat saved: $(cat out err)"
sed 1,/^title/d prep/datasets/saved.yaml | cmp -s - <(sed 1,/^title/d prep/datasets/made_flat.yaml) || fail "saved otherwise than printed"
refuse 1 "$prep" --init nested saved
says "prep/datasets/saved.yaml is there already"
refuse 1 "$prep" --init nested ../saved
says "no slash"
mkdir single && cp flat/dog_1.jpg single/
refuse 1 "$prep" --init single
says "cannot see how its pictures are labelled"
refuse 1 "$prep" --init nowhere
says "no such folder"

# --- a flipped byte in a shard
cp -r one/flat/shards-32 keep_shards
flip_byte one/flat/shards-32/shard-00001.h5 9000
refuse 1 "$prep" flat --data one --check
says shard-00001.h5
says --repair
# --repair makes that one again, to the byte, and touches no other
stamps() { stat -c '%n %i %Y' one/flat/shards-32/*; }
same_as_before() {
    for file in keep_shards/*; do
        cmp -s "$file" "one/flat/shards-32/${file#*/}" || fail "$1: ${file#*/} is not as it was"
    done
    [ "$(ls one/flat)" = shards-32 ] || fail "$1: left behind: $(ls one/flat)"
}
before=$(stamps | grep -v 00001)
ok "$prep" flat --data one --repair --workers 2
prints "repaired shard-00001.h5"
[ "$(wc -l <out)" = 2 ] || fail "--repair: $(cat out)"
says "1 of 3 shards repaired"
same_as_before "a flipped byte"
[ "$before" = "$(stamps | grep -v 00001)" ] || fail "--repair touched a sound shard"
ok "$prep" flat --data one --check
ok "$prep" flat --data one --repair
says "nothing to repair: 3 shards"
[ "$(cat out)" = one/flat/shards-32 ] || fail "--repair of sound shards: $(cat out)"
rm one/flat/shards-32/shard-00002.h5 && : >one/flat/shards-32/shard-00000.h5 # the last one, not full
ok "$prep" flat --data one --repair --workers 1
says "2 of 3 shards repaired"
same_as_before "missing and empty"
sed -i 's/"set": "flat"/"set": "flot"/' one/flat/shards-32/index.json # seen by its own hash alone
refuse 1 "$prep" flat --data one --check
says "the SHA-256 of its members"
ok "$prep" flat --data one --repair
says "all shards are rebuilt"
same_as_before "a changed index.json"
# another picture, another list, other settings: what would be made differs, and nothing is touched
rm one/flat/shards-32/shard-00001.h5
before=$(stamps)
cp flat/dog_1.jpg keep
picture flat/dog_1.jpg 27 55 9000
refuse 1 "$prep" flat --data one --repair
says "the pictures differ from"
cp keep flat/dog_1.jpg
refuse 1 "$prep" flat --data one --repair presize.max_aspect=3
says "the settings differ"
refuse 1 "$prep" flat --data one --repair 'label.regex=(.+?)_.*\d+.jpg$'
says "was rebuilt and differs from index.json"
says "rebuilds the shards"
[ "$before" = "$(stamps)" ] || fail "a refused --repair changed something"
ok "$prep" flat --data one --repair
same_as_before "after refusals"
refuse 1 "$prep" flat --data none --repair
says "first"
refuse 2 "$prep" flat --repair --check
refuse 2 "$prep" flat --data one --repair --json
says "--json goes with"
# a folder of shards that is a link: what it names is repaired and replaced, and the link stays
mv one/flat/shards-32 linked-32 && ln -s "$PWD/linked-32" one/flat/shards-32
rm linked-32/shard-00001.h5
ok "$prep" flat --data one --repair
same_as_before "a linked folder"
ok "$prep" flat --data one --force
same_as_before "a linked folder, --force"
[ -L one/flat/shards-32 ] || fail "the link is gone"
[ -e linked-32.part ] && fail "left: linked-32.part"
rm one/flat/shards-32 && mv linked-32 one/flat/shards-32
rm one/flat/shards-32/shard-00002.h5
refuse 1 "$prep" flat --data one --check
says shard-00002.h5
refuse 1 "$prep" flat --data none --check
says "prep --data none flat\` first"

# --- pictures that cannot be decoded: all named, nothing left behind; skipped when asked
head -c 700 flat/dog_5.jpg >flat/dog_91.jpg
printf '\377\330\377\340garbage' >flat/cat_b_92.jpg
: >flat/cat_b_93.jpg && echo '<html>404' >flat/cat_b_94.jpg # no picture's first bytes, but its name
refuse 1 "$prep" flat --data bad --workers 2
says dog_91.jpg
says cat_b_92.jpg
says cat_b_93.jpg
says cat_b_94.jpg
says "4 of 26 pictures"
says decode.on_error=skip
nothing_left bad/flat
ok "$prep" flat --data bad decode.on_error=skip
says dog_91.jpg
says cat_b_92.jpg
ok "$prep" flat --data bad decode.on_error=skip --check
prints "22 pictures"
cp -r bad/flat/shards-32 keep_bad # the pictures that were left out are again
rm bad/flat/shards-32/shard-00001.h5
ok "$prep" flat --data bad decode.on_error=skip --repair
cmp -s keep_bad/shard-00001.h5 bad/flat/shards-32/shard-00001.h5 || fail "--repair of a set with pictures left out"
printf 'no picture' >flat/fox_1.jpg
ok "$prep" flat --data bad decode.on_error=skip
says "1 class has no picture left: fox"
grep -q "class dog" err && fail "dogs are there: $(cat err)"
rm flat/fox_1.jpg
mkdir none && printf x >none/a_1.jpg && printf x >none/a_2.jpg
refuse 1 "$prep" flat "root=$scratch/none" --summary
says "decode: none of the 2 pictures below $scratch/none can be decoded"
prints "decode    FAILED: a_1.jpg: "
cp flat/dog_1.jpg none/b_1.jpg
ok "$prep" flat "root=$scratch/none" --summary
prints "decode    FAILED: a_2.jpg: "
prints "picture   b_1.jpg, number 2"
rm none/b_1.jpg
refuse 1 "$prep" flat "root=$scratch/none" --show none.png
says "none of 2 pictures"
[ -e none.png ] && fail "--show: a sheet of nothing"
rm flat/dog_91.jpg flat/cat_b_9[234].*
mkdir broken && for i in 1 2 3; do picture broken/a_$i.jpg 30 30 $((i * 900)); done
picture broken/b_1.jpg 30 30 9999
printf "title: b\nroot: $scratch/broken\nlabel: {from: regex, regex: '(.+)_\\\\d+.jpg$'}\n" >prep/datasets/broken.yaml

# --- labels and patterns
picture flat/unlabelled.jpg 30 30 7000
refuse 1 "$prep" flat --data bad2
says unlabelled.jpg
rm flat/unlabelled.jpg
refuse 1 "$prep" flat --data bad2 'label.regex=(.+_\d+.jpg$'
says "label.regex"
says "at"
refuse 1 "$prep" flat --data bad2 'label.regex=nothing(.)like this'
says Cat_a_1.jpg
nothing_left bad2

# --- keys, names, options
refuse 2 "$prep" flat presize.siez=32
says "presize.size"
refuse 2 "$prep" flat presize.size=0
says "presize.size"
sed 's/size: 32/siez: 32/' prep/datasets/flat.yaml >prep/datasets/typo.yaml
refuse 1 "$prep" typo
says typo.yaml
says presize.size
refuse 1 "$prep" no_such_set
says no_such_set
(cd flat && tar cf ../fetched.tar -- *.jpg)
ok "$BIN/fetch" fetched --from fetched.tar
refuse 1 "$prep" fetched
says "prep --init data/fetched/tree fetched"
ok "$prep" --init data/fetched/tree fetched
ok "$prep" fetched presize.size=32
[ "$(tail -n 1 out)" = data/fetched/shards-32 ] || fail "fetched: $(cat out err)"
grep -q '^root' prep/datasets/fetched.yaml && fail "--init of DATA/NAME/tree: $(cat prep/datasets/fetched.yaml)"
mkdir -p own && cp -r flat own/tree # no folder of DATA, though it has the name of one
ok "$prep" --init own/tree own
grep -q "^root: .*/own/tree" prep/datasets/own.yaml || fail "--init own/tree: $(cat prep/datasets/own.yaml)"
ok "$prep" own presize.size=32
refuse 2 "$prep"
refuse 2 "$prep" flat --workers 0
refuse 2 "$prep" flat --workers x
refuse 2 "$prep" flat --check --plan
refuse 2 "$prep" flat nested
refuse 2 "$prep" flat --no-such-option
rm -rf gone && printf 'title: g\nroot: gone\n' >prep/datasets/gone.yaml
refuse 1 "$prep" gone
says "no such folder"
printf 'title: p\nlabel: {from: folder}\n' >prep/datasets/unfetched.yaml
refuse 1 "$prep" unfetched
says "fetch unfetched\` first"

# --- a fetched set is compared with its manifest: what has part in the set must be as it was fetched
cat >prep/datasets/got.yaml <<END
title: got
images: images
skip: '\.txt$'
label: {from: csv, csv: labels.csv}
presize: {size: 32}
END
mkdir -p pack/images pack/other
cp flat/dog_1.jpg flat/dog_2.jpg flat/dog_3.jpg pack/images
printf 'path,label\ndog_1.jpg,a\ndog_2.jpg,b\ndog_3.jpg,a\n' >pack/labels.csv
printf 'x' >pack/other/unused
tar cf got.tar -C pack .
ok "$BIN/fetch" got --from got.tar
ok "$prep" got
cp -r data/got was
printf 'y' >data/got/tree/other/unused # nothing that prep reads
printf 'y' >data/got/tree/images/notes.txt
ok "$prep" got
says "up to date"
mv data/got/tree elsewhere
ln -s "$scratch/elsewhere" data/got/tree # the pictures on another disk
ok "$prep" got
says "up to date"
again() { rm -rf data/got && cp -r was data/got; }
again
cp flat/Cat_a_1.jpg data/got/tree/images/dog_2.jpg
refuse 1 "$prep" got
says "1 file is not as fetched: changed images/dog_2.jpg; to have them back"
rm data/got/shards-32/*.h5
refuse 1 "$prep" got --repair
says "cannot be repaired"
ok "$BIN/fetch" got --repair --from got.tar
ok "$prep" got --repair
again
cp flat/Cat_a_1.jpg data/got/tree/images/dog_2.jpg
refuse 1 "$prep" got --force
ok "$prep" got --check # of the shards
says "sound, but"
says "changed images/dog_2.jpg"
refuse 1 "$prep" got images=./images/ label.csv=./labels.csv
says "changed images/dog_2.jpg"
again
cp flat/Cat_a_1.jpg data/got/tree/images/dog_4.jpg
printf 'dog_4.jpg,a\n' >>data/got/tree/labels.csv
refuse 1 "$prep" got
says "2 files are not as fetched: extra images/dog_4.jpg, changed labels.csv;"
ok "$prep" got root=data/got/tree # as a set of one's own
says "4 pictures of 2 classes"
again
ln -s "$scratch/flat" data/got/tree/images/more
refuse 1 "$prep" got label.from=regex 'label.regex=([A-Za-z_]+)_\d+\.jpg$'
says "1 file is not as fetched: extra images/more;"
again
rm data/got/tree/images/dog_3.jpg
sed -i '$d' data/got/tree/labels.csv
refuse 1 "$prep" got
says "missing images/dog_3.jpg"
again
printf '{' >>data/got/manifest.jsonl
refuse 1 "$prep" got
says "manifest.jsonl: line"
rm data/got/manifest.jsonl
ok "$prep" got
says "manifest.jsonl is missing"
grep -q '"fetched": false' data/got/shards-32/index.json || fail "index.json does not say that nothing vouches for it"

# --- a full disk, where a small file system can be mounted: says so, leaves nothing
mkdir full
if unshare -rm mount -t tmpfs -o size=64k none full 2>/dev/null; then
    unshare -rm sh -c "mount -t tmpfs -o size=64k none full && \
        { '$prep' flat --data full 2>err; echo \$? >status; find full -type f | wc -l >left; }"
    [ "$(cat status)" = 1 ] || fail "full disk: status $(cat status)"
    grep -qi "no space" err || { fail "full disk: not said"; cat err; }
    [ "$(cat left)" = 0 ] || fail "full disk: $(cat left) files left"
else
    echo "skipped: the full disk (no private mounts here)"
fi

# --- stopped by a signal: nothing left behind
for i in $(seq 1 400); do
    cp flat/dog_$((i % 7 + 1)).jpg "broken/a_$((i + 10)).jpg"
done
"$prep" broken --data stopped presize.size=900 --workers 1 >out 2>err &
pid=$!
for i in $(seq 1 100); do
    [ -e stopped/broken ] && break
    sleep 0.02
done
kill -INT $pid
wait $pid
status=$?
if [ "$status" = 0 ]; then
    echo "skipped: the signal came too late"
else
    [ "$status" = 1 ] || fail "stopped: status $status"
    says "stopped by a signal"
    [ -z "$(find stopped -type f 2>/dev/null)" ] || fail "stopped: left $(find stopped -type f)"
fi
