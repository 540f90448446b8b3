#!/bin/bash
# The product on arm64: cross-built with its libraries (.ci/arm64) and run under qemu-user. Its unit tests pass, ops have
# this build's bits, the demo set has the same shards, byte by byte, and trainings have the recorded weights.
#
# No case of ops has a result within half a unit below 2^-126, where x86 and ARM may differ (docs/arithmetic.md,
# section 1). SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
set -e -o pipefail
for program in aarch64-linux-gnu-gcc qemu-aarch64 apt-get dpkg-deb; do
    command -v "$program" >/dev/null || skip "no $program here (Debian: gcc-aarch64-linux-gnu, qemu-user)"
done
tree=$BUILD/arm64
"$SOURCE/.ci/arm64" "$tree" 2>"$scratch/message" || {
    grep -q "packages of .* did not come" "$scratch/message" || fail "$(cat "$scratch/message")"
    skip "$(cat "$scratch/message")"
}
emulated=(qemu-aarch64 -L "$tree/sysroot")

# --- unit tests ---
# Left out: hundreds of steps of a training, which would be emulated for an hour each.
left_out='^test_(selftest|range_test)$'
ctest --test-dir "$tree" -L '^(unit|fault|ops)$' -E "$left_out" --no-tests=error --parallel "$(nproc)" --output-on-failure \
    >"$scratch/out" || fail "$(tail -n 100 "$scratch/out")"
grep -E 'Skipped|tests passed' "$scratch/out"

# --- the bits of ops, and the control: sums whose products are rounded, and contraction where the text has none ---
bits() { # PROGRAM -> its lines of bits, on arm64
    OPS_BITS=1 "${emulated[@]}" "$1" 2>/dev/null | grep -a '^bits ' || true
}
for name in augment conv gradient head norm optimiser special; do
    bits "$tree/bin/test_ops_$name" >"$scratch/$name.arm64"
    OPS_BITS=1 "$BIN/test_ops_$name" 2>/dev/null | grep -a '^bits ' >"$scratch/$name.here" || true
    diff "$scratch/$name.here" "$scratch/$name.arm64" || fail "test_ops_$name: other bits on arm64 (>) than here (<)"
done
[ "$(cat "$scratch"/*.here | wc -l)" -gt 200 ] || fail "few results of ops: $(wc -l "$scratch"/*.here)"

flags=$(tr '\n' ' ' <"$tree/CMakeFiles/core_backend_base.dir/flags.make" | grep -o 'C_FLAGS = .*' | cut -d= -f2-)
defines=$(sed -n 's/^C_DEFINES = //p' "$tree/CMakeFiles/core_backend_base.dir/flags.make")
for source in core/backend/cpu/*_isa.c core/backend/cpu/conv/*_isa.c; do
    (cd "$SOURCE" && eval "aarch64-linux-gnu-gcc --sysroot '$tree/sysroot' $defines $flags -Icore -ffp-contract=fast \
        -include tests/slow/unfused.h -c $source -o '$scratch/$(basename "$source").o'")
done
for name in conv norm; do
    link=$(cat "$tree/CMakeFiles/test_ops_$name.dir/link.txt") # planted objects come before the archives
    (cd "$tree" && eval "${link/ -o bin\/test_ops_$name/ $scratch/*.o -o $scratch/planted}")
    bits "$scratch/planted" >"$scratch/$name.planted"
    cut -d ' ' -f 3 "$scratch/$name.here" | sort -u >"$scratch/all"
    { diff "$scratch/$name.here" "$scratch/$name.planted" || true; } |
        sed -n 's/^> bits [0-9a-f]* \([a-z_]*\) .*/\1/p' | sort -u >"$scratch/noticed"
    { [ -s "$scratch/all" ] && diff "$scratch/all" "$scratch/noticed"; } ||
        fail "control: test_ops_$name did not notice another rounding in these ops"
done

# --- trainings and the demo set, whose files are equal here and there, as both have the same decoders ---
BIN=$tree/run BUILD=$scratch RELEASE_BITS=1 bash "$SOURCE/tests/tool/test_train_bits.sh" >"$scratch/out"
diff "$SOURCE/tests/data/release_bits.txt" "$scratch/out" || fail "other bits on arm64 (>) than recorded (<)"
for command in "fetch demo" "prep demo"; do
    "$BIN"/$command --data "$scratch/here" >/dev/null 2>"$scratch/message" || fail "$command: $(cat "$scratch/message")"
done
hashes() { # FOLDER of data
    (cd "$1/demo" && sha256sum manifest.jsonl shards-128/*)
}
hashes "$scratch/here" >"$scratch/here.hashes"
[ "$(wc -l <"$scratch/here.hashes")" -ge 4 ] || fail "few files: $(cat "$scratch/here.hashes")"
hashes "$scratch"/test-data/* | diff "$scratch/here.hashes" - || fail "other files on arm64 (>) than here (<)"
