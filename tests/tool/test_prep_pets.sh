#!/bin/bash
# test_prep_pets.sh - the 695 real pictures: same shards at 1 and 2 workers, two seconds apart, in the
# Pets layout and in folders. Needs BIN, SOURCE; skipped without the pictures.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
needs_archive
run() { "$BIN/prep" "$@" >out 2>err || { fail "prep $*: status $?"; cat err; }; }

mkdir -p prep/datasets one/pets-mini/tree two/pets-mini
cp "$SOURCE"/prep/datasets/*.yaml prep/datasets/
tar -xzf "$archive" -C one/pets-mini/tree --strip-components=1 || exit 1
ln -s ../../one/pets-mini/tree two/pets-mini/tree
mkdir folders
for f in one/pets-mini/tree/images/*.jpg; do
    name=${f##*/}
    mkdir -p "folders/${name%_*}"
    ln "$f" "folders/${name%_*}/$name"
done
SIZE=224 # a quarter of the disk that 460 takes
printf "title: folders\nroot: $scratch/folders\nlabel: {from: folder}\n" >prep/datasets/folders.yaml

run pets-mini --data one presize.size=$SIZE --workers 1
grep -q "695 pictures of 37 classes" err || fail "counts: $(cat err)"
run folders --data one presize.size=$SIZE --workers 1
sleep 2
run pets-mini --data two presize.size=$SIZE --workers 2
run folders --data two presize.size=$SIZE --workers 2
for set in pets-mini folders; do
    for n in one two; do
        (cd $n/$set/shards-$SIZE && sha256sum shard-*.h5) >$n.sum
    done
    cmp -s one.sum two.sum || { fail "$set: shards differ"; diff one.sum two.sum; }
    [ "$(wc -l <one.sum)" = 2 ] || fail "$set: $(cat one.sum)"
done
cmp -s one/pets-mini/shards-$SIZE/shard-00000.h5 one/folders/shards-$SIZE/shard-00000.h5 &&
    fail "control: other paths must give other bytes"
run pets-mini --data one presize.size=$SIZE --check
run pets-mini --data one --vocab
[ "$(sed -n 14p out | cut -f 1,2)" = "$(printf '13\tamerican_pit_bull_terrier')" ] || fail "vocab: $(cat out)"

# a truncated real JPEG is refused by name
victim=$(ls one/pets-mini/tree/images/beagle_*.jpg | head -n 1)
cp "$victim" whole.jpg
head -c $(($(stat -c %s whole.jpg) - 100)) whole.jpg >short.jpg
rm "$victim" && mv short.jpg "$victim"
"$BIN/prep" pets-mini --data one presize.size=$SIZE --force >out 2>err
status=$?
[ $status = 1 ] || fail "a truncated JPEG: status $status"
grep -q "${victim##*/}.*ends too early" err || { fail "truncated: not said"; cat err; }
[ -f one/pets-mini/shards-$SIZE/index.json ] || fail "the earlier shards are gone"
! ls one/pets-mini | grep -q part || fail "left behind: $(ls one/pets-mini)"
