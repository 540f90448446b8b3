#!/bin/bash
# 40 downloads of 8 MiB, each killed (kill -9) at a byte that a seed chooses and resumed by a second call: the
# archive is the served one, and at most 1 MiB was sent twice. docs/reliability.md has the figure.
# SPDX-License-Identifier: MIT
set -u
export LC_ALL=C
unset PRESIZE_DATA http_proxy HTTP_PROXY all_proxy ALL_PROXY
command -v python3 >/dev/null || { echo "skipped: no python3 for the test server"; exit 77; }
WORK=$(mktemp -d)
SERVER=
trap '[ -n "$SERVER" ] && kill "$SERVER" 2>/dev/null; rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
fetch=$BIN/fetch
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/kill_downloads.sh"

mkdir -p big served
head -c $((8 << 20)) /dev/urandom >big/a_1.jpg
tar cf served/big.tar big
timeout 600 python3 "$SOURCE/tests/tool/range_server.py" >port &
SERVER=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
at=http://127.0.0.1:$(cat port)

RANDOM=${SEED:-1} most=0 all=0
for _ in $(seq 40); do
    killed_download $(((RANDOM * 32768 + RANDOM) % (7 << 20) + (1 << 19)))
    all=$((all + TWICE))
    [ "$TWICE" -gt "$most" ] && most=$TWICE
done
[ "$most" -le 1048576 ] || fail "$most bytes were sent twice"
echo "40 downloads killed and resumed: $((all / 40)) bytes sent twice on average, at most $most"
exit $FAILED
