#!/bin/bash
# two_hosts.sh - a step's time by one process and by two on two hosts (network namespaces on this machine), over links of
# several kinds, by turns, and what --plan's model says of the difference.
#
#   tests/bench/two_hosts.sh [PASSES [KEY=VALUE...]]      needs root, mpirun, iproute2, python3, two cores
#
# Both hosts are one machine, so computing takes as long as by one process of two threads, but for the optimiser, which
# each host runs; what is more is the link's.
# The model: exchanges x latency + bytes / bandwidth, with 50 us and 10 Gbit/s where the link has no other. SPDX-License-Identifier: MIT
SOURCE=${SOURCE:-$PWD} BIN=${BIN:-$PWD/bin} BUILD=${BUILD:-$PWD/build}
export SOURCE BIN BUILD
. "${SOURCE:?}/tests/slow/two_hosts.sh"
hosts_begin "$@"
shift
passes=${1:-3}
[ $# -gt 0 ] && shift
tiny_experiment 12 1 32 "{kind: one_cycle, epochs: 3}"
experiment="$tiny model.arch=resnet18 $*"

once() { # NAME THREADS COMMAND...: a line "NAME seconds-a-step" of all epochs but the first
    local name=$1 threads=$2
    shift 2
    rm -rf "$results"
    "$@" $train --name run $experiment exec.threads=$threads > "$scratch/out" 2> "$scratch/err" || fail "$name"
    sed -n 's/.*"train_seconds": \([0-9.]*\).*/\1/p' "$results/run/timing.jsonl" |
        awk -v name="$name" -v steps="$(sed -n '1s/.*"steps": \([0-9]*\).*/\1/p' "$results/run/metrics.jsonl")" \
            'NR > 1 {s += $1 / steps} END {printf "%s %.4f\n", name, s / (NR - 1)}' | tee -a "$scratch/all"
}
median() {
    awk -v n="$1" '$1 == n {print $2}' "$scratch/all" | sort -n |
        awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2}'
}
"$BIN/train" --data "$data" --plan $experiment --ranks 2 > "$scratch/out" 2> "$scratch/err" || fail "--plan"
read -r exchanges megabytes < <(sed -n 's/.*: \([0-9]*\) exchanges a step, \([0-9.]*\) MB.*/\1 \2/p' "$scratch/out")
echo "link, seconds a step ($exchanges exchanges, $megabytes MB)"
python3 "$SOURCE/tests/bench/relay.py" 0.001 host0=10.9.1.1/24 host1=10.9.1.2/24 > "$scratch/ready" &
until [ -s "$scratch/ready" ]; do kill -0 $! 2> "$scratch/null" || fail "relay.py"; sleep 0.1; done
for ((i = 0; i < passes; i++)); do
    once none 2 env
    once veth 1 on_hosts -n 2
    limit_link && once 1gbit 1 on_hosts -n 2
    unlimit_link
    network=10.9.1.0/24 once 1ms 1 on_hosts -n 2
done
for link in veth 1gbit 1ms; do
    [ "$(median $link)" != 0 ] || continue
    awk -v link=$link -v one="$(median none)" -v two="$(median $link)" -v n="$exchanges" -v mb="$megabytes" 'BEGIN {
        latency = link == "1ms" ? 1e-3 : 50e-6; rate = link == "1gbit" ? 1e9 : 1e10
        printf "%s: %.2f times one process; %.3f s a step more, the model says %.3f s\n", link, two / one, two - one,
            n * latency + mb * 8e6 / rate}'
done
