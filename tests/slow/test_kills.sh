#!/bin/bash
# Each tool, killed (kill -9) at moments that a seed chooses, 20 times: what it leaves is nothing or whole, and the same
# command once more ends as if nothing had happened. docs/reliability.md has the figures. KILLS and SEED choose others.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/slow/small_set.sh"
kills=${KILLS:-20}
RANDOM=${SEED:-1}

now() { date +%s%3N; }
# killed COMMAND...: kills it after a random part of $span ms; true when it was still at work
killed() {
    local pid
    "$@" > out 2> err &
    pid=$!
    sleep "$(awk -v ms=$((RANDOM % span)) 'BEGIN { print ms / 1000 }')"
    kill -KILL $pid 2> /dev/null
    wait $pid 2> /dev/null
    [ $? = 137 ]
}
# several TOOL COMMAND...: measures the command, then kills it at random moments of so long
several() {
    local tool=$1 held=0 hit=0 began
    shift
    begin_$tool && began=$(now) && "$@" > out 2> err && span=$(($(now) - began + 1)) && check_$tool "$@" ||
        fail "$tool, not killed: $(cat err)"
    for ((i = 0; i < kills; i++)); do
        begin_$tool
        killed "$@" && hit=$((hit + 1))
        check_$tool "$@" && held=$((held + 1)) || echo "kill $i of $tool: $(tail -n 3 err); $(ls -A again again/* 2> /dev/null)"
    done
    echo "$tool: killed $hit of $kills times before its end; held $held of $kills"
    [ $held = "$kills" ] || missed=1
}
hashes() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum); }
hashes data/flip > set.sums
hashes data/flip/shards-32 > shards.sums

# the same command again ends well, and what is there then is what a whole run makes
begin_fetch() { rm -rf again; }
check_fetch() {
    "$@" > out 2> err && "$BIN/fetch" flip --data again --verify > out 2> err &&
        cmp again/flip/manifest.jsonl data/flip/manifest.jsonl && [ "$(ls -A again)$(ls -A again/flip | tr -d '\n')" = \
            flipmanifest.jsonltree ]
}
begin_prep() { rm -rf data/flip/shards-32; }
check_prep() {
    { [ ! -e data/flip/shards-32 ] || hashes data/flip/shards-32 | cmp - shards.sums; } &&
        "$@" > out 2> err && hashes data/flip/shards-32 | cmp - shards.sums &&
        [ ! -e data/flip/shards-32.part ]
}
begin_train() { rm -rf results/again; }
check_train() {
    case $(grep -o '"status": "[a-z]*"' results/again/run.json 2> /dev/null) in
    *done*) ;;
    '') rm -rf results/again && "$@" > out 2> err || return 1 ;;
    *) "$BIN/train" --resume again > out 2> err || return 1 ;;
    esac
    cmp results/run/metrics.jsonl results/again/metrics.jsonl &&
        cmp results/run/checkpoints/last.safetensors results/again/checkpoints/last.safetensors &&
        "$BIN/eval" again --verify > out 2> err
}
begin_eval() { rm -rf results/run/scores results/run/looks.jsonl; }
"$BIN/eval" run --set flip --json > score.json 2> err || fail "eval --set: $(cat err)"
check_eval() {
    "$@" > again.json 2> err && cmp score.json again.json && "$BIN/eval" run --verify > out 2> err
}
for tool in ${TOOLS:-fetch prep train eval}; do
    case $tool in
    fetch) several fetch "$BIN/fetch" flip --data again --from data/archives/flip-all.tgz ;;
    prep) several prep "$BIN/prep" flip ;;
    train) several train "$BIN/train" --exp flip.yaml --name again ;;
    eval) several eval "$BIN/eval" run --set flip --json ;;
    esac
done
[ -z "${missed:-}" ] || fail "a killed tool left something behind"
