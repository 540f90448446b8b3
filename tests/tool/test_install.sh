#!/bin/bash
# make install: one presize on PATH that runs the four tools and finds experiments and data sets from
# any folder, wherever the prefix is moved. SPDX-License-Identifier: MIT
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() {
    echo "test_install: $*"
    exit 1
}

cmake --install "$BUILD" --prefix "$scratch/first" >/dev/null
mv "$scratch/first" "$scratch/moved"
presize=$scratch/moved/bin/presize
mkdir "$scratch/elsewhere"
cd "$scratch/elsewhere"

version=$("$presize" --version)
[[ $version =~ ^presize\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "version: $version"
for tool in fetch prep train eval; do
    [ "$("$presize" "$tool" --version)" = "$tool (${version% *}) ${version#* }" ] || fail "$tool --version"
    "$presize" "$tool" --help | grep -q -- --results=DIR || fail "$tool --help"
    status=0
    "$presize" "$tool" --no-such-option 2>/dev/null || status=$?
    [ $status -eq 2 ] || fail "$tool: status $status when misused"
done
ln -s "$presize" "$scratch/linked"
[ "$("$scratch/linked" --version)" = "$version" ] || fail "through a link"
"$presize" help | grep -q 'presize fetch | prep | train | eval' || fail help
status=0
"$presize" evil 2>"$scratch/message" || status=$?
[ $status -eq 2 ] && grep -q '"evil"' "$scratch/message" || fail "an unknown tool: status $status"

# The near miss is found in the installed share folder; without it (control) nothing is near.
! "$presize" train --exp smokee 2>"$scratch/message" || fail "trained smokee"
grep -q 'did you mean smoke' "$scratch/message" || fail "$(cat "$scratch/message")"
! PRESIZE_SHARE=/nowhere "$presize" train --exp smokee 2>"$scratch/message" || fail "trained smokee"
! grep -q 'did you mean smoke' "$scratch/message" || fail "the control found it as well"
