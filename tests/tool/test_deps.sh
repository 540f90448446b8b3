#!/bin/bash
# make deps installs what is missing as root, else says the one line to run; with nothing missing it
# does nothing. Of several names it takes the one that the release has, and names a package that none has.
# dpkg-query, id, sudo, apt-cache and apt-get are stand-ins here. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
set -e
mkdir "$scratch/bin"
log=$scratch/out

stand_in() { # NAME BODY
    printf '#!/bin/bash\n%s\n' "$2" >"$scratch/bin/$1"
    chmod +x "$scratch/bin/$1"
}
deps() { # [PACKAGE...] -> status, output in log
    : >"$log"
    status=0
    [ $# -gt 0 ] || set -- have-this miss-this miss-that
    PATH="$scratch/bin:$PATH" "$SOURCE/.ci/install-packages" "$@" >>"$log" 2>&1 </dev/null || status=$?
}

stand_in dpkg-query 'case "${!#}" in have*) echo "install ok installed";; *) exit 1;; esac'
stand_in apt-get "echo \"ran apt-get \$*\" >>'$scratch/ran'"
stand_in sudo 'exit 1'
stand_in apt-cache 'case "$2" in old-*) echo "  Candidate: (none)";; no-*) exit 0;; *) echo "  Candidate: 1.0";; esac'

stand_in id 'echo 1000'
deps
[ $status -eq 1 ] || fail "status $status for a user who cannot install"
grep -qx 'apt-get update && apt-get install --no-install-recommends miss-this miss-that' "$log" || fail "no line to run"
deps 'old-name|new-name' no-such # what apt does not know is in the line, too: its lists may be old
grep -qx 'apt-get update && apt-get install --no-install-recommends new-name no-such' "$log" || fail "renamed package"
deps have-this -- no-such
[ $status -eq 0 ] && grep -q 'no package no-such; going on' "$log" || fail "an optional package that is not there"
[ ! -e "$scratch/ran" ] || fail "ran apt-get without rights"

stand_in id 'echo 0'
deps
[ $status -eq 0 ] || fail "status $status as root"
grep -q 'install.*miss-this miss-that' "$scratch/ran" || fail "did not install"
! grep -q have-this "$scratch/ran" || fail "installed what is there"

rm "$scratch/ran"
deps 'old-name|have-new' 'old-name|new-name' -- no-such miss-that
[ $status -eq 0 ] || fail "status $status with an optional package that is not there"
grep -q 'install.* new-name miss-that$' "$scratch/ran" || fail "the names of this release: $(cat "$scratch/ran")"
rm "$scratch/ran"
deps miss-this 'no-such|no-other'
[ $status -eq 1 ] || fail "status $status though a package does not exist"
grep -q 'no package no-such or no-other' "$log" || fail "the missing package is not named"
! grep -q install "$scratch/ran" || fail "installed a part"

stand_in apt-get 'exit 100'
deps
[ $status -eq 1 ] || fail "status $status though apt-get failed"

stand_in dpkg-query 'echo "install ok installed"'
deps
[ $status -eq 0 ] && [ ! -s "$log" ] || fail "nothing missing, yet status $status or output"

# --- configuring ---
configured() { # [OPTION...] -> status, what cmake says in log
    status=0
    rm -rf "$scratch/build"
    cmake -S "$SOURCE" -B "$scratch/build" "$@" >"$scratch/said" 2>&1 || status=$?
    tr -s '\n ' ' ' <"$scratch/said" >"$log"
}
PKG_CONFIG_LIBDIR=$scratch/none PKG_CONFIG_PATH= configured
[ $status -ne 0 ] || fail "configured without libraries"
grep -q 'missing libraries.* libcurl .*libtiff-4.*make deps' "$log" || fail "the missing libraries are not named"
configured -DPRESIZE_RELEASE='debian 7'
[ $status -ne 0 ] && grep -q 'build folder of debian 7, and this is .*: make clean' "$log" || fail "a build folder of another release"
mkdir "$scratch/tree"
sed 's/^set(oldest_cmake .*/set(oldest_cmake 99.1)/' "$SOURCE/CMakeLists.txt" >"$scratch/tree/CMakeLists.txt"
SOURCE=$scratch/tree configured
[ $status -ne 0 ] && grep -q 'is too old: presize needs 99.1.*pip install cmake' "$log" || fail "an older cmake"
status=0
mkdir -p "$scratch/other"
echo 'PRESIZE_RELEASE:INTERNAL=debian 7' >"$scratch/other/CMakeCache.txt"
make -C "$SOURCE" configure BUILD="$scratch/other" >"$log" 2>&1 || status=$?
[ $status -ne 0 ] && grep -q 'build folder of debian 7, and this is .*: make clean' "$log" || fail "make: a build folder of another release"
