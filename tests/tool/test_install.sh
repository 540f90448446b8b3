#!/bin/bash
# make install: one presize on PATH that runs the four tools and finds experiments and data sets from
# any folder, wherever the prefix is moved; over another version, over a package and where nothing can be written;
# only what git has. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
set -e

cmake --install "$BUILD" --prefix "$scratch/first" >/dev/null
for file in share/man/man1/presize-train.1 share/man/man5/presize-experiment.5 share/presize/presize.spdx.json \
    share/bash-completion/completions/presize share/zsh/site-functions/_presize share/presize/experiments/smoke.yaml \
    share/presize/prep/datasets/demo.yaml share/doc/presize/docs/formats.md share/doc/presize/LICENSE; do
    [ -s "$scratch/first/$file" ] || fail "$file is not installed"
done
(cd "$scratch/first" && find . -type f | sed 's|^\./||' | LC_ALL=C sort) >"$scratch/there"
sed 1d "$scratch/first/share/presize/installed.txt" | LC_ALL=C sort | diff - "$scratch/there" || fail "installed.txt (<) is not what is there (>)"

# Another version goes whole: its files that this one lacks, too, but nothing outside and nothing of the user's.
touch "$scratch/first/share/presize/experiments/"{stale,mine}.yaml "$scratch/outside"
printf '%s\n' share/presize/experiments/stale.yaml ../outside >>"$scratch/first/share/presize/installed.txt"
sed -i '1s/.*/presize 0.0.9/' "$scratch/first/share/presize/installed.txt"
cmake --install "$BUILD" --prefix "$scratch/first" >"$scratch/message"
grep -q 'presize 0.0.9 is replaced by presize' "$scratch/message" || fail "nothing said of the other version"
[ ! -e "$scratch/first/share/presize/experiments/stale.yaml" ] || fail "a file of the other version stayed"
[ -e "$scratch/first/share/presize/experiments/mine.yaml" ] && [ -e "$scratch/outside" ] || fail "removed too much"
rm "$scratch/first/share/presize/experiments/mine.yaml"

refused() { # TEXT: --install fails with TEXT and changes nothing; stand-ins are in scratch/bin
    (cd "$scratch/first" && find . -type f -exec sha256sum {} +) | LC_ALL=C sort >"$scratch/before"
    ! PATH="$scratch/bin:$PATH" cmake --install "$BUILD" --prefix "$scratch/first" >/dev/null 2>"$scratch/message" ||
        fail "installed, though: $1"
    tr -s '\n ' ' ' <"$scratch/message" | grep -q "$1" || fail "expected \"$1\": $(cat "$scratch/message")"
    (cd "$scratch/first" && find . -type f -exec sha256sum {} +) | LC_ALL=C sort | cmp -s - "$scratch/before" ||
        fail "changed files, though: $1"
    rm "$scratch"/bin/*
}
mkdir "$scratch/bin"
printf '#!/bin/sh\necho "presize: $2"\n' >"$scratch/bin/dpkg-query"
chmod +x "$scratch/bin/dpkg-query"
refused 'belongs to the package presize: remove that'
printf '#!/bin/sh\nexit 1\n' >"$scratch/bin/test"
chmod +x "$scratch/bin/test"
refused 'is not writable for this user: sudo make install'

# Of the sources only what git has. The control: without git all there is.
mkdir -p "$scratch/tree/experiments"
touch "$scratch/tree/experiments/"{tracked,untracked}.yaml
tracked() { # FOLDER: step "tracked" alone
    printf 'set(STEP tracked)\nset(SOURCE "%s")\nset(CMAKE_INSTALL_PREFIX "%s")\ninclude("%s")\n' "$scratch/tree" "$1" \
        "$SOURCE/cmake/install.cmake" >"$scratch/step.cmake"
    cmake -P "$scratch/step.cmake" >"$scratch/message"
    (cd "$1/share/presize/experiments" && echo *)
}
[ "$(tracked "$scratch/all")" = "tracked.yaml untracked.yaml" ] || fail "without git: $(tracked "$scratch/all")"
git -C "$scratch/tree" init -q && git -C "$scratch/tree" add experiments/tracked.yaml
[ "$(tracked "$scratch/own")" = tracked.yaml ] || fail "with git: $(tracked "$scratch/own")"
grep -q 'not installed.*experiments/untracked.yaml' "$scratch/message" || fail "left out without a word"

mv "$scratch/first" "$scratch/moved"
presize=$scratch/moved/bin/presize
mkdir "$scratch/elsewhere"
cd "$scratch/elsewhere"

version=$("$presize" --version)
[[ $version =~ ^presize\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "version: $version"
"$presize" --version --verbose >"$scratch/message"
grep -q '^processor: uses ' "$scratch/message" || fail "no instruction sets"
for library in hdf5 libcurl libjpeg-turbo cairo; do
    [ "$(grep -c "^  $library [0-9.]*$" "$scratch/message")" -eq 1 ] || fail "--version --verbose: $library"
done
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
for prep in "$scratch/moved/libexec/presize/prep" "$BIN/prep"; do # by their own place, without the wrapper
    ! "$prep" demoo 2>"$scratch/message" || fail "prepared demoo"
    grep -q 'did you mean demo?' "$scratch/message" || fail "$prep: $(cat "$scratch/message")"
done
! PRESIZE_SHARE=/nowhere "$presize" train --exp smokee 2>"$scratch/message" || fail "trained smokee"
! grep -q 'did you mean smoke' "$scratch/message" || fail "the control found it as well"
