#!/bin/bash
# test_fetch.sh - fetch on archives made here: what it prints, what it makes, each kind of bad archive,
# locks, a full disk, --verify; after every failure the data folder is empty. Needs BIN and SOURCE.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/flip_byte.sh"
fetch=$BIN/fetch
MOUNTED=
at_end() { [ -z "$MOUNTED" ] || umount "$MOUNTED"; }

# --- an archive in the layout of the public one, with what Macs leave in it
mkdir -p set/images set/annotations
for i in 1 2 3 4 5 6; do
    head -c $((3000 + 500 * i)) "$fetch" | tail -c 3000 >set/images/Cat_$i.jpg
done
echo "Cat_1 1 1 1" >set/annotations/list.txt
: >set/annotations/empty.txt
echo apple >set/images/._Cat_1.jpg
tar czf set.tgz set
tar czf other.tgz set/annotations

# --- what a first-time user types
refuse 2 "$fetch"; says "fetch demo"; says "pets-mini"
refuse 2 "$fetch" petz; says 'did you mean `'; says 'fetch pets`?'
refuse 2 "$fetch" zzzzzz; says "--from FILE"
refuse 2 "$fetch" pets-mini; says "--from oxford-iiit-pet-mini.tgz"
refuse 2 "$fetch" weights/resnet35; says "did you mean"
refuse 2 "$fetch" ../x --from set.tgz; says "no name"
refuse 2 "$fetch" archives --from set.tgz; says "no name"
refuse 2 "$fetch" a b; says "one data set at a time"
refuse 2 "$fetch" --lisst; says "did you mean --list?"
refuse 2 "$fetch" demo --from set.tgz; says "made on the spot"
refuse 2 "$fetch" mine --sha256 00 --from set.tgz
refuse 2 "$fetch" mine --from set.tgz --sha256 00; says "64 hexadecimal digits"
nothing_left data
ok "$fetch" --help; grep -q "fetch pets --from images.tar.gz" out || fail "no example in --help"
ok "$fetch" --list
for word in 67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d 791918971 "CC BY-SA" demo; do
    grep -qF "$word" out || fail "--list lacks $word"
done

# --- a good one
ok "$fetch" mine --from set.tgz
prints data/mine/tree
says "no published hash"; says "1 hidden file"
says "$(sha256sum <set.tgz | cut -d ' ' -f 1)"
[ "$(find data/mine -type f | sort | tr '\n' ' ')" = "data/mine/manifest.jsonl data/mine/tree/annotations/empty.txt data/mine/tree/annotations/list.txt data/mine/tree/images/Cat_1.jpg data/mine/tree/images/Cat_2.jpg data/mine/tree/images/Cat_3.jpg data/mine/tree/images/Cat_4.jpg data/mine/tree/images/Cat_5.jpg data/mine/tree/images/Cat_6.jpg " ] || fail "files: $(find data)"
[ "$(ls -A data)" = mine ] || fail "data holds $(ls -A data)"
# the manifest agrees with what sha256sum finds, in sorted order
(cd data/mine/tree && find . -type f | sed 's,^\./,,' | sort | while read -r f; do
    echo "{\"path\": \"$f\", \"size\": $(stat -c %s "$f"), \"sha256\": \"$(sha256sum <"$f" | cut -d ' ' -f 1)\"}"
done) >expected
tail -n +2 data/mine/manifest.jsonl | cmp -s - expected || fail "the manifest is not what sha256sum says"
grep -q "$scratch\|mtime\|time" data/mine/manifest.jsonl && fail "a path or a time in the manifest"
cp data/mine/manifest.jsonl first.jsonl
before=$(stat -c %Y.%i data/mine/tree data/mine/manifest.jsonl)
ok "$fetch" mine --from set.tgz; says "complete"; prints data/mine/tree
ok "$fetch" mine; says "complete"
ok "$fetch" --list; prints "a set of your own"; prints "$(sha256sum <set.tgz | cut -d ' ' -f 1)"
[ "$before" = "$(stat -c %Y.%i data/mine/tree data/mine/manifest.jsonl)" ] || fail "made again"
ok "$fetch" mine --data elsewhere --from set.tgz; prints elsewhere/mine/tree
cmp -s first.jsonl elsewhere/mine/manifest.jsonl || fail "another folder, another manifest"
rm -rf elsewhere
tar cf other.tar set
refuse 1 "$fetch" mine --from other.tar; says "take another name"

# --- formats by their bytes, whatever the name; the common top folder
cp other.tar strange.name
ok "$fetch" plain --from strange.name
tail -n +2 data/plain/manifest.jsonl | cmp -s - expected || fail "a plain tar gives other files"
tar cjf part1.tbz -C set images
tar cJf part2.txz -C set annotations
ok "$fetch" two --from part1.tbz --from part2.txz
tail -n +2 data/two/manifest.jsonl | cmp -s - expected || fail "two archives give other files"
ok "$fetch" kept --from part1.tbz
[ -f data/kept/tree/images/Cat_1.jpg ] || fail "images/ was taken off"
rm -rf data/plain data/two data/kept

# --- hashes
refuse 5 "$fetch" pets --from set.tgz; says "67195c5e1c01"
sum=$(sha256sum <set.tgz | cut -d ' ' -f 1)
ok "$fetch" again --from set.tgz --sha256 "$sum"
rm -rf data/again
refuse 5 "$fetch" again --from set.tgz --sha256 "${sum/[0-9]/f}"; says "expected"
[ "$(ls -A data)" = mine ] || fail "data holds $(ls -A data)"

# --- --verify
ok "$fetch" mine --verify; prints data/mine/tree; says "all 8 files"
flip_byte data/mine/tree/images/Cat_2.jpg 100
rm data/mine/tree/images/Cat_3.jpg
echo extra >data/mine/tree/images/Cat_9.jpg
echo longer >>data/mine/tree/images/Cat_4.jpg
ln -sf Cat_1.jpg data/mine/tree/images/Cat_5.jpg
echo hidden >data/mine/tree/.DS_Store
refuse 5 "$fetch" mine --verify; says "5 differences"
printf '%s\n' "changed images/Cat_2.jpg" "missing images/Cat_3.jpg" "changed images/Cat_4.jpg" \
    "changed images/Cat_5.jpg" "extra images/Cat_9.jpg" | cmp -s - out || { fail "--verify said:"; cat out; }
refuse 5 "$fetch" mine; says "--verify"; says "--repair"

# --- --repair: what is damaged is unpacked again and nothing else is touched
refuse 2 "$fetch" mine --repair --verify; says "not both"
refuse 1 "$fetch" nothing --repair; says "nothing is not there"
refuse 1 "$fetch" mine --repair; says "4 files are to be unpacked again"; says "--repair --from FILE"
refuse 5 "$fetch" mine --repair --from other.tgz; says "made from other archives than these"
refuse 5 "$fetch" mine --verify; says "5 differences" # nothing was touched
before=$(stat -c %Y.%i data/mine/tree/images/Cat_1.jpg data/mine/manifest.jsonl)
refuse 5 "$fetch" mine --repair --from set.tgz; says "1 named above cannot be repaired: what is extra was not made by fetch; remove it"
grep -q "of the archive" err && fail "--repair speaks of an archive that is not damaged"
printf '%s\n' "extra images/Cat_9.jpg" "repaired images/Cat_2.jpg" "repaired images/Cat_3.jpg" \
    "repaired images/Cat_4.jpg" "repaired images/Cat_5.jpg" | cmp -s - out || { fail "--repair said:"; cat out; }
rm data/mine/tree/images/Cat_9.jpg
ok "$fetch" mine --verify; says "all 8 files"
[ "$before" = "$(stat -c %Y.%i data/mine/tree/images/Cat_1.jpg data/mine/manifest.jsonl)" ] || fail "--repair touched a sound file"
ok "$fetch" mine --repair; says "nothing to repair"; prints data/mine/tree
[ "$(ls -A data/mine | tr '\n' ' ')" = "manifest.jsonl tree " ] || fail "--repair left $(ls -A data/mine)"
rm -rf data/mine/tree/images # a whole folder; the archive lies where a download puts it
mkdir data/archives && cp set.tgz data/archives
ok "$fetch" mine --repair; says "6 of 8 files repaired from data/archives/set.tgz"
flip_byte data/archives/set.tgz 50
ok "$fetch" mine --verify; says "it is damaged, or another of its name" # not fetch's
ok "$fetch" mine --repair; says "nothing to repair"
mv data/archives elsewhere && ln -s ../elsewhere data/archives # a folder that is a link
mv data/mine there && ln -s ../there data/mine
cp set.tgz elsewhere && rm data/mine/tree/images/Cat_1.jpg && mkdir data/mine/tree/images/Cat_1.jpg
refuse 1 "$fetch" mine --repair; says "Cat_1.jpg: a folder is in its place: remove it"
rmdir data/mine/tree/images/Cat_1.jpg
ok "$fetch" mine --repair; prints "repaired images/Cat_1.jpg"
rm data/mine && mv there data/mine && rm -r data/archives elsewhere
rm -rf data/mine/tree/images
ln -s "$scratch" data/mine/tree/images # nothing is written through a link
refuse 7 "$fetch" mine --repair --from set.tgz; says "is a link"
rm data/mine/tree/images
ok "$fetch" mine --repair --from set.tgz
ok "$fetch" mine --verify
cp data/mine/manifest.jsonl was.jsonl # a manifest that was changed says so; an older one is not what the archive holds
sed -i '3s/"size": ./"size": 7/' data/mine/manifest.jsonl
refuse 1 "$fetch" mine --repair --from set.tgz; says "the SHA-256 of its lines"; says "cannot be repaired"
sed '1s/, "sha256": "[0-9a-f]*"}$/}/; 3s/"size": ./"size": 7/' was.jsonl >data/mine/manifest.jsonl
refuse 5 "$fetch" mine --repair --from set.tgz; says "does not list what its archives hold"
mv was.jsonl data/mine/manifest.jsonl
ok "$fetch" mine --verify
sed -i '$d' data/mine/manifest.jsonl
refuse 1 "$fetch" mine --verify; says "ends too early"
refuse 1 "$fetch" nothing --verify; says "nothing is not there"
rm -rf data

# --- bad archives: the status says which kind, and nothing stays
mkdir in && cd in || exit 1
echo x >x; echo y >../y; echo x >good; ln -s /etc/passwd link; ln good hard; mkfifo pipe
tar cPf ../dotdot.tar good ../y 2>/dev/null
tar cPf ../absolute.tar good "$PWD/x" 2>/dev/null
tar cf ../symlink.tar good link
tar cf ../hardlink.tar good hard
tar cf ../pipe.tar good pipe
tar cf ../twice.tar good; tar rf ../twice.tar good
printf 'z' >"$(printf 'a\nb')"; tar cf ../control.tar good "$(printf 'a\nb')"
cp good GOOD; tar cf ../case.tar good GOOD
cd .. || exit 1
for case in dotdot:'".."' absolute:'absolute' symlink:'symbolic link' hardlink:'hard link' \
    pipe:'named pipe' twice:'twice' control:'control character' case:'case of letters'; do
    refuse 7 "$fetch" bad --from "${case%%:*}.tar"; says "${case#*:}"; says "${case%%:*}"
    nothing_left data
done
size=$(stat -c %s set.tgz)
for n in 0 1 100 $((size / 2)) $((size - 1)); do
    head -c $n set.tgz >cut.tgz
    refuse 1 "$fetch" bad --from cut.tgz; says "cut.tgz"; nothing_left data
done
head -c 10240 other.tar >cut.tar
refuse 1 "$fetch" bad --from cut.tar; nothing_left data
# a byte of a picture flipped inside gzip: only its own checksum can tell
head -c 100000 /dev/urandom > big.bin
mkdir -p noise && cp big.bin noise/a_1.jpg && tar -cf noise.tar noise && gzip -n -1 -c noise.tar > flip.tgz
flip_byte flip.tgz 50000
refuse 1 "$fetch" bad --from flip.tgz; says "checksum"; nothing_left data
gzip -n -1 -c noise.tar > sound.tgz
ok "$fetch" sound --from sound.tgz; rm -rf data
refuse 1 "$fetch" bad --from "$fetch"; nothing_left data
refuse 1 "$fetch" bad --from none.tgz; says "none.tgz"; nothing_left data
refuse 1 "$fetch" bad --from .; says "not a file"; nothing_left data
mkdir hidden; echo x >hidden/.x; tar cf hidden.tar hidden
refuse 1 "$fetch" bad --from hidden.tar; says "no files"; nothing_left data

# --- what a killed fetch leaves is cleared; what others made is not
mkdir -p data/mine/tree.part data/mine/tree
echo half >data/mine/tree.part/half
echo theirs >data/mine/tree/theirs
refuse 1 "$fetch" mine --from set.tgz; says "fetch did not make it"
[ "$(cat data/mine/tree/theirs)" = theirs ] || fail "a foreign tree was touched"
: >data/mine/manifest.jsonl.part
mkdir -p data/mine/tree.part
ok "$fetch" mine --from set.tgz
[ "$(ls -A data/mine | tr '\n' ' ')" = "manifest.jsonl tree " ] || fail "left: $(ls -A data/mine)"
rm -rf data

# --- two at once: one is told to wait
mkdir data
exec 9>data/.mine.lock
flock -n 9 || fail "no lock"
echo 4242 >&9
refuse 8 "$fetch" mine --from set.tgz; says "4242"
ok "$fetch" other --from set.tgz
exec 9>&-
ok "$fetch" mine --from set.tgz
[ "$(ls -A data | tr '\n' ' ')" = "mine other " ] || fail "locks stay: $(ls -A data)"
rm -rf data
pids= # four at once on one set
for _ in 1 2 3 4; do "$fetch" -q mine --from set.tgz >/dev/null 2>&1 & pids="$pids $!"; done
for pid in $pids; do
    wait "$pid"
    case $? in 0 | 8) ;; *) fail "status of one of four at once" ;; esac
done
ok "$fetch" mine --verify
[ "$(ls -A data)" = mine ] || fail "locks stay: $(ls -A data)"
rm -rf data

# --- a full disk: a tiny file system where we may mount one (unit tests have it everywhere)
mkdir tiny
if mount -t tmpfs -o size=64k,nr_inodes=100 tmpfs tiny 2>/dev/null; then
    MOUNTED=$scratch/tiny
    # packs to less than the room there is, unpacks to more
    mkdir big; head -c 400000 /dev/zero >big/a.jpg; tar czf big.tgz big
    refuse 6 "$fetch" mine --data tiny --from big.tgz; says "No space left"
    [ -z "$(ls -A tiny)" ] || fail "left on the full disk: $(find tiny)"
    head -c 200000 /dev/urandom >big/a.jpg; tar czf big.tgz big
    refuse 6 "$fetch" mine --data tiny --from big.tgz; says "MB are free"
    refuse 6 "$fetch" demo --data tiny
    [ -z "$(ls -A tiny)" ] || fail "left on the full disk: $(find tiny)"
else
    echo "note: no tmpfs here, the full disk is left to the unit tests"
fi
