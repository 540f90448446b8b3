#!/bin/bash
# test_fetch_download.sh - fetch from a server on 127.0.0.1: whole, broken, killed and resumed, missing,
# another file than the published one. Needs BIN and python3. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/flip_byte.sh"
. "${SOURCE:?}/tests/tool/kill_downloads.sh"
command -v python3 >/dev/null || skip "no python3 for the test server"
fetch=$BIN/fetch
SERVER= TLS=
at_end() { kill $SERVER $TLS 2>/dev/null; }

mkdir -p set/images served
for i in 1 2 3; do head -c $((40000 * i)) "$fetch" >set/images/Cat_$i.jpg; done
tar czf served/set.tgz set
head -c 1000 served/set.tgz >served/cut.tgz
echo "not the pets" >served/images.tar.gz
sum=$(sha256sum <served/set.tgz | cut -d ' ' -f 1)

# stops by itself after two minutes
timeout 120 python3 "$SOURCE/tests/tool/range_server.py" >port &
SERVER=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
at=http://127.0.0.1:$(cat port)

ok "$fetch" net --from "$at/set.tgz"; says "plain http"; says "no published hash"
cmp -s served/set.tgz data/archives/net-set.tgz || fail "the archive is not what was served"
[ "$(ls -A data/archives)" = net-set.tgz ] || fail "left: $(ls -A data/archives)"
ok "$fetch" net --verify
flip_byte data/archives/net-set.tgz 50
refuse 5 "$fetch" net --verify; grep -qx "archive net-set.tgz" out || fail "the archive is not named"
refuse 5 "$fetch" net --repair; says "1 named above cannot be repaired: of the archive no address is known"
grep -q "extra" err && fail "--repair speaks of files that are not extra"
echo other >>data/net/tree/images/Cat_1.jpg
refuse 1 "$fetch" net --repair; says "the archive is not in data/archives"
ok "$fetch" net --repair --from "$at/set.tgz"; prints "repaired archive net-set.tgz"; prints "repaired images/Cat_1.jpg"
ok "$fetch" net --verify
rm sent
echo other >>data/net/tree/images/Cat_1.jpg
ok "$fetch" net --repair; [ -e sent ] && fail "the kept archive was not used"
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
mkdir -p data/archives && echo begun >data/archives/images.tar.gz.part # a wrong file replaces nothing
refuse 5 "$fetch" pets --mirror "$at"; says "are kept in"
[ "$(cat data/archives/images.tar.gz.part)" = begun ] || fail "a wrong file took the partial download"
rm -rf data
refuse 2 "$fetch" pets --mirror /tmp; says "address"
refuse 2 "$fetch" demo --mirror "$at"; nothing_left data

# --- killed, stopped, broken: the next call resumes; 40 kills are in tests/slow
mkdir big
head -c 3000000 /dev/urandom >big/a_1.jpg
tar cf served/big.tar big
for byte in 700000 1900000 2900000; do
    killed_download $byte
    [ "$TWICE" -le 1048576 ] || fail "byte $byte: $TWICE bytes were sent twice"
done
rm -rf data pid && echo 15 >signal && echo 1500000 >kill_at
"$fetch" big --from "$at/big.tar" >out 2>err &
echo $! >pid.new && mv pid.new pid
wait "$(cat pid)"
[ $? = 1 ] || fail "SIGTERM: status"
says "stopped by a signal"; says "MB are kept in data/archives/big-big.tar.part"
rm signal
ok "$fetch" big --from "$at/big.tar"; says "resuming at byte"
rm -rf data
kept="1.5 MB are kept in data/archives/big-big.tar.part"
refuse 4 "$fetch" big --attempts 1 --from "http://me:secret@${at#http://}/broken1/big.tar"; says "$kept"
grep -rq secret data && fail "a password is on the disk"
# what is there goes only when something better comes
part=data/archives/big-big.tar.part
cp $part part_was
refuse 4 "$fetch" big --attempts 1 --from http://127.0.0.1:1/big.tar; says "$kept"
refuse 4 "$fetch" big --attempts 1 --from "$at/none/none/big.tar.none"
cmp -s $part part_was || fail "a mirror that refuses the connection took the partial download"
ok "$fetch" big --from "$at/big.tar"; says "of another address"
rm -rf data
ok "$fetch" big --from "$at/broken2/big.tar"; says "$kept"; says "trying again in 1 s (2 of 5)"; says "resuming at byte"
rm -rf data
refuse 4 "$fetch" big --attempts 1 --from "$at/broken3/big.tar"
cp served/big.tar was.tar && flip_byte served/big.tar 100000
ok "$fetch" big --from "$at/broken3/big.tar"; says "the file on the server was changed since"
cmp -s served/big.tar data/archives/big-big.tar || fail "two files of the server in one archive"
mv was.tar served/big.tar && rm -rf data
# what lies there is not what came: the record tells, and nothing of it stays
refuse 4 "$fetch" big --attempts 1 --from "$at/broken4/big.tar"
flip_byte data/archives/big-big.tar.part 1000000
ok "$fetch" big --from "$at/broken4/big.tar"; says "was changed behind its first"
cmp -s served/big.tar data/archives/big-big.tar || fail "damage of the partial file reached the archive"
rm -rf data
refuse 2 "$fetch" big --max-time x --from "$at/big.tar"; says "--max-time"

# --- TLS: nobody vouches for the server's certificate, unless SSL_CERT_FILE does
if openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
    -addext subjectAltName=IP:127.0.0.1 2>/dev/null; then
    timeout 120 python3 "$SOURCE/tests/tool/range_server.py" cert.pem key.pem >tls_port &
    TLS=$!
    for _ in $(seq 100); do [ -s tls_port ] && break; sleep 0.1; done
    tls=https://127.0.0.1:$(cat tls_port)
    refuse 4 "$fetch" net --from "$tls/set.tgz"; says "certificate"; nothing_left data
    ok env SSL_CERT_FILE=cert.pem "$fetch" net --from "$tls/set.tgz"
    rm -rf data
    refuse 4 env SSL_CERT_FILE=none.pem "$fetch" net --from "$tls/set.tgz"; says "none.pem"; nothing_left data
else
    echo "note: no openssl, no test of SSL_CERT_FILE"
fi
