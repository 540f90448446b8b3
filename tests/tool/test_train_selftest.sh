# test_train_selftest.sh - train --selftest: the cpu against ref, its two files, and its misuse. That it
# finds what is wrong: tests/unit/test_selftest.c. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"

"$BIN/train" --selftest --quick -B cpu --results "$results" >"$scratch/out" 2>"$scratch/err" ||
    fail "--selftest: $(grep FAILED "$scratch/out")"
grep -q '^passed    op conv fp32 ' "$scratch/out" || fail "no convolution in the page"
grep -q '^passed    images/s resnet50 fp32 ' "$scratch/out" || fail "no rate of a second network"
grep -q ' 0 failed, ' "$scratch/out" || fail "no count of failures"
[ "$(tail -n 1 "$scratch/out")" = "$results/selftest-cpu.txt" ] || fail "the last line is not the page"
head -n -2 "$scratch/out" | cmp -s - "$results/selftest-cpu.txt" || fail "the page is not what was printed"
grep -q '"failed": 0,' "$results/selftest-cpu.json" || fail "selftest-cpu.json: failures"
grep -q '"check": "op bn_stats fp32"' "$results/selftest-cpu.json" || fail "selftest-cpu.json: no checks"
[ "$(ls "$results" | wc -l)" -eq 2 ] || fail "left behind: $(ls "$results")"

misused() {
    text=$1
    shift
    "$BIN/train" --results "$scratch/none" "$@" >"$scratch/out" 2>"$scratch/err"
    [ $? -eq 2 ] || fail "$*: not status 2"
    grep -qF -- "$text" "$scratch/err" || fail "$*: does not say '$text'"
}
misused "--quick goes with --selftest" --quick --exp smoke
misused "leave out --exp" --selftest --exp smoke
misused "leave out --summary" --selftest --resume x
misused "exec.threads" --selftest exec.threads=-1
misused "model" --selftest model.arch=resnet18
misused "backend" --selftest -B abacus
[ ! -e "$scratch/none" ] || fail "misuse left a folder"
exit 0
