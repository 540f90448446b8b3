#!/bin/bash
# 40 downloads of 8 MiB, each killed (kill -9) at a byte that a seed chooses and resumed by a second call: the
# archive is the served one, and at most 1 MiB was sent twice. docs/reliability.md has the figure.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/kill_downloads.sh"
command -v python3 >/dev/null || skip "no python3 for the test server"
fetch=$BIN/fetch
SERVER=
at_end() { kill $SERVER 2>/dev/null; }

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
