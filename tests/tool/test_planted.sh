# test_planted.sh - what is planted in a tool can neither write elsewhere nor run a program; --no-sandbox is the control.
# SPDX-License-Identifier: MIT
export TMPDIR=/tmp # every sandbox may write to /dev/shm, so what it must not write lies elsewhere
. "${SOURCE:?}/tests/tool/train_common.sh"
hook=$BIN/libsandbox_hook.so
[ -f "$hook" ] || fail "$hook is not built"

# say TOOL ARGS...: what the tool says of its sandbox.
say() {
    local tool=$1
    shift
    "$BIN/$tool" "$@" -v 2>&1 >/dev/null | grep -m 1 'sandbox:'
}
line=$(say eval --list --results "$scratch")
case $line in
*"Landlock "[1-9]*"; no program"*) landlock=1 ;;
*"none, this kernel has no Landlock"*) landlock= ;;
*) fail "eval -v says of its sandbox: '$line'" ;;
esac
[ -z "$(say eval --list --results "$scratch" --no-sandbox)" ] || fail "--no-sandbox is not heeded"

# planted FILE TOOL ARGS...: runs the tool with the hook, which tries to write FILE; the tool must succeed.
planted() {
    local file=$1 tool=$2
    shift 2
    rm -f "$scratch/hook" "$file"
    HOOK_LOG=$scratch/hook HOOK_FILE=$file LD_PRELOAD=$hook "$BIN/$tool" "$@" > "$scratch/out" \
        2> "$scratch/err" || fail "$tool $*: status $?"
    [ -s "$scratch/hook" ] || fail "$tool $*: the hook was never called"
}

# stopped FILE TOOL ARGS...: neither deed succeeds, whenever it is tried.
stopped() {
    planted "$@"
    [ -z "$landlock" ] && return
    [ "$(sort -u "$scratch/hook")" = "write 0 execute 0" ] ||
        fail "planted in $2 ${*:3}: $(sort "$scratch/hook" | uniq -c)"
    [ ! -e "$1" ] || fail "$1 is there"
}

# control FILE TOOL ARGS...: without the sandbox both do.
control() {
    planted "$@" --no-sandbox
    [ "$(sort -u "$scratch/hook")" = "write 1 execute 1" ] ||
        fail "control, $2 ${*:3}: $(sort "$scratch/hook" | uniq -c)"
    rm "$1"
}

tiny_experiment 2 2 8 "{kind: one_cycle, epochs: 1}"
mkdir -p "$scratch/data/demo" "$scratch/new" "$scratch/runs" # of a missing folder the one above is open
cp -r "$data/demo/tree" "$data/demo/manifest.jsonl" "$scratch/data/demo"
data=$scratch/data
cp "$SOURCE/prep/datasets/demo.yaml" "$scratch"
cd "$scratch" || exit 1 # outside git's folders: git moves files, too

stopped data/demo/tree/planted prep demo.yaml --data data
control data/demo/tree/planted prep demo.yaml --data data -f
for shard in data/demo/shards-*/*.h5; do rm "$shard"; break; done
stopped data/demo/tree/planted prep demo.yaml --repair --data data

tar -cf own.tar -C data/demo/tree images
stopped planted fetch own --from own.tar --data new
control planted fetch other --from own.tar --data new

stopped planted train $tiny --data data --results runs --name a
control planted train $tiny --data data --results runs --name b
planted runs/planted train $tiny --data data --results runs --name c # beside the run, while it runs
[ -z "$landlock" ] || [ "$(tail -n 1 "$scratch/hook")" = "write 0 execute 0" ] ||
    fail "planted in train: $(sort "$scratch/hook" | uniq -c)"
grep -q '"sandbox": "off"' runs/b/run.json || fail "run.json of --no-sandbox"
grep -q "\"sandbox\": \"${landlock:+landlock }$([ "$landlock" ] || echo none)" runs/a/run.json ||
    fail "run.json: $(grep sandbox runs/a/run.json)"

export TMPDIR=$scratch/new # where --verify and a report's verdict make tables once more
stopped runs/b/planted eval a --report --data data --results runs
control runs/b/planted eval a --report --data data --results runs
mkdir made
stopped runs/b/planted eval a --export made/export --data data --results runs
[ -f made/export/model.onnx ] || fail "eval --export in its sandbox: $(ls -A made/export)"
"$BIN/eval" a --verify --data data --results runs > "$scratch/out" 2> "$scratch/err" ||
    fail "eval --verify: $(cat "$scratch/out")"
sed 's/"sandbox": "[^"]*"/"sandbox": "off"/' -i runs/a/run.json
"$BIN/eval" a --verify --data data --results runs > "$scratch/out" 2> "$scratch/err" &&
    fail "--verify does not see that run.json has another sandbox"

[ "$landlock" ] || skip "this kernel has no Landlock; only the controls were run"
exit 0
