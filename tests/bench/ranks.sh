#!/bin/bash
# ranks.sh - what two processes of one thread cost against one process of two threads, by turns on one machine.
#
#   tests/bench/ranks.sh [PASSES [KEY=VALUE...]]      the demo's experiment with KEYs; needs bin/, mpirun, `prep demo`
#
# Prints for each pass the images/s of the training steps (timing.jsonl, all epochs but the first) and the processor
# seconds of all processes, and at the end the ratios of the medians. On a busy machine the processor seconds alone say
# something.
# SPDX-License-Identifier: MIT
set -u
passes=${1:-3}
[ $# -gt 0 ] && shift
BIN=${BIN:-bin}
data=${PRESIZE_DATA:-data}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

once() { # NAME OPTIONS...: a line "images/s processor-seconds" of the training steps, without the first epoch
    local name=$1
    shift
    rm -rf "$scratch/results"
    "$BIN/train" --data "$data" --results "$scratch/results" --exp demo --name run "$@" > "$scratch/out" \
        2> "$scratch/err" || { cat "$scratch/err" >&2; exit 1; }
    sed -n 's/.*"train_seconds": \([0-9.]*\).*"images_per_s": \([0-9.]*\).*"processor_seconds": \([0-9.]*\).*/\1 \2 \3/p' \
        "$scratch/results/run/timing.jsonl" |
        awk -v n="$name" 'NR > 1 {s += $1; i += $1 * $2; c += $3} END {printf "%s %.1f %.2f\n", n, i / s, c}' |
        tee -a "$scratch/all"
}
median() { # NAME COLUMN
    awk -v n="$1" -v c="$2" '$1 == n {print $c}' "$scratch/all" | sort -n |
        awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2}'
}
echo "processes x threads, images/s, processor seconds"
for ((i = 0; i < passes; i++)); do
    once 1x2 exec.threads=2 "$@"
    once 2x1 --ranks 2 exec.threads=1 "$@"
done
echo "2x1 against 1x2: images/s $(awk "BEGIN {printf \"%.3f\", $(median 2x1 2) / $(median 1x2 2)}")," \
    "processor seconds $(awk "BEGIN {printf \"%.3f\", $(median 2x1 3) / $(median 1x2 3)}")"
