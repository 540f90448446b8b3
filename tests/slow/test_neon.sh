#!/bin/bash
# The ops on aarch64: tests/ops linked with core_backend and what it needs of core/base, cross-compiled with this
# build's flags, under qemu-user. Each op must stay within its bounds of ref there, and its results must be the
# bits that the same programs give here.
#
# Left out are the programs that need other layers (network, pictures, place) and test_ops_error, whose layers of
# full size would be emulated for hours. No case has a result within half a unit below 2^-126, where x86 and ARM
# may differ (docs/arithmetic.md, section 1). SPDX-License-Identifier: MIT
set -eu -o pipefail
cc=aarch64-linux-gnu-gcc
ar=aarch64-linux-gnu-ar
for program in "$cc" qemu-aarch64; do
    command -v "$program" >/dev/null || {
        echo "skipped: no $program here (Debian: gcc-aarch64-linux-gnu, qemu-user)"
        exit 77
    }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/objects" "$scratch/planted"
echo 'int main(void) { return 0; }' | "$cc" -static -x c - -o "$scratch/probe" 2>"$scratch/log" || {
    echo "skipped: $cc links no program (Debian: libc6-dev-arm64-cross): $(tail -n 1 "$scratch/log")"
    exit 77
}
cd "$SOURCE"

# Warnings, optimisation and above all -ffp-contract=off: as this tree compiles the same files.
flags=$(grep -m 1 '"command":.*/core/backend/ref\.c"' "$BUILD/compile_commands.json" | tr ' ' '\n' |
    grep -E '^-(O|f|W|std=|D_GNU)' | grep -v '^-fsanitize' | tr '\n' ' ')
case $flags in
*-ffp-contract=off*) ;;
*)
    echo "no flags in $BUILD/compile_commands.json: $flags"
    exit 1
    ;;
esac

compile() { # FOLDER SOURCE [FLAG...]
    # shellcheck disable=SC2086
    "$cc" $flags -Icore -ffunction-sections -DISA=base -DPRESIZE_VERSION='""' -DPRESIZE_SHARE_DIR='""' "${@:3}" -c "$2" -o "$1/$(basename "$2" .c).o"
}

sources=$(find core/backend -name '*.c' -not -path '*/cuda/*')
for module in clock err isa path rng thread; do sources+=" core/base/$module.c"; done
for source in $sources; do compile "$scratch/objects" "$source"; done
"$ar" rcs "$scratch/backend.a" "$scratch"/objects/*.o

# The control: sums whose products are rounded, and contraction where the text has none.
for source in core/backend/cpu/*_isa.c core/backend/cpu/conv/*_isa.c; do
    compile "$scratch/planted" "$source" -ffp-contract=fast -include tests/slow/neon/unfused.h
done

run() { # NAME [OBJECT...]: its lines of bits, on aarch64
    # shellcheck disable=SC2086
    "$cc" $flags -Icore -Itests/slow/neon -static -Wl,--gc-sections "tests/ops/$1.c" "${@:2}" \
        "$scratch/backend.a" -lm -pthread -o "$scratch/$1" 2>"$scratch/link" || { # it warns of dlopen in a static program
        cat "$scratch/link" >&2
        return 1
    }
    OPS_BITS=1 qemu-aarch64 "$scratch/$1" >"$scratch/out" || {
        cat "$scratch/out" >&2
        return 1
    }
    grep '^bits ' "$scratch/out" || true
}

kinds() { # of the lines of FILE FILE that differ
    { diff "$1" "$2" || true; } | sed -n 's/^> bits [0-9a-f]* \([a-z_]*\) .*/\1/p' | sort -u
}

for name in test_ops_augment test_ops_conv test_ops_gradient test_ops_head test_ops_norm test_ops_optimiser \
    test_ops_special; do
    run "$name" >"$scratch/$name.aarch64" || {
        echo "$name failed on aarch64"
        exit 1
    }
    OPS_BITS=1 "$BIN/$name" 2>"$scratch/log" | grep -a '^bits ' >"$scratch/$name.here" || true
    diff "$scratch/$name.here" "$scratch/$name.aarch64" || {
        echo "$name: other bits on aarch64 (>) than here (<)"
        exit 1
    }
    echo "$name: passed, $(grep -c . "$scratch/$name.here") results are bit-identical"
done

for name in test_ops_conv test_ops_norm; do
    run "$name" "$scratch"/planted/*.o >"$scratch/$name.planted" || true
    cut -d ' ' -f 3 "$scratch/$name.here" | sort -u >"$scratch/all"
    kinds "$scratch/$name.here" "$scratch/$name.planted" >"$scratch/noticed"
    { [ -s "$scratch/all" ] && diff "$scratch/all" "$scratch/noticed"; } || {
        echo "control: $name did not notice another rounding in these ops"
        exit 1
    }
done
