#!/bin/bash
# test_prep_ranks.sh - several processes through MPI make the shards of one, byte by byte, and say what one says;
# refusals are said once, and leave nothing. Needs BIN and SOURCE. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/mpi_common.sh"
export OMPI_MCA_btl=^tcp # one machine: Open MPI 5 writes a line for each pair of processes where it has no network
prep=$BIN/prep

mkdir -p prep/datasets flat
offset=1000
for label in cat dog fox; do
    for i in 1 2 3 4 5 6 7 8 9; do
        offset=$((offset + 977))
        picture flat/${label}_$i.ppm $((20 + 7 * i)) $((61 - 5 * i)) $offset
    done
done
cp flat/cat_1.ppm flat/dog_10.ppm     # a copy, of another class
picture flat/fox_10.ppm 90 20 5000    # longer than twice its height
cat >prep/datasets/flat.yaml <<END
title: flat
root: $scratch/flat
label: {from: regex, regex: '(.+)_\d+\.'}
presize: {size: 32}
shard: {pictures: 4}
END
hashes() { (cd "$1/flat/shards-32" && sha256sum -- * | sort -k 2); }
# what is said of pictures and the set; the time it took, how mpirun was called and what to type next are each command's own
said() { grep -v 'images/s with\|: next: \|mpirun --bind-to none' err; }
# equal NAME: what ok() ran just now made and said what one process did, in ./one and said.one
equal() {
    hashes "$1" >"$1.hashes"
    cmp -s one.hashes "$1.hashes" || { fail "$1: other bytes than one process"; diff one.hashes "$1.hashes"; }
    said >said.other
    cmp -s said.one said.other || { fail "$1: not what one process says"; diff said.one said.other; }
    [ "$(ls "$1/flat")" = shards-32 ] || fail "left behind: $(ls "$1/flat")"
    [ "$(cat out)" = "$1/flat/shards-32" ] || fail "$1: stdout: $(cat out)"
}
# one KEYS...: by one process, into ./one
one() {
    rm -rf one
    ok "$prep" flat --data one --workers 1 "$@"
    hashes one >one.hashes
    said >said.one
}

# --- the same bytes and words: 29 pictures in 8 shards by 2, 3 and 11 processes; raw, JPEG
one
[ "$(wc -l <one.hashes)" = 9 ] || fail "expected 8 shards: $(cat one.hashes)"
ok mpirun -n 2 "$prep" flat --data two --workers 2
equal two
ok "$prep" flat --data three --ranks 3
equal three
says "in each of 3 processes"
ok mpirun -n 11 "$prep" flat --data eleven --workers 1
equal eleven
cp -r one kept
ok mpirun -n 2 "$prep" flat --data two
says "up to date"
[ "$(grep -c "up to date" err)" = 1 ] || fail "more than one process speaks: $(cat err)"
grep -q "exact copy" err || fail "what was remarked is not said again: $(cat err)"
one shard.storage=jpeg
cmp -s one.hashes two.hashes && fail "control: JPEG has the bytes of raw pixels"
ok mpirun -n 3 "$prep" flat --data jpeg shard.storage=jpeg
equal jpeg
# two machines, as far as memory is concerned: all goes through MPI
ok mpirun -n 2 bash -c 'PRESIZE_RANK_HOST=machine$OMPI_COMM_WORLD_RANK exec "$@"' - "$prep" flat --data machines shard.storage=jpeg
equal machines

# --- some 800 pictures, of which more is told than fits in one exchange
(
    . "$SOURCE/tests/tool/train_common.sh"
    demo_set
    echo "$data" >"$scratch/demo_data"
)
data=$(cat demo_data)
mkdir -p demo/demo && ln -s "$data/demo/tree" demo/demo/tree && cp "$data/demo/manifest.jsonl" demo/demo/
ok mpirun -n 2 "$prep" "$SOURCE/prep/datasets/demo.yaml" --data demo
for file in "$data"/demo/shards-128/*; do
    cmp "$file" "demo/demo/shards-128/${file##*/}" || fail "the demo set: other bytes in $file"
done

# --- a fetched set: the processes share its files, too, and all are as they were fetched
cat >prep/datasets/got.yaml <<END
title: got
label: {from: regex, regex: '(.+)_\d+\.'}
presize: {size: 32}
shard: {pictures: 4}
END
tar cf got.tar -C flat .
ok "$BIN/fetch" got --from got.tar
ok "$prep" got
sha256sum data/got/shards-32/* >got.one
ok mpirun -n 2 "$prep" got --force -v
says "share the work of hashing them"
sha256sum data/got/shards-32/* | cmp -s - got.one || fail "a fetched set: other bytes"
chmod -R u+w data/got/tree && picture data/got/tree/dog_3.ppm 41 46 77777 # of the same size
refuse 1 "$prep" got
said >said.one
refuse 1 mpirun -n 3 "$prep" got
said | grep '^prep: ' >said.other
says "1 file is not as fetched: changed dog_3.ppm"
cmp -s said.one said.other || { fail "a changed file"; diff said.one said.other; }

# --- pictures that cannot be decoded: all are named in the order of one process; left out when asked
for name in cat_2 dog_5 dog_7 fox_9; do
    cp flat/$name.ppm keep_$name && head -c 700 keep_$name >flat/$name.ppm
done
refuse 1 "$prep" flat --data bad
said >said.one
refuse 1 mpirun -n 2 "$prep" flat --data bad
said | grep '^prep: ' >said.other
cmp -s said.one said.other || { fail "damaged pictures"; diff said.one said.other; }
says "4 of 29 pictures"
nothing_left bad/flat
for storage in raw jpeg; do
    one decode.on_error=skip shard.storage=$storage
    ok mpirun -n 3 "$prep" flat --data skip_$storage decode.on_error=skip shard.storage=$storage
    equal skip_$storage
    says "left out: dog_5.ppm"
done
ok "$prep" flat --data skip_jpeg decode.on_error=skip shard.storage=jpeg --check
ok mpirun -n 2 "$prep" flat --data two decode.on_error=skip --json # over the shards of before
prints '"count": 25'
[ "$(grep -c '"folder"' out)" = 1 ] || fail "--json is printed more than once"
one decode.on_error=skip
hashes two | cmp -s - one.hashes || fail "shards that were there before: other bytes"
for name in cat_2 dog_5 dog_7 fox_9; do cp keep_$name flat/$name.ppm; done
# and back: the finished shards are of another set
ok mpirun -n 2 "$prep" flat --data two
says "is rebuilt"
hashes two | cmp -s - two.hashes || fail "not the bytes of before"

# --- refused, once, before anything is written
once() { # STATUS TEXT COMMAND...
    local status=$1 text=$2
    shift 2
    refuse "$status" "$@"
    says "$text"
    [ "$(grep -cF -e "$text" err)" = 1 ] || fail "\"$text\" is said more than once: $(cat err)"
    [ -z "$(find none -type f 2>/dev/null)" ] || fail "left behind: $(find none)"
}
none="$prep $scratch/prep/datasets/flat.yaml --data $scratch/none"
once 1 "no_such" mpirun -n 2 "$prep" no_such --data none
once 2 "presize.size" mpirun -n 2 $none presize.size=0
once 2 "no option --no-such" mpirun -n 2 $none --no-such
once 2 "whole number from 1 to" $none --ranks 0
once 2 "for anything else, start one" $none --plan --ranks 2
once 1 "install an MPI" env PRESIZE_MPI_PLUGIN=/nowhere $none --ranks 2
once 1 "not on the PATH" env PATH=/nowhere $none --ranks 2
# as rank 0 of an mpirun says them
as_rank() { PMI_RANK=$1 PMI_SIZE=2 once "${@:2}"; }
as_rank 0 2 "which data set" "$prep" --data none
as_rank 0 2 "for anything else, start one" $none --check
as_rank 0 2 "leave it out under mpirun" $none --ranks 2
as_rank 0 2 "score a run" "$BIN/eval" --list
as_rank 0 2 "fetch works in one" "$BIN/fetch" demo --data none
# a launcher of another MPI: two processes, each alone
as_rank 1 1 "each would work alone" $none
SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 once 1 "srun --mpi=pmix" $none

# --- ranks that see something else are named
mkdir -p here/set there/set
cp flat/* here/set && cp flat/* there/set
(cd flat && printf 'path,label\n' && for name in *.ppm; do echo "$name,${name%%_*}"; done) >here/set/labels.csv
cp here/set/labels.csv there/set
# apart KEYS...: rank 0 and rank 1 in two folders, of one description
apart() { pair "env -C $scratch/here $none root=set $*" "env -C $scratch/there $none root=set $*"; }
table="label.from=csv label.csv=labels.csv"
ok apart $table -v # the control: two copies of the pictures
says "each hashes all of its own"
rm -r none
sed -i 's/cat_3.ppm,cat/cat_3.ppm,fox/' there/set/labels.csv
once 1 ") has other labels than rank 0" apart $table
once 1 ") has other description than rank 0" pair "$none" "$none shard.pictures=5"
cp prep/datasets/flat.yaml prep/datasets/flot.yaml
once 1 ") has other set than rank 0" pair "$none" "$prep flot --data $scratch/none"
picture there/set/dog_3.ppm 41 46 77777 # of the same size
once 1 ") has other pictures than rank 0" apart
once 1 "rank 1 (" pair "$none root=$scratch/flat" "$none root=$scratch/nowhere"
says "no such folder"
# one folder to write to
mkdir -p elsewhere
once 1 "which the first process made" pair "$none" "$prep flat --data elsewhere"
mkdir -p elsewhere/flat/shards-32.part # left by a killed process
once 1 "is not the folder that rank 0 made" pair "$none" "$prep flat --data elsewhere"

# --- an error in one process ends all, is told once with its name, and leaves what was there
cp -r two/flat/shards-32 before
limited='[ $OMPI_COMM_WORLD_RANK = 1 ] && ulimit -f 8; exec "$@"' # KiB: no shard is as small
if mpirun --version | grep -q "Open MPI) 5"; then
    echo "note: no test of a full disk, as Open MPI 5 writes files of its own, which the limit forbids, too"
else
    refuse 1 env -u OMPI_MCA_btl mpirun -n 2 bash -c "$limited" - "$prep" flat --data two --force
    says "rank 1 ("
    says "File too large"
    [ "$(grep -c '^prep: error' err)" = 1 ] || fail "told more than once: $(cat err)"
fi
[ "$(ls two/flat)" = shards-32 ] || fail "left behind: $(ls two/flat)"
diff -r before two/flat/shards-32 >diff || fail "the finished shards were touched: $(cat diff)"
