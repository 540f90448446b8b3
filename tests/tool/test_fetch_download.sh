#!/bin/bash
# test_fetch_download.sh - fetch from a server on 127.0.0.1: whole, broken once, missing, another
# file than the published one. Needs BIN and python3. SPDX-License-Identifier: MIT
set -u
export LC_ALL=C
unset PRESIZE_DATA http_proxy HTTP_PROXY all_proxy ALL_PROXY
command -v python3 >/dev/null || { echo "skipped: no python3 for the test server"; exit 77; }
WORK=$(mktemp -d)
SERVER=
cleanup() {
    [ -n "$SERVER" ] && kill "$SERVER" 2>/dev/null
    rm -rf "$WORK"
}
trap cleanup EXIT
cd "$WORK" || exit 1
fetch=$BIN/fetch

. "$SOURCE/tests/tool/expect.sh"

mkdir -p set/images served
for i in 1 2 3; do head -c $((40000 * i)) "$fetch" >set/images/Cat_$i.jpg; done
tar czf served/set.tgz set
head -c 1000 served/set.tgz >served/cut.tgz
echo "not the pets" >served/images.tar.gz
sum=$(sha256sum <served/set.tgz | cut -d ' ' -f 1)

# serves ./served; /broken/FILE ends half way the first time; stops by itself after two minutes
timeout 120 python3 - >port <<'PY' &
import http.server, os, sys
seen = set()
class H(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        name = os.path.basename(self.path)
        if not self.path.startswith("/broken/") or self.path in seen:
            self.path = "/served/" + name
            return super().do_GET()
        seen.add(self.path)
        data = open("served/" + name, "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2])
        self.close_connection = True
    def log_message(self, *a):
        pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_address[1], flush=True)
s.serve_forever()
PY
SERVER=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
at=http://127.0.0.1:$(cat port)

ok "$fetch" net --from "$at/set.tgz"; says "plain http"; says "no published hash"
cmp -s served/set.tgz data/archives/net-set.tgz || fail "the archive is not what was served"
[ "$(ls -A data/archives)" = net-set.tgz ] || fail "left: $(ls -A data/archives)"
ok "$fetch" net --verify
printf X | dd of=data/archives/net-set.tgz bs=1 seek=50 conv=notrunc status=none
refuse 5 "$fetch" net --verify; grep -qx "archive net-set.tgz" out || fail "the archive is not named"
rm -rf data

ok "$fetch" net --from "$at/set.tgz" --sha256 "$sum"
grep -q "plain http" err && fail "warned although the hash is known"
rm -rf data
ok "$fetch" net --from "$at/broken/set.tgz" --sha256 "$sum"; says "trying again"
rm -rf data

refuse 4 "$fetch" net --from "$at/none.tgz"; says "404"; nothing_left data
refuse 4 "$fetch" net --attempts 1 --from "http://127.0.0.1:1/set.tgz"; nothing_left data
refuse 5 "$fetch" net --from "$at/set.tgz" --sha256 "${sum/[0-9]/f}"; says "expected"; nothing_left data
refuse 1 "$fetch" net --from "$at/cut.tgz"; nothing_left data
refuse 1 "$fetch" net --from "$at/"; says "name of a file"; nothing_left data
# the published archives from another place: the hash stays the judge
refuse 5 "$fetch" pets --mirror "$at"; says "expected 791918971"; nothing_left data
refuse 2 "$fetch" pets --mirror /tmp; says "address"
refuse 2 "$fetch" demo --mirror "$at"; nothing_left data

[ $FAILED = 0 ] && echo "fetch download: all good"
exit $FAILED
