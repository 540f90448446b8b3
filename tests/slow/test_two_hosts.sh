#!/bin/bash
# test_two_hosts.sh - two hosts, each a network namespace with its own name, joined by a link of 1 Gbit/s: the bits of one
# process, what the link carries against --plan, other files on one host, ranks that die, hang or lose the link.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/slow/two_hosts.sh"
hosts_begin "$@"

# One, two and three processes on each host; sums are those of one process, whichever machine they are made on.
train_run one $tiny exec.threads=1
on_hosts -n 2 $train --name two $tiny exec.threads=1 > "$scratch/out" 2> "$scratch/err" || fail "two processes"
same_run one two
grep -q '"rank 1 (host1, ' "$results/two/run.json" && grep -q '"sandbox": "landlock' "$results/two/run.json" ||
    fail "not on two hosts, or without the sandbox: $(grep -E 'rank|sandbox' "$results/two/run.json")"
limit_link || echo "no tbf here: the link has no limit"
before=$(bytes_sent)
for precision in fp32 bf16; do
    [ $precision = fp32 ] || train_run bf16 $tiny exec.threads=2 train.precision=bf16
    on_hosts -n 2 $train --name limited-$precision $tiny train.precision=$precision > "$scratch/out" 2> "$scratch/err" ||
        fail "a limited link"
    [ $precision = bf16 ] || sent=$(($(bytes_sent) - before))
done
same_run one limited-fp32
same_run bf16 limited-bf16
on_hosts -n 6 $train --name six $tiny exec.threads=1 > "$scratch/out" 2> "$scratch/err" || fail "six processes"
same_run one six
grep -q '"meetings": [1-9]' "$results/six/timing.jsonl" || fail "six processes: no memory in common"

# What the link carried for one process's run is what --plan says, within a fifth. The control: half of it is not.
"$BIN/train" --data "$data" --plan $tiny exec.threads=1 --ranks 2 > "$scratch/out" 2> "$scratch/err" || fail "--plan --ranks 2"
planned=$(sed -n 's/.*: [0-9]* exchanges a step, \([0-9.]*\) MB.*/\1/p' "$scratch/out" | paste -d ' ' - \
    <(sed -n 's/.*"steps": \([0-9]*\).*/\1/p' "$results/two/metrics.jsonl") | awk '{n += $1 * ($2 - before) * 1e6; before = $2} END {printf "%d", n}')
is_as_planned() { awk -v sent="$1" -v planned="$planned" 'BEGIN {exit !(sent > 0.8 * planned && sent < 1.2 * planned)}'; }
is_as_planned "$sent" || fail "the link carried $sent bytes, and --plan says $planned"
is_as_planned $((sent / 2)) && fail "half of $sent bytes is as planned"

# The second host sees other files.
unlike_hosts() { # TEXT ARGS...: the process on host1 has ARGS as well; refused with TEXT, before a folder is made
    local text=$1
    shift
    on_hosts -n 2 bash -c 'n=$1; shift; [ "$(hostname)" = host1 ] || set -- "${@:n + 1}"; [ "$(hostname)" = host0 ] ||
        set -- "${@:n + 1}" "${@:1:n}"; exec "$@"' - $# "$@" $train --name none $tiny > "$scratch/out" 2> "$scratch/err" &&
        fail "other files: $*"
    grep -q "rank 1 (host1, .*$text" "$scratch/err" || fail "expected \"$text\" in: $(cat "$scratch/err")"
    [ ! -e "$results/none" ] || fail "other files: it made a folder"
}
mkdir -p "$scratch/other/demo"
cp -r "$data/demo/shards-128" "$scratch/other/demo/"
sed -i 's/"max_aspect"/ "max_aspect"/' "$scratch/other/demo/shards-128/index.json"
unlike_hosts "has other shards than rank 0" --data "$scratch/other"
unlike_hosts "/nowhere" --data /nowhere

# Ranks are killed at seeded moments; the run resumes by as many processes as it happens to be, and has its bits.
more="$tiny exec.threads=1 train.phases.0.epochs=60"
train_run whole $more
RANDOM=${SEED:-7}
begun killed on_hosts -n 2 $train
kills=0
for n in 6 2 6 0; do
    sleep 0.$((RANDOM % 6))
    victim=$((RANDOM % 2))
    kill -KILL "$(pid_of killed $victim)" 2> "$scratch/null" && kills=$((kills + 1))
    wait $pid && break # it was done before
    grep -q "rank $victim with PID .* on node host[01] exited on signal 9" "$scratch/err" ||
        fail "mpirun does not name rank $victim: $(cat "$scratch/err")"
    [ $n = 0 ] && break
    on_hosts -n $n $train --resume killed > "$scratch/out" 2> "$scratch/err" &
    pid=$!
    until kill -0 "$(pid_of killed 1)" 2> "$scratch/null"; do kill -0 $pid || fail "it does not resume"; sleep 0.02; done
done
[ $kills -ge 2 ] || fail "the run was done after $kills kills"
[ "$(status_of killed)" = done ] || resumed killed
same_run whole killed

# A rank that hangs; a link that is cut: those that wait say so, and end.
export PRESIZE_RANK_SECONDS=3
begun hangs on_hosts -n 2 -x PRESIZE_RANK_SECONDS $train
kill -STOP "$(pid_of hangs 1)"
ends 1 "has waited more than 3 s for another process"
begun cut on_hosts -n 2 -x PRESIZE_RANK_SECONDS $train
pids="$(pid_of cut 0) $(pid_of cut 1)"
ip -n host1 link set right down
tries=0
while kill -0 $pids 2> "$scratch/null"; do
    [ $((tries += 1)) -lt 600 ] || fail "without a link the ranks are there after a minute: $(cat "$scratch/err")"
    sleep 0.1
done
ip -n host1 link set right up
kill $pid 2> "$scratch/null"
wait $pid
grep -q "rank 0 (host0, .* has waited more than 3 s for another process" "$scratch/err" || fail "the cut link: $(cat "$scratch/err")"
unset PRESIZE_RANK_SECONDS
resumed hangs
resumed cut
echo "weights $(weights_hash whole) on two hosts after $kills kills; $sent bytes a run, planned $planned"
