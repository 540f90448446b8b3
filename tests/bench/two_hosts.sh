#!/bin/bash
# two_hosts.sh - a step's time by one process and by two on two hosts (network namespaces on this machine), over links of
# several kinds, by turns, and what the model of --plan says.
#
#   tests/bench/two_hosts.sh [PASSES [KEY=VALUE...]]      needs root, mpirun, iproute2, python3, two cores
#
# The model is given each link's latency and rate as link.py measures them, and the time that one process of one thread
# computes. Two hosts that are one machine share its memory's bandwidth, and its cores with relay.py. So what the training
# waited for (exchange_wait_ms) is compared, too. SPDX-License-Identifier: MIT
SOURCE=${SOURCE:-$PWD} BIN=${BIN:-$PWD/bin} BUILD=${BUILD:-$PWD/build}
export SOURCE BIN BUILD
. "${SOURCE:?}/tests/slow/two_hosts.sh"
hosts_begin "$@"
shift
passes=${1:-3}
[ $# -gt 0 ] && shift
tiny_experiment 12 1 32 "{kind: one_cycle, epochs: 3}"
experiment="$tiny model.arch=resnet18 $*"

once() { # NAME THREADS COMMAND...: a line "NAME seconds waited" of a step, of all epochs but the first
    local name=$1 threads=$2
    shift 2
    rm -rf "$results"
    "$@" $train --name run $experiment exec.threads=$threads > "$scratch/out" 2> "$scratch/err" || fail "$name"
    sed -n 's/.*"train_seconds": \([0-9.]*\)\(.*"exchange_wait_ms": \([0-9.]*\)\)\{0,1\}.*/\1 \3/p' "$results/run/timing.jsonl" |
        awk -v name="$name" -v steps="$(sed -n '1s/.*"steps": \([0-9]*\).*/\1/p' "$results/run/metrics.jsonl")" '
            NR > 1 {s += $1 / steps; w += $2 / 1e3 / steps}
            END {printf "%s %.4f %.4f\n", name, s / (NR - 1), w / (NR - 1)}' | tee -a "$scratch/all"
}
over() { # LINK NETWORK ADDRESS: the link's latency and rate, what the model says of them, and a run
    local link
    link=$(python3 "$SOURCE/tests/bench/link.py" host0 host1 "$3") || fail "link.py"
    "$BIN/train" --data "$data" --plan $experiment exec.threads=1 --ranks 2 --link "$link" > "$scratch/out" 2> "$scratch/err" ||
        fail "--plan"
    tr '\n' ' ' < "$scratch/out" | sed -n 's/.* a step takes \([0-9.]*\) s:.*machines like this,.* \([0-9.]*\) s waiting.* and \([0-9.]*\) s for.*/\1 \2 \3/p' |
        awk -v name="$1-model" -v link="${link/,/ }" '{print name, $1, $2 + $3, link}' | tee -a "$scratch/all"
    network=$2 once "$1" 1 on_hosts -n 2
}
median() { # NAME COLUMN
    awk -v n="$1" -v c="$2" '$1 == n {print $c}' "$scratch/all" | sort -n |
        awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2}'
}
python3 "$SOURCE/tests/bench/relay.py" 0.001 host0=10.9.1.1/24 host1=10.9.1.2/24 > "$scratch/ready" &
until [ -s "$scratch/ready" ]; do kill -0 $! 2> "$scratch/null" || fail "relay.py"; sleep 0.1; done
echo "link, seconds a step, of these waited for; of the model also latency (us) and Gbit/s"
for ((i = 0; i < passes; i++)); do
    once none 2 env
    over veth 10.9.0.0/24 10.9.0.2
    limit_link && over 1gbit 10.9.0.0/24 10.9.0.2
    unlimit_link
    over 1ms 10.9.1.0/24 10.9.1.2
done
for link in veth 1gbit 1ms; do
    [ "$(median $link 2)" != 0 ] || continue
    printf '%s (%.0f us, %.2f Gbit/s): %.3f s a step, %.3f of these waited for; the model says %.3f, %.3f; one process %.3f\n' \
        $link "$(median $link-model 4)" "$(median $link-model 5)" "$(median $link 2)" "$(median $link 3)" \
        "$(median $link-model 2)" "$(median $link-model 3)" "$(median none 2)"
done
