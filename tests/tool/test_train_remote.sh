#!/bin/bash
# test_train_remote.sh - train and eval read shards of another machine: nginx on loopback serves a data folder, and the
# weights are those of the local folder. LONG=1 (tests/slow/test_remote_faults.sh) adds caches that lost blocks and servers
# that drop, stall, speak TLS, change or lack files. Needs BIN and SOURCE; skipped without nginx. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/nginx.sh"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
SERVER= ODD=
at_end() { kill $SERVER $ODD 2>/dev/null; }
export PRESIZE_CACHE=$scratch/cache

mkdir -p prep/datasets experiments
cat >experiments/e.yaml <<'END'
# does it run?
data: {set: s}
model: {arch: resnet20, weights: none}
train: {size: 16, batch: 8, phases: [{kind: one_cycle, epochs: 1, lr: 1e-3}]}
exec: {threads: 1}
END
first=0
for i in 10 11 12 13 14 15 16 17; do
    for c in cat dog owl; do
        mkdir -p s/$c
        first=$((first + 1)) # noise, the same every time
        { printf 'P6\n200 200\n255\n'
            awk -v seed=$first 'BEGIN { srand(seed); for (i = 0; i < 120000; i++) printf "%c", 1 + int(rand() * 255) }'; } >s/$c/$i.ppm
    done
done
printf 'root: %s\npresize: {size: 200}\nshard: {pictures: 10}\n' "$scratch/s" >prep/datasets/s.yaml
for storage in raw jpeg; do
    ok "$BIN/prep" s --data served/$storage shard.storage=$storage
    ok "$BIN/train" --exp e --data served/$storage --results r --name local_$storage
done

server() { echo "listen 127.0.0.1:$1; location /whole/ { alias $scratch/served/; max_ranges 0; }"; }
nginx_start '$status $body_bytes_sent $uri' || { fail "nginx does not start"; exit 1; }
at=http://127.0.0.1:$port

weights() { sed -n 's/.*"weights_sha256": *"\([0-9a-f]*\)".*/\1/p' "r/$1/metrics.jsonl" | tail -n 1; }
sent() { awk '{ n += $2 } END { print n + 0 }' sent; }
for storage in raw jpeg; do
    ok "$BIN/train" --exp e --data $at/$storage --results r --name remote_$storage
    [ -n "$(weights local_$storage)" ] && [ "$(weights local_$storage)" = "$(weights remote_$storage)" ] ||
        fail "$storage: other weights than from the local folder"
done
ok "$BIN/eval" remote_jpeg --data $at/jpeg/ --results r --split valid
ok "$BIN/eval" remote_jpeg --results r --verify
[ "$(grep -c '^206' sent)" -gt 6 ] || fail "no parts were asked for: $(cat sent)"
# from the cache: nothing is sent but index.json, also where pictures are read again
: >sent
nginx -p "$scratch" -c "$scratch/nginx.conf" -s reopen 2>/dev/null
ok "$BIN/train" --exp e --data $at/raw --results r --name again
[ "$(weights again)" = "$(weights local_raw)" ] || fail "from the cache: other weights"
grep -v index.json sent && fail "fetched again what the cache has"
# a few pictures of a set cost a few parts of it
rm -r cache
: >sent
nginx -p "$scratch" -c "$scratch/nginx.conf" -s reopen 2>/dev/null
ok "$BIN/train" --exp e --data $at/raw --results r --summary train.batch=2 exec.prefetch=1
[ "$(sent)" -gt 100000 ] && [ "$(sent)" -lt 2000000 ] || fail "--summary fetched $(sent) bytes of $(cat served/raw/s/shards-200/*.h5 | wc -c)"

# --- servers that fail: status 1, a sentence, no run that goes on
bad() { # TEXT DATA
    refuse 1 "$BIN/train" --exp e --data "$2" --results r --name bad "${@:3}"
    says "$1"
    rm -rf r/bad
}
bad "404" $at/none
says "data.size names it"
bad "404" $at/raw data.size=64
bad "does not send parts of files" $at/whole/raw
bad "without a user's name" http://me:secret@127.0.0.1/raw
bad "without ? and #" "$at/raw?x=1"
bad "no host" https:///raw
# a picture that the server has wrong, in a folder whose index.json is right
cp -r served/raw served/wrong
printf 'wrong bytes' | dd of=served/wrong/s/shards-200/shard-00001.h5 bs=1 seek=200000 conv=notrunc 2>/dev/null
bad "CRC-32C" $at/wrong
says "fetched twice"
# --- who writes takes no address
for tool in "fetch demo" "prep s"; do
    refuse 2 "$BIN"/$tool --data $at/raw
    says "wants a folder"
done
[ -e http: ] && fail "a folder http: was made"
[ "${LONG:-}" ] || exit 0

rm -r cache
# --- a cache that lost or changed blocks is mended
ok "$BIN/train" --exp e --data $at/raw --results r --name filled
folder=$(dirname "$(find cache -name index.json)")
for file in "$folder"/*.h5; do
    python3 - "$file" <<'END'
import os, sys
with open(sys.argv[1], "r+b") as f:
    for at in range(1000, os.path.getsize(sys.argv[1]), 150000):
        f.seek(at)
        f.write(bytes(64))
END
done
ok "$BIN/train" --exp e --data $at/raw --results r --name mended
[ "$(weights mended)" = "$(weights local_raw)" ] || fail "a damaged cache: other weights"
truncate -s 100 "$folder/shard-00000.h5"
rm "$folder/shard-00001.h5.blocks"
ok "$BIN/train" --exp e --data $at/raw --results r --name mended2
[ "$(weights mended2)" = "$(weights local_raw)" ] || fail "a cut cache: other weights"

# a file that is another one than its first blocks were of
cp -r served/raw served/older
ok "$BIN/train" --exp e --data $at/older --results r --summary
touch -d '2001-01-01' served/older/s/shards-200/*.h5
bad "was changed" $at/older
cp served/older/s/shards-200/shard-00000.h5 keep
truncate -s 300000 served/older/s/shards-200/shard-00000.h5
rm -r cache
bad "index.json says" $at/older
# the set was made again there: the cache begins again
rm -r cache
cp -r served/raw served/made
ok "$BIN/train" --exp e --data $at/made --results r --summary
rm -r served/made && cp -r served/jpeg served/made
ok "$BIN/train" --exp e --data $at/made --results r --name made
says "is another one than when"
[ "$(weights made)" = "$(weights local_jpeg)" ] || fail "a set that was made again: other weights"
# servers that drop some answers half way, send nothing more, or speak TLS
cat >odd.py <<'END'
import http.server, os, re, ssl, sys, time
kind, certificate = sys.argv[1], sys.argv[2:]
seen = set()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        try:
            data = open("served" + self.path, "rb").read()
        except OSError:
            return self.send_error(404)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), min(int(asked[2]), len(data) - 1)) if asked else (0, len(data) - 1)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        part, key = data[first:last + 1], (self.path, first)
        half = kind == "dead" and asked or kind in ("drop", "stall") and key not in seen and len(seen) % 4 == 0
        seen.add(key)
        self.wfile.write(part[:len(part) // 2] if half else part)
        if half and kind != "drop":
            time.sleep(600)  # the client hangs up before
        self.close_connection = half
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
END
odd() { # KIND [CERTIFICATE KEY]: $at and a cache of its own are this server's
    kill ${ODD:-} 2>/dev/null && wait $ODD 2>/dev/null
    : >odd.port
    python3 odd.py "$@" >odd.port 2>odd.err &
    ODD=$!
    for _ in $(seq 50); do [ -s odd.port ] && break; sleep 0.1; done
    rm -rf odd.cache
}
as_odd() { PRESIZE_CACHE=$scratch/odd.cache PRESIZE_STALL_SECONDS=${SECONDS_:-1} "$@"; }
odd drop
as_odd ok "$BIN/train" --exp e --data http://127.0.0.1:$(cat odd.port)/raw --results r --name dropped
says "trying again"
[ "$(weights dropped)" = "$(weights local_raw)" ] || fail "a server that drops: other weights"
odd stall
as_odd ok "$BIN/train" --exp e --data http://127.0.0.1:$(cat odd.port)/raw --results r --name stalled
says "trying again"
[ "$(weights stalled)" = "$(weights local_raw)" ] || fail "a server that stalls: other weights"
SECONDS_=0 as_odd bad 'PRESIZE_STALL_SECONDS: "0"' http://127.0.0.1:$(cat odd.port)/raw
odd dead
as_odd bad "tried 5 times" http://127.0.0.1:$(cat odd.port)/raw
if openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost 2>openssl.err; then
    odd plain cert.pem key.pem
    SSL_CERT_FILE=$scratch/cert.pem as_odd ok "$BIN/train" --exp e --data https://localhost:$(cat odd.port)/raw --results r --name tls
    [ "$(weights tls)" = "$(weights local_raw)" ] || fail "https: other weights"
    rm -rf odd.cache
    as_odd bad "certificate" https://localhost:$(cat odd.port)/raw # which no authority of this machine signed
    SSL_CERT_FILE=$scratch/cert.pem as_odd bad "certificate" https://127.0.0.1:$(cat odd.port)/raw # of another name
else
    echo "note: no openssl, no test of https"
fi
kill $ODD && wait $ODD 2>/dev/null
# a server that is gone: what the cache has is used, with a warning; what it lacks is an error
kill "$SERVER" && wait "$SERVER"
SERVER=
timeout 300 "$BIN/train" --exp e --data $at/made --results r --name offline >out 2>err || fail "offline: $(cat err)"
says "what is in"
[ "$(weights offline)" = "$(weights local_jpeg)" ] || fail "offline: other weights"
