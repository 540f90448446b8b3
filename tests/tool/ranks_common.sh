# ranks_common.sh - what the tests of several processes share; after train_common.sh. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/mpi_common.sh"
tiny_experiment 3 1 12 "{kind: fine_tune, epochs: 1}" "exec: {microbatch: 2}"

# by_mpirun N NAME ARGS...: a run of N processes, started as a user starts them.
by_mpirun() {
    local n=$1 name=$2
    shift 2
    $mpirun -n "$n" "$BIN/train" --data "$data" --results "$results" --name "$name" "$@" > "$scratch/out" \
        2> "$scratch/err" || fail "mpirun -n $n train $name $*: status $?"
    [ "$(tail -n 1 "$scratch/out")" = "$results/$name" ] || fail "$name: last line of stdout"
}
same_run() { # A B: checkpoints, too, whose state names no number of processes
    same "$1" "$2"
    cmp -s "$results/$1/checkpoints/last.json" "$results/$2/checkpoints/last.json" || fail "last.json of $2"
}
status_of() { sed -n 's/^ *"status": *"\([a-z]*\)".*/\1/p' "$results/$1/run.json"; }
pid_of() { sed -n 's/.*"rank '"$2"' (.*pid \([0-9]*\),.*/\1/p' "$results/$1/run.json"; }

# begun NAME COMMAND...: a run in the background; returns when it has its first checkpoint.
begun() {
    local name=$1
    shift
    "$@" --name "$name" $more > "$scratch/out" 2> "$scratch/err" &
    pid=$!
    until [ -e "$results/$name/checkpoints/last.json" ]; do
        kill -0 $pid 2> "$scratch/null" || fail "$name: it ended"
        sleep 0.05
    done
}
ends() { # STATUS TEXT: the run in the background does; STATUS is a pattern
    wait $pid
    local got=$?
    [[ $got = $1 ]] || fail "status $got, expected $1: $(cat "$scratch/err")"
    cat "$scratch/out" "$scratch/err" | grep -qF -e "$2" || fail "expected \"$2\" in: $(cat "$scratch/err")"
}
resumed() { # NAME OPTIONS...
    local name=$1
    shift
    "$BIN/train" --data "$data" --results "$results" "$@" --resume "$name" > "$scratch/out" 2> "$scratch/err" ||
        fail "resume $name $*"
    same_run whole "$name"
}
train="$BIN/train --data $data --results $results"
# refused_once STATUS TEXT COMMAND...: said by one process, before the run "none" is made.
refused_once() {
    local status=$1 text=$2 got
    shift 2
    "$@" > "$scratch/out" 2> "$scratch/err"
    got=$?
    [ $got = "$status" ] || fail "$*: status $got, expected $status"
    [ "$(grep -cF -e "$text" "$scratch/err")" = 1 ] || fail "$*: expected \"$text\" once in: $(cat "$scratch/err")"
    [ ! -e "$results/none" ] || fail "$*: it made a folder"
}
