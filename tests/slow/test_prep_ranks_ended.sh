#!/bin/bash
# test_prep_ranks_ended.sh - several processes through MPI make shards, and one is killed, stopped by a signal, or hangs:
# all end, no half-written set is left, and the next prep makes it. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/mpi_common.sh"
prep=$BIN/prep

# 600 pictures that take a while, in 60 shards; every hundredth is damaged
mkdir -p prep/datasets set
for i in $(seq 1 600); do
    picture "set/$((i % 3))_$i.ppm" 60 40 $((i * 997))
    [ $((i % 100)) = 0 ] && echo P6 >"set/$((i % 3))_$i.ppm"
done
cat >prep/datasets/set.yaml <<END
title: set
root: $scratch/set
label: {from: regex, regex: '(.)_'}
decode: {on_error: skip}
presize: {size: 400}
shard: {pictures: 10}
END
hashes() { (cd "data/set/shards-400" && sha256sum -- * | sort -k 2); }
ok "$prep" set --data "$scratch/data"
hashes >whole
mv data/set/shards-400 before
rank_pid() { # RANK: its process, of those below $pid
    local child
    for child in $(pgrep -f "^$prep set --data $scratch/data"); do
        tr '\0' '\n' <"/proc/$child/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$child"
    done
}
# begun COMMAND...: in the background; returns when shards are being written
begun() {
    "$@" >out 2>err &
    pid=$!
    until [ -e data/set/shards-400.part/shard-00003.h5 ]; do
        kill -0 $pid 2>/dev/null || { fail "it ended: $(cat err)"; return; }
        sleep 0.02
    done
}
# ends STATUS TEXT: what runs in the background does
ends() {
    wait $pid
    local got=$?
    [ "$got" = "$1" ] || { fail "status $got, not $1"; cat err; }
    says "$2"
    [ -z "$(pgrep -f "^$prep set --data $scratch/data")" ] || fail "still running: $(pgrep -af "^$prep set --data $scratch")"
}
# whole N: no set was there, what is left over is in nobody's way, and N processes make the whole one
whole() {
    [ -e data/set/shards-400 ] && fail "a set that is not whole: $(ls data/set/shards-400)"
    if [ "$1" = 1 ]; then ok "$prep" set --data "$scratch/data"; else ok mpirun -n "$1" "$prep" set --data "$scratch/data"; fi
    hashes | cmp -s - whole || fail "not the bytes of one process"
    [ "$(ls data/set)" = shards-400 ] || fail "left: $(ls data/set)"
    rm -r data/set
}
# nothing: nothing was left in the moment it ended
nothing() { [ -z "$(ls data/set)" ] || fail "left: $(ls data/set)"; }

for rank in 0 1 2; do # killed
    begun mpirun -n 3 "$prep" set --data "$scratch/data"
    kill -KILL "$(rank_pid $rank)"
    ends 137 "rank $rank with PID"
    whole $((3 - rank))
done
begun "$prep" set --data "$scratch/data" --ranks 2
kill -KILL "$(rank_pid 1)"
ends 1 "was ended by signal 9"
whole 2
begun mpirun -n 2 "$prep" set --data "$scratch/data" # one is asked to stop: all do, and nothing is left
kill -TERM "$(rank_pid 1)"
ends 1 "prep: error: stopped by a signal; nothing was kept"
nothing
whole 2
begun "$prep" set --data "$scratch/data" --ranks 2 # Ctrl-C
kill -INT $pid
ends 1 "prep: error: stopped by a signal; nothing was kept"
nothing
for i in 1 2 3 4; do # Ctrl-C before there are shards: while files are hashed
    cp set/1_1.ppm set/1_90$i.ppm && truncate -s 1G set/1_90$i.ppm
done
"$prep" set --data "$scratch/data" --ranks 2 -v >out 2>err &
pid=$!
until grep -q "share the work of hashing" err; do
    kill -0 $pid 2>/dev/null || break
    sleep 0.02
done
kill -INT $pid
ends 1 "prep: error: stopped by a signal; nothing was kept"
nothing
rm set/1_90[1-4].ppm
begun mpirun -n 2 "$prep" set --data "$scratch/data" # as a scheduler's word, by way of mpirun
kill -USR1 $pid
ends 1 "prep: error: stopped by a signal; nothing was kept"
nothing
begun mpirun -n 2 "$prep" set --data "$scratch/data"
kill -TERM $pid
wait $pid
if [ -e data/set/shards-400 ]; then # mpirun gives them a moment, in which they may be through
    hashes | cmp -s - whole || fail "a set that is not whole: $(ls data/set/shards-400)"
    rm -r data/set
fi
whole 1
PRESIZE_RANK_SECONDS=3 begun mpirun -n 2 "$prep" set --data "$scratch/data"
kill -STOP "$(rank_pid 1)"
ends 1 "has waited more than 3 s for another process"
whole 2

# the shards that were there before stay, and another prep is kept out while one of the processes lives
mkdir -p data/set && cp -r before data/set/shards-400
begun mpirun -n 2 "$prep" set --data "$scratch/data" --force
refuse 1 "$prep" set --data "$scratch/data" --force
says "another process is writing here"
kill -KILL "$(rank_pid 1)"
wait $pid
hashes | cmp -s - whole || fail "the shards of before were touched"
ok "$prep" set --data "$scratch/data"
says "up to date"
