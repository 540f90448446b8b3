# ranks_common.sh - what the tests of several processes share; after train_common.sh. SPDX-License-Identifier: MIT
# $mpirun is that of the plug-in's MPI; how it ends after a signal that it passed on (MPICH's often with 0), and how, and
# with what words, where SIGKILL ended rank 1
mpirun=${MPIRUN:-mpirun}
passed_on_status=1 killed_status=137 killed_text="rank 1 with PID"
[ "$mpirun" = mpirun.mpich ] && passed_on_status="[01]" killed_status=9 killed_text="EXIT CODE: 9"
if [ ! -e "$BIN/libpresize_mpi.so" ] || ! command -v "$mpirun" > "$scratch/null"; then
    echo "skipped: no MPI here (libopenmpi-dev, openmpi-bin)"
    exit 77
fi
unset OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE SLURM_PROCID SLURM_STEP_NUM_TASKS
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe # Open MPI 4, and 5
tiny_experiment 3 1 12 "{kind: fine_tune, epochs: 1}" "exec: {microbatch: 2}"

# by_mpirun N NAME ARGS...: a run of N processes, started as a user starts them.
by_mpirun() {
    local n=$1 name=$2
    shift 2
    $mpirun -n "$n" "$BIN/train" --data "$data" --results "$results" --name "$name" "$@" > "$scratch/out" \
        2> "$scratch/err" || fail "mpirun -n $n train $name $*: status $?"
    [ "$(tail -n 1 "$scratch/out")" = "$results/$name" ] || fail "$name: last line of stdout"
}
# unlike_ranks ARGS COMMAND...: two processes, of which rank 1 has ARGS as well. One program for all ranks, as Open MPI
# 5.0.7's mpirun crashes on "COMMAND : COMMAND".
unlike_ranks() {
    $mpirun -n 2 bash -c '[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ] || set -- "" "${@:2}"; exec "${@:2}" $1' - "$@"
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
