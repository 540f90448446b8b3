#!/bin/bash
# test_slurm.sh - the script of docs/cluster.md under Slurm: stopped by --signal and requeued, preempted, on fewer nodes,
# cancelled; resumed by srun, with the bits of one process. srun without PMIx, array jobs, prep. Two slurmd on one machine, with
# their own host names, in namespaces that end with all that runs in them. SPDX-License-Identifier: MIT
for program in slurmctld slurmd munged sbatch unshare ip; do
    if ! command -v $program > /dev/null || [ "$(id -u)" != 0 ]; then
        echo "skipped: needs root and $program (slurm-wlm, munge, util-linux, iproute2)"
        exit 77
    fi
done
if [ "${1-}" != inside ]; then
    if ! unshare --net --mount --pid --fork --mount-proc --kill-child ip link add left type veth peer name right; then
        echo "skipped: no namespaces here"
        exit 77
    fi
    exec unshare --net --mount --pid --fork --mount-proc --kill-child bash "$0" inside
fi
. "${SOURCE:?}/tests/tool/train_common.sh" || exit 1
. "${SOURCE:?}/tests/tool/ranks_common.sh"
export PATH=$BIN:$PATH
slurm=$scratch/slurm
mkdir -p "$slurm/state" "$slurm/spool" "$slurm/tmp.node0" "$slurm/tmp.node1"

# Slurm listens on loopback alone, but looks addresses up only where there is another interface.
ip link set lo up && ip link add left type veth peer name right && ip addr add 10.0.0.1/24 dev left &&
    ip link set left up || fail "the network"
echo "127.0.0.1 localhost $(hostname) node0 node1" > "$slurm/hosts"
mount --bind "$slurm/hosts" /etc/hosts || fail "/etc/hosts"
(umask 077 && head -c 64 /dev/urandom > "$slurm/key")
munged --force --key-file="$slurm/key" --socket="$slurm/munge" --pid-file="$slurm/munge.pid" --log-file="$slurm/munge.log" \
    --seed-file="$slurm/seed" 2> "$scratch/err" || fail "munged"
cat > "$slurm/slurm.conf" <<CONF
ClusterName=presize
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$slurm/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool/%n
TmpFS=$slurm/tmp.%n
SlurmctldPidFile=$slurm/ctld.pid
SlurmdPidFile=$slurm/%n.pid
NodeName=node0 NodeHostname=node0 NodeAddr=127.0.0.1 Port=6820 CPUs=2
NodeName=node1 NodeHostname=node1 NodeAddr=127.0.0.1 Port=6821 CPUs=2
PartitionName=all Nodes=ALL Default=YES GraceTime=20 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF
CONF
export SLURM_CONF=$slurm/slurm.conf
slurmctld -D > "$slurm/ctld.log" 2>&1 &
for node in node0 node1; do
    unshare --uts bash -c "hostname $node; exec slurmd -D -N $node" > "$slurm/$node.log" 2>&1 &
done
# until_true TEXT COMMAND...: it must become true within half a minute or so
until_true() {
    local text=$1 tries=0
    shift
    until "$@" 2> "$scratch/null"; do
        [ $((tries += 1)) -lt 400 ] || fail "not within 40 s: $text; $(squeue); $(tail -n 5 "$slurm"/*.log "$scratch"/job-*)"
        sleep 0.1
    done
}
nodes_are_idle() { [ "$(sinfo -h -N -p all -t idle | wc -l)" = 2 ]; }
state_is() { [ "$(squeue -h -j "$1" -o %T)" = "$2" ]; }
run_is() { [ "$(status_of "$1")" = "$2" ]; }
has_checkpoint() { [ -e "$results/$1/checkpoints/last.json" ]; }
until_true "two nodes" nodes_are_idle

# srun on two nodes, one and two processes on each
train_run one $tiny exec.threads=1
srun --mpi=pmix -N 2 -n 2 $train --name two $tiny > "$scratch/out" 2> "$scratch/err" || fail "srun -n 2"
same_run one two
grep -q '"rank 1 (node1, ' "$results/two/run.json" || fail "srun -n 2: not on two nodes"
train_run one-4 $tiny exec.threads=1 train.batch=16
srun --mpi=pmix -N 2 -n 4 $train --name four $tiny train.batch=16 > "$scratch/out" 2> "$scratch/err" || fail "srun -n 4"
same_run one-4 four
grep -q '"meetings": [1-9]' "$results/four/timing.jsonl" || fail "srun -n 4: no memory in common"
srun -N 2 -n 2 $train --name none $tiny > "$scratch/out" 2> "$scratch/err" && fail "srun without --mpi"
grep -q 'start them by `srun --mpi=pmix`' "$scratch/err" || fail "srun without --mpi: $(cat "$scratch/err")"
srun --mpi=pmi2 -N 2 -n 2 $train --name none $tiny > "$scratch/out" 2> "$scratch/err" && fail "srun --mpi=pmi2"
[ ! -e "$results/none" ] || fail "without PMIx: it made a folder"

# prep on two nodes, and `prep --ranks` in a job: the bytes of one process
shards="demo presize.size=40 shard.pictures=5"
shard_hashes() { (cd "$data/demo/shards-40" && sha256sum -- * && cd .. && rm -r shards-40) || fail "no shards: $*"; }
srun --mpi=pmix -N 2 -n 2 prep --data "$data" $shards > "$scratch/out" 2> "$scratch/err" || fail "srun prep"
shard_hashes "srun prep" > "$scratch/by-srun"
sbatch --wait --nodes=1 --ntasks=2 --output="$scratch/job-prep.out" --wrap "prep --ranks 2 --data $data $shards" \
    > "$scratch/null" || fail "prep --ranks in a job: $(cat "$scratch/job-prep.out")"
grep -q "in each of 2 processes" "$scratch/job-prep.out" || fail "prep --ranks: one process: $(cat "$scratch/job-prep.out")"
shard_hashes "prep --ranks in a job" > "$scratch/by-ranks"
prep --data "$data" $shards > "$scratch/out" 2> "$scratch/err" || fail "prep"
shard_hashes "prep" > "$scratch/by-one"
[ "$(wc -l < "$scratch/by-one")" -gt 3 ] || fail "expected some shards: $(cat "$scratch/by-one")"
for other in srun ranks; do
    cmp "$scratch/by-one" "$scratch/by-$other" || fail "prep by $other: other bytes"
done
srun -N 2 -n 2 prep --data "$data" $shards > "$scratch/out" 2> "$scratch/err" && fail "srun prep without --mpi"
grep -q 'srun --mpi=pmix' "$scratch/err" || fail "srun prep without --mpi: $(cat "$scratch/err")"
[ ! -e "$data/demo/shards-40" ] || fail "srun prep without --mpi: it made shards"

# The script of the document. It is stopped by --signal and requeues itself; it resumes and is preempted; a second job
# resumes on one node and is cancelled; srun ends the run. The processes are paused until Slurm's signal waits for them.
more="$tiny train.phases.0.epochs=80"
sed -n '/^    #!\/bin\/bash$/,/^    exit/s/^    //p' docs/cluster.md |
    sed "s|/shared/data|$data|; s|/shared/results|$results|; s|--exp resnet18_scratch|$more|" > "$scratch/job.sh"
grep -q "scontrol requeue" "$scratch/job.sh" && grep -qF -e "$more" "$scratch/job.sh" || fail "docs/cluster.md has no script"
submit() { sbatch --parsable --output="$scratch/job-%j.out" "$@" 2> "$scratch/err" || fail "sbatch $*"; }
pids_of() { sed -n 's/.*"rank [0-9]* (.*pid \([0-9]*\),.*/\1/p' "$results/$1/run.json"; }
has_pending() { [ $((0x$(sed -n 's/^ShdPnd:\t//p' "/proc/$1/status") >> ($2 - 1) & 1)) = 1 ]; } # PID SIGNAL
# stopped_by SIGNAL: where it has come to the paused processes of the run, they continue, and stop with a checkpoint
is_stopped_by() {
    local pid
    for pid in $(pids_of "$run"); do has_pending "$pid" "$1" && kill -CONT "$pid"; done
    run_is "$run" stopped
}
stopped_by() {
    until_true "$run is stopped by SIG$1" is_stopped_by "$(kill -l "$1")"
    until_true "the job says that SIG$1 stopped it" grep -q "stopped by SIG$1" "$scratch/job-$job.out"
}
job=$(submit --ntasks-per-node=1 --cpus-per-task=1 --time=1 --signal=USR1@60 "$scratch/job.sh")
run=pets-$job
until_true "a checkpoint" has_checkpoint "$run"
kill -STOP $(pids_of "$run")
train_run whole $more exec.threads=1 # beside it
stopped_by USR1
until_true "requeued after --signal" state_is "$job" PENDING

# resumes: the job runs and has trained two epochs more
resumes() {
    local kept
    kept=$(wc -l < "$results/$run/metrics.jsonl")
    until_true "job $job resumes" eval '[ "$(wc -l < "$results/$run/metrics.jsonl")" -gt '$((kept + 1))' ]'
    kill -STOP $(pids_of "$run")
    [ "$(grep -c "resuming after" "$scratch/job-$job.out")" = "$1" ] || fail "not resumed: $(cat "$scratch/job-$job.out")"
}
scontrol update JobId="$job" TimeLimit=10 && scontrol update JobId="$job" StartTime=now || fail "scontrol update"
resumes 1
urgent=$(submit --partition=urgent --nodes=2 --exclusive --wrap true)
stopped_by TERM
until_true "requeued after a preemption" state_is "$job" PENDING
scancel "$job"
until_true "the end of both jobs" eval '[ -z "$(squeue -h)" ]'

job=$(submit --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 "$scratch/job.sh" "$run")
resumes 1
grep -q '"rank 1 (node0, ' "$results/$run/run.json" || fail "the second job: not on one node"
scancel "$job"
stopped_by TERM
srun --mpi=pmix -n 1 -c 2 $train --resume "$run" > "$scratch/out" 2> "$scratch/err" || fail "srun --resume"
same_run whole "$run"

# A job that is done is COMPLETED.
sed -i "s/ train.phases.0.epochs=80//" "$scratch/job.sh"
job=$(submit --ntasks-per-node=1 --cpus-per-task=1 --wait "$scratch/job.sh") || fail "the job is not completed: $(tail "$scratch"/job-*)"
same_run one "pets-$job"

# An array job for seeds, one process each, and mpirun in a job
printf 'exp: tiny\nseeds: 2\n' > "$scratch/seeds.yaml"
submit --array=1-2 --wait --wrap "$train --study $scratch/seeds.yaml --task \$SLURM_ARRAY_TASK_ID" > "$scratch/null" ||
    fail "array job: $(tail "$scratch"/job-*)"
same_run one "seeds/seed=42"
run_is "seeds/seed=43" done || fail "array job: seed 43"
submit --nodes=2 --ntasks=2 --wait --wrap "mpirun $train --name by-mpirun $tiny" > "$scratch/null" || fail "mpirun in a job"
same_run one by-mpirun
echo "weights $(weights_hash whole) under Slurm, $(slurmctld -V)"
