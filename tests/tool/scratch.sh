# scratch.sh - what every test in bash begins with; sourced. $scratch is a folder that goes when the test ends, $archive
# the real pictures, where they are there. What the caller has set changes nothing. SPDX-License-Identifier: MIT
! declare -F end_test >/dev/null || return 0 # a test may source several files that want it
set -u
export LC_ALL=C
unset PRESIZE_DATA http_proxy HTTP_PROXY all_proxy ALL_PROXY
scratch=$(mktemp -d)
archive=$(realpath -m "${PRESIZE_SHARED:-${SOURCE:?}/../shared}")/data/oxford-iiit-pet-mini.tgz
FAILED=0 # 1: the test fails, whatever its last command says

at_end() { :; } # what a test must end or unmount, in a function of its own of this name
end_test() {
    local status=$?
    at_end || :
    rm -rf "$scratch"
    [ $status != 0 ] || status=$FAILED
    exit $status
}
trap end_test EXIT

# The test ends here. The last lines of ./out and ./err in $scratch may say why.
fail() {
    local file
    echo "FAIL: $*" >&2
    for file in out err; do
        [ ! -s "$scratch/$file" ] || tail -n 20 "$scratch/$file" | sed "s/^/$file: /" >&2
    done
    exit 1
}
# skip WHY: something is not there that the test needs
skip() { echo "skipped: $*"; exit 77; }
needs_archive() { [ -f "$archive" ] || skip "no $archive (PRESIZE_SHARED names the folder above data)"; }
