# expect.sh - what the tests of fetch and prep say things with; sourced. The working folder is $scratch. After a command,
# stdout is in ./out and stderr in ./err. A test tells all that is wrong. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
cd "$scratch" || exit 1

fail() { echo "FAILED: $*"; FAILED=1; }
# ok COMMAND...: it must end with 0
ok() { "$@" >out 2>err || { fail "$*: status $?"; cat err; }; }
# refuse STATUS COMMAND...: it must end with that status
refuse() {
    local want=$1 got
    shift
    "$@" >out 2>err
    got=$?
    [ "$got" = "$want" ] || { fail "$*: status $got, not $want"; cat err; }
}
# says TEXT: it is in stderr; prints TEXT: it is in stdout
says() { grep -qF -- "$1" err || { fail "stderr lacks '$1'"; cat err; }; }
prints() { grep -qF -- "$1" out || { fail "stdout lacks '$1'"; cat out; }; }
# nothing_left FOLDER: nothing is in it
nothing_left() { [ -z "$(ls -A "$1" 2>/dev/null)" ] || fail "left behind in $1: $(find "$1")"; }
# picture FILE WIDTH HEIGHT OFFSET: a PPM whose pixels are bytes of a program
picture() {
    mkdir -p "$(dirname "$1")"
    { printf 'P6\n%d %d\n255\n' "$2" "$3"; tail -c +"$4" "$BIN/prep" | head -c $(($2 * $3 * 3)); } >"$1"
}
