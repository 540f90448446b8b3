# flip_byte.sh - sourced by tests that damage a file.
# SPDX-License-Identifier: MIT

flip_byte() { # FILE OFFSET: this byte gets another value, whatever it was
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059
    printf "\\x$(printf %02x $((byte ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
