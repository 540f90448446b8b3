#!/bin/bash
# Downloads from a real server, nginx on loopback, over http and over https with HTTP/2: killed and stopped at bytes that
# a seed chooses and resumed, a file that changed meanwhile, a server that knows no ranges. docs/reliability.md has
# the figures. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/nginx.sh"
command -v openssl >/dev/null || skip "no openssl to make a certificate"
fetch=$BIN/fetch
SERVER=
at_end() { kill $SERVER 2>/dev/null; }
RANDOM=${SEED:-1}

mkdir -p big served temporary
head -c $((8 << 20)) /dev/urandom >big/a_1.jpg
tar cf served/big.tar big
size=$(stat -c %s served/big.tar)
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 2>/dev/null || fail "no certificate"
export SSL_CERT_FILE=cert.pem

# A small send buffer and 8 MB a second, for what is sent to be near what was received.
server() {
    cat <<NGINX
limit_rate 8m;
listen 127.0.0.1:$1 sndbuf=64k;
listen 127.0.0.1:$(($1 + 1)) ssl http2 sndbuf=64k;
ssl_certificate $scratch/cert.pem;
ssl_certificate_key $scratch/key.pem;
location /none/ { alias $scratch/served/; max_ranges 0; }
NGINX
}
nginx_start '$body_bytes_sent $status $server_protocol' || { fail "nginx does not start"; exit 1; }
plain=http://127.0.0.1:$port tls=https://127.0.0.1:$((port + 1))

# broken SIGNAL BYTE ADDRESS: a fetch that gets SIGNAL once BYTE bytes are on the disk
broken() {
    local part=data/archives/big-big.tar.part pid
    rm -rf data
    env --default-signal=INT "$fetch" big --from "$3" >out 2>err & # a shell's jobs ignore INT
    pid=$!
    until [ "$(stat -c %s $part 2>/dev/null || echo 0)" -ge "$2" ]; do kill -0 $pid 2>/dev/null || break; done
    kill "-$1" $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -s $part ] || { fail "SIG$1 at byte $2: no partial file"; cat err; }
}
# whole WHAT: data has the served archive, and nothing else
whole() {
    cmp -s served/big.tar data/archives/big-big.tar || fail "$1: another archive"
    [ "$(ls -A data/archives)" = big-big.tar ] || fail "$1: left $(ls -A data/archives)"
}

most=0 all=0 n=0
for at in "$plain" "$tls"; do
    for i in 1 2 3 4 5 6 7 8 9 10; do
        signal=KILL byte=$(((RANDOM * 32768 + RANDOM) % (6 << 20) + (1 << 19)))
        [ $((i % 5)) = 0 ] && signal=INT
        : >sent
        broken $signal $byte "$at/big.tar"
        ok "$fetch" big --from "$at/big.tar"; says "resuming at byte"
        whole "SIG$signal at byte $byte of $at"
        sleep 0.2 # nginx notes an answer when it is over
        [ "$(wc -l <sent)" = 2 ] || { fail "not two answers"; cat sent; }
        grep -q " 206 " sent || fail "no part was asked for"
        twice=$(($(awk '{ n += $1 } END { print n }' sent) - size))
        n=$((n + 1)) all=$((all + twice))
        [ $twice -gt $most ] && most=$twice
    done
done
grep -q 'HTTP/2' sent || fail "https was not over HTTP/2"
[ $most -le 1048576 ] || fail "$most bytes were sent twice"

# another file of the same size since: nothing of the earlier one is taken
for at in "$plain" "$tls"; do
    broken KILL 3000000 "$at/big.tar"
    head -c 100 /dev/urandom | dd of=served/big.tar bs=1 seek=100000 conv=notrunc status=none
    touch -d "@$((1000000000 + RANDOM))" served/big.tar
    ok "$fetch" big --from "$at/big.tar"; says "the file on the server was changed since"
    whole "changed at $at"
    # no ranges: it begins again, and says so
    broken KILL 3000000 "$at/none/big.tar"
    ok "$fetch" big --from "$at/none/big.tar"; says "the server does not send parts of files"
    whole "no ranges at $at"
done
# an answer without a file
refuse 4 "$fetch" other --from "$plain/absent.tar"; says "404"
[ ! -e data/archives/other-absent.tar ] || fail "an error page was kept"
[ $FAILED = 0 ] && echo "$n downloads from nginx broken off and gone on with: $((all / n)) bytes sent twice on average," \
    "at most $most"
