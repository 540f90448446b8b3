#!/bin/bash
# test_ranks_ended.sh - several processes through MPI: a signal to any of them, or to what waits for them, stops all with
# a checkpoint, from which any number resumes; one that dies or hangs is told of. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
. "${SOURCE:?}/tests/tool/ranks_common.sh"
more="$tiny exec.threads=1 train.phases.0.epochs=6"
train_run whole $more

# A signal to one rank, to mpirun, to the process that waits; the rest by other numbers of processes.
begun term $mpirun -n 3 $train
kill -TERM "$(pid_of term 2)"
ends 1 "--resume term\`"
resumed term --ranks 2
begun waits $train --ranks 2
kill -INT $pid
ends "$passed_on_status" "resume with \`$BIN/train --ranks 2 --data $data --results $results --resume waits\`"
[ "$(status_of waits)" = stopped ] || fail "a run that was stopped is $(status_of waits)"
resumed waits --ranks 3

# One is killed: the launcher names it; one hangs: another says so.
begun death $mpirun -n 2 $train
dead=$(pid_of death 1)
kill -KILL "$dead"
ends $killed_status "$killed_text"
resumed death
begun launched $train --ranks 2
kill -KILL "$(pid_of launched 1)"
ends 1 "was ended by signal 9"
resumed launched --ranks 2
export PRESIZE_RANK_SECONDS=3
begun hangs $mpirun -n 2 $train
kill -STOP "$(pid_of hangs 1)"
ends 1 "has waited more than 3 s for another process"
# On two machines, too, where another thread waits for gradients.
begun apart $mpirun -n 2 bash -c 'PRESIZE_RANK_HOST=machine${OMPI_COMM_WORLD_RANK:-$PMI_RANK} exec "$@"' - $train
kill -STOP "$(pid_of apart 1)"
ends 1 "has waited more than 3 s for another process"
# One whose file system hangs says so itself, before the other says that it waits.
for rank in 0 1; do
    hook='[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" != '$rank' ] || export LD_PRELOAD=$0; exec "$@"'
    HOOK_READS=40 $mpirun -n 2 bash -c "$hook" "$BIN/libhang_hook.so" $train --name stuck $more > "$scratch/out" \
        2> "$scratch/err" && fail "rank $rank did not hang"
    grep -q "rank $rank (.* has not got any further for 3 s" "$scratch/err" || fail "rank $rank hangs: $(cat "$scratch/err")"
    ! grep -q "has waited" "$scratch/err" || fail "rank $rank hangs, and the other speaks: $(cat "$scratch/err")"
    rm -r "$results/stuck"
done
# Time in which all are stopped does not count.
begun suspended $mpirun -n 2 $train
pids="$(pid_of suspended 0) $(pid_of suspended 1)"
kill -STOP $pids
sleep 8
kill -CONT $pids
wait $pid || fail "stopped for a while and continued: $(cat "$scratch/err")"
same_run whole suspended
unset PRESIZE_RANK_SECONDS
resumed hangs --ranks 2
resumed apart
echo "weights $(weights_hash whole) whichever way"
