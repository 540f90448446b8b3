#!/bin/bash
# make deps installs what is missing as root, else says the one line to run; with nothing missing it
# does nothing. dpkg-query, id, sudo and apt-get are stand-ins here. SPDX-License-Identifier: MIT
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
log=$scratch/log

stand_in() { # NAME BODY
    printf '#!/bin/bash\n%s\n' "$2" >"$scratch/bin/$1"
    chmod +x "$scratch/bin/$1"
}
fail() {
    echo "test_deps: $*"
    cat "$log"
    exit 1
}
deps() { # -> status, output in log
    : >"$log"
    status=0
    PATH="$scratch/bin:$PATH" "$SOURCE/.ci/install-packages" have-this miss-this miss-that \
        >>"$log" 2>&1 </dev/null || status=$?
}

stand_in dpkg-query 'case "${!#}" in have*) echo "install ok installed";; *) exit 1;; esac'
stand_in apt-get "echo \"ran apt-get \$*\" >>'$scratch/ran'"
stand_in sudo 'exit 1'

stand_in id 'echo 1000'
deps
[ $status -eq 1 ] || fail "status $status for a user who cannot install"
grep -qx 'apt-get install --no-install-recommends miss-this miss-that' "$log" || fail "no line to run"
[ ! -e "$scratch/ran" ] || fail "ran apt-get without rights"

stand_in id 'echo 0'
deps
[ $status -eq 0 ] || fail "status $status as root"
grep -q 'install.*miss-this miss-that' "$scratch/ran" || fail "did not install"
! grep -q have-this "$scratch/ran" || fail "installed what is there"

stand_in apt-get 'exit 100'
deps
[ $status -eq 1 ] || fail "status $status though apt-get failed"

stand_in dpkg-query 'echo "install ok installed"'
deps
[ $status -eq 0 ] && [ ! -s "$log" ] || fail "nothing missing, yet status $status or output"
