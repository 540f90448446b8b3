# kill_downloads.sh - a download is killed at a byte that a seed chooses and resumed by a second call; sourced by the
# tests of downloads, with ./served/big.tar, range_server.py at $at and expect.sh. SPDX-License-Identifier: MIT

# sent_in_all: bytes of ./sent
sent_in_all() { awk '{ n += $2 } END { print n + 0 }' sent; }

# killed_download BYTE: kills a fetch once BYTE was sent, lets a second one end it, compares; TWICE is then how many
# bytes the server sent beyond the file's size.
killed_download() {
    local size
    size=$(stat -c %s served/big.tar)
    rm -rf data sent pid
    echo "$1" >kill_at
    "$fetch" big --from "$at/big.tar" >out 2>err &
    echo $! >pid.new && mv pid.new pid
    wait "$(cat pid)" 2>/dev/null
    [ $? = 137 ] || { fail "byte $1: not killed"; cat err; }
    [ -s data/archives/big-big.tar.part ] || fail "byte $1: no partial file"
    ok "$fetch" big --from "$at/big.tar"
    says "resuming at byte"
    cmp -s served/big.tar data/archives/big-big.tar || fail "byte $1: another archive"
    [ "$(ls -A data/archives)" = big-big.tar ] || fail "byte $1: left $(ls -A data/archives)"
    TWICE=$(($(sent_in_all) - size))
}
