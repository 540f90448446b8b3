#!/bin/bash
# Every number, text and truth in run.json and last.json, changed once: `eval RUN --verify` must find each.
# docs/reliability.md has the figure. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
command -v python3 > /dev/null || skip "no python3 to change JSON"
. "${SOURCE:?}/tests/slow/small_set.sh"

# leaf FILE N: changes the N-th leaf of FILE.kept into FILE and prints its name; nothing behind the last.
leaf() {
    python3 - "$1" "$2" <<'PY'
import json, sys
name, wanted, seen = sys.argv[1], int(sys.argv[2]), 0
def walk(value, path):
    global seen
    if isinstance(value, (dict, list)) and value:
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            value[key] = walk(value[key], f"{path}.{key}")
        return value
    seen += 1
    if seen - 1 != wanted:
        return value
    print(path[1:])
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return value + "x" if isinstance(value, str) else 1
record = walk(json.load(open(name + ".kept")), "")
json.dump(record, open(name, "w"), indent=2)
PY
}

for file in results/run/run.json results/run/checkpoints/last.json; do
    cp $file "$file.kept"
    found=0 n=0
    while name=$(leaf $file $n) && [ -n "$name" ]; do
        n=$((n + 1))
        if "$BIN/eval" run --verify > out 2>&1; then
            echo "not found: $name of $file"
        else
            found=$((found + 1))
        fi
    done
    rm $file && mv "$file.kept" $file
    echo "${file##*/}: $found of $n changed leaves found"
    [ "$found" = $n ] && [ $n -gt 20 ] || missed=1
done
"$BIN/eval" run --verify > out 2>&1 || fail "the control: an untouched run"
[ -z "${missed:-}" ] || fail "not every change was found"
