#!/bin/bash
# One bit flipped in one file at a time, 200 times in each kind of file, at places that a seed chooses: the tool that is
# to find it must. Prints the table of docs/reliability.md. FLIPS and SEED choose other numbers.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/slow/small_set.sh"
flips=${FLIPS:-200}
RANDOM=${SEED:-1}

verify_set() { "$BIN/fetch" flip --verify; }
verify_weights() { "$BIN/fetch" weights/resnet18 --verify; }
check_shards() { "$BIN/prep" flip --check; }
verify_run() { "$BIN/eval" run --verify; }
# A copy is resumed, whose large files are links: train replaces files whole, but for those that it appends to.
go_on() {
    rm -rf results/copy
    cp -al results/stopped results/copy
    for appended in metrics.jsonl timing.jsonl log.txt; do
        rm results/copy/$appended && cp results/stopped/$appended results/copy
    done
    "$BIN/train" --resume copy
}
# No hash is known before: the archive is refused, or gives the same files.
unpack_again() {
    rm -rf fresh
    "$BIN/fetch" flip --data fresh --from flipped.tgz || return 1
    ! cmp <(tail -n +2 data/flip/manifest.jsonl) <(tail -n +2 fresh/flip/manifest.jsonl) && return 1
    same=$((same + 1))
    return 0
}

flip() { # FILE BYTE BIT
    local old
    old=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %02x $((old ^ (1 << $3))))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# is_same_number FILE BYTE BIT: an exponent's e would become E, or the reverse; no other flip in JSON changes nothing
is_same_number() {
    [ "$3" = 5 ] && [ "$2" -gt 0 ] && case $1 in *.json) ;; *) false ;; esac &&
        tail -c +"$2" "$1" | head -c 3 | grep -qE '^[0-9][eE][-+0-9]$'
}

# try WHAT FINDER FILE...: flips a bit of one of the files, asks FINDER, flips it back.
try() {
    local what=$1 finder=$2 found=0 at bit file size i
    shift 2
    same=0
    $finder > out 2>&1 || fail "$what: $finder finds something before a bit is flipped: $(cat out)"
    same=0
    for ((i = 0; i < flips; i++)); do
        file=${!#}
        [ $# -gt 1 ] && file=${@:$((RANDOM % $# + 1)):1}
        size=$(stat -c %s "$file")
        at=$(((RANDOM * 32768 + RANDOM) % size)) bit=$((RANDOM % 8))
        is_same_number "$file" $at $bit && at=0
        flip "$file" $at $bit
        if $finder > out 2>&1; then
            [ $finder = unpack_again ] || echo "not found: $what, bit $bit of byte $at of $file" >> missed
        else
            found=$((found + 1))
        fi
        flip "$file" $at $bit
    done
    $finder > out 2>&1 || fail "$what: the file was not put back"
    [ $finder = unpack_again ] && same=$((same - 1))
    printf '| %s | `%s` | %d | %d%s |\n' "$what" "$(declare -f $finder | grep -o 'BIN/[a-z]*" [^;]*' | head -n 1 |
        sed 's|BIN/||; s|"||; s/ ||.*//')" "$flips" "$found" \
        "$([ $same -gt 0 ] && echo " refused, $same gave the same files")"
    [ $((found + same)) = "$flips" ] || missed=1
}

: > missed
missed=0
"$BIN/fetch" weights/resnet18 --from results/run/checkpoints/last.safetensors > out 2> err || fail "the weights"
"$BIN/train" --exp flip.yaml --name stopped --stop-after 1 > out 2> err
[ -s results/stopped/checkpoints/last.json ] || fail "the stopped run: $(cat err)"
kinds=${KINDS:-archive unpacked picture manifest weights shard index stopped checkpoint last run metrics predictions other}
for kind in $kinds; do
    case $kind in
    archive) try "archive, kept" verify_set data/archives/flip-all.tgz ;;
    unpacked)
        cp data/archives/flip-all.tgz flipped.tgz
        try "archive, of unknown hash" unpack_again flipped.tgz
        ;;
    picture) try picture verify_set data/flip/tree/images/* ;;
    manifest) try "manifest.jsonl" verify_set data/flip/manifest.jsonl ;;
    weights) try "weights" verify_weights data/weights/resnet18.safetensors ;;
    shard) try shard check_shards data/flip/shards-32/*.h5 ;;
    index) try "index.json" check_shards data/flip/shards-32/index.json ;;
    stopped)
        try "stopped run: last.*, best.*, metrics.jsonl" go_on results/stopped/checkpoints/* results/stopped/metrics.jsonl
        ;;
    checkpoint) try "checkpoint (last.safetensors)" verify_run results/run/checkpoints/last.safetensors ;;
    last) try "last.json" verify_run results/run/checkpoints/last.json ;;
    run) try "run.json" verify_run results/run/run.json ;;
    metrics) try "metrics.jsonl" verify_run results/run/metrics.jsonl ;;
    predictions) try "predictions.h5" verify_run results/run/predictions.h5 ;;
    other)
        try "any other file of a run, but its log, plots and report" verify_run results/run/*.yaml results/run/*.csv \
            results/run/metrics.json results/run/checkpoints/{best.*,last.optim.safetensors}
        ;;
    esac
done
cat missed
[ $missed = 0 ] || fail "not every flipped bit was found"
