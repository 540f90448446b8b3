#!/bin/bash
# The Debian package: built twice, in two folders, time zones and umasks, it has the same bytes, lintian is quiet, and
# what it installs works from any folder as an ordinary user, who writes nothing below it. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
set -e
for program in dpkg-buildpackage dh lintian git; do
    command -v "$program" >/dev/null || skip "no $program here (Debian: debhelper, dpkg-dev, lintian, git)"
done
git -C "$SOURCE" rev-parse --git-dir >/dev/null 2>&1 || skip "$SOURCE is no git checkout"
version=$("$BIN/fetch" --version)
version=${version##* }

# The control: a changelog of another version is refused.
! "$SOURCE/.ci/make-deb" 99.9 1 "$scratch/none" 2>"$scratch/message" || fail "built a package of another version"
grep -q 'bring both to one' "$scratch/message" || fail "$(cat "$scratch/message")"

"$SOURCE/.ci/make-deb" "$version" 2 "$scratch/first"
(
    umask 077
    export TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 HOME=/nonexistent DEB_BUILD_OPTIONS=nocheck
    "$SOURCE/.ci/make-deb" "$version" 1 "$scratch/a-longer-name/second"
)
for package in "$scratch"/first/*.deb; do
    cmp "$package" "$scratch/a-longer-name/second/${package##*/}" || fail "${package##*/}: other bytes in another folder"
done
lintian --fail-on error,warning "$scratch"/first/*.changes >"$scratch/message" 2>&1 || fail "$(cat "$scratch/message")"

dpkg-deb -x "$scratch"/first/presize_*.deb "$scratch/unpacked"
for file in bin/presize libexec/presize/train share/man/man1/presize-train.1.gz share/man/man5/presize-experiment.5.gz \
    share/bash-completion/completions/presize share/zsh/vendor-completions/_presize share/presize/presize.spdx.json \
    share/presize/experiments/demo.yaml share/presize/prep/datasets/demo.yaml share/doc/presize/README.md.gz; do
    [ -s "$scratch/unpacked/usr/$file" ] || [ -s "$scratch/unpacked/usr/${file%.gz}" ] || fail "$file is not in the package"
done
chmod 755 "$scratch"
mkdir -m 777 "$scratch/elsewhere"
touch "$scratch/mark"
user=()
[ "$(id -u)" -ne 0 ] || user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
(cd "$scratch/elsewhere" && "${user[@]}" sh -ec "
    presize=$scratch/unpacked/usr/bin/presize
    \$presize fetch demo && \$presize prep demo && \$presize train --exp smoke --name first && \$presize eval
") >"$scratch/message" 2>&1 || fail "$(tail -n 5 "$scratch/message")"
[ -z "$(find "$scratch/unpacked" -newer "$scratch/mark")" ] || fail "written below /usr: $(find "$scratch/unpacked" -newer "$scratch/mark")"
