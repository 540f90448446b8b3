#!/bin/bash
# The kernels for one architecture (tests/slow/test_nvcc_all.sh: for all): no warning, no register spilled,
# no multiplication and addition fused but where the text says fmaf, no approximate arithmetic, vector
# loads where channels allow; and the table of registers in docs/cuda.md, where it was made by the same nvcc.
#
#   test_nvcc.sh           the test; what is compiled already is not compiled again
#   test_nvcc.sh --table   prints the table for docs/cuda.md, of all architectures
#   ARCHITECTURES="75 120" test_nvcc.sh   for these
# SPDX-License-Identifier: MIT
set -eu
SOURCE=${SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
out=${BUILD:-$SOURCE/build}/cuda/ptxas
all="75 80 86 89 90 100 120"
architectures=${ARCHITECTURES:-80}
[ "${1-}" != --table ] || architectures=$all
flags="-std=c++17 -O3 -fmad=false -Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Wshadow -Icore"
failures=0

command -v nvcc >/dev/null || { echo "skipped: no nvcc on PATH"; exit 77; }
cd "$SOURCE"
mkdir -p "$out"
version=$(nvcc --version | sed -n 's/.*release [0-9.]*, V//p')

fail() {
    echo "$*"
    failures=$((failures + 1))
}

# compile NAME: core/backend/cuda/NAME.cu; ptxas's words to OUT/NAME.log, PTX to OUT/NAME.ptx, unless
# they were made from the same text.
compile() {
    file=core/backend/cuda/$1.cu
    stamp="$version $architectures $flags $(cat "$file" core/backend/cuda/*.h core/{backend,step,arch,base}/*.h | sha256sum)"
    [ "$(cat "$out/$1.stamp" 2>/dev/null)" = "$stamp" ] && return 0
    gencode=
    case $architectures in *120*) gencode="-gencode=arch=compute_120,code=compute_120" ;; esac
    for a in $architectures; do gencode="$gencode -gencode=arch=compute_$a,code=sm_$a"; done
    # shellcheck disable=SC2086
    nvcc -c -o "$out/$1.o" "$file" $flags -Xptxas=-v $gencode >"$out/$1.log" 2>&1 &&
        nvcc -ptx -o "$out/$1.ptx" "$file" $flags -arch=sm_80 &&
        echo "$stamp" >"$out/$1.stamp" || { cat "$out/$1.log"; return 1; }
}

# A line "KERNEL ARCHITECTURE REGISTERS SPILLED-BYTES" for each kernel in ptxas's words.
resources() {
    c++filt | perl -ne '
        if (/Compiling entry function .(.*). for .sm_(\d+)/) {
            $arch = $2;
            ($name) = $1 =~ /(\w+)(?:<[^(]*>)?\(/;
        }
        $spilled = $1 + $2 if /(\d+) bytes spill stores, (\d+) bytes spill loads/;
        print "$name $arch $1 $spilled\n" if /Used (\d+) registers/;'
}

# The most registers of each kernel over the types and widths it is compiled for.
table() {
    echo "| kernel | $(sed 's/ / | /g; s/[0-9]\+/sm_&/g' <<<"$architectures") |"
    echo "|---|$(sed 's/[0-9]\+ */---|/g' <<<"$architectures")"
    cat "$out"/*.log | resources | ARCHITECTURES=$architectures perl -ne '
        ($name, $arch, $n) = split;
        $most{$name}{$arch} = $n if $n > ($most{$name}{$arch} // 0);
        END { for $name (sort keys %most) {
            print join(" | ", "| `$name`", map { $most{$name}{$_} } split / /, $ENV{ARCHITECTURES}), " |\n" } }'
}

# That table in docs/cuda.md, its columns for $architectures alone.
kept() {
    grep -A 1000 '^| kernel | sm_' docs/cuda.md | sed '/^$/,$d' | ARCHITECTURES=$architectures perl -ne '
        ($name, @cells) = (split / *\| */)[1 .. 20];
        @heads = @cells if $. == 1;
        %cell = map { ($heads[$_], $cells[$_]) } grep { $heads[$_] } 0 .. $#heads;
        print join(" | ", "| $name", map { $cell{"sm_$_"} } split / /, $ENV{ARCHITECTURES}), " |\n"'
}

names=$(basename -a -s .cu core/backend/cuda/*.cu)
for name in $names; do compile "$name" || fail "$name.cu: nvcc refuses it"; done
[ "$failures" -eq 0 ] || exit 1
if [ "${1-}" = --table ]; then
    table
    exit 0
fi

for name in $names; do
    resources <"$out/$name.log" >"$out/resources"
    [ "$(cut -d' ' -f2 "$out/resources" | sort -u | wc -l)" -eq "$(wc -w <<<"$architectures")" ] ||
        fail "$name: not for $architectures"
    awk -v name="$name" '$4 > 0 { print name ": " $1 " spills " $4 " bytes on sm_" $2 }' "$out/resources" >"$out/spills"
    [ ! -s "$out/spills" ] || fail "$(cat "$out/spills")"
    ! grep -nE '\.approx\S*\.f32' "$out/$name.ptx" || fail "$name: approximate arithmetic"
done
for name in optimiser pool filters; do # those without a fmaf
    ! grep -q fmaf "core/backend/cuda/$name.cu" || fail "$name.cu has a fmaf now: not for this list"
    ! grep -q 'fma\.rn\.f32' "$out/$name.ptx" || fail "$name: fused where the text says * and +"
done
for name in norm pool head optimiser; do
    grep -q 'ld\.global\.v4' "$out/$name.ptx" || fail "$name: no load of 16 bytes"
done
if grep -qF "nvcc $version" docs/cuda.md; then
    table | tail -n +3 >"$out/table"
    kept | tail -n +3 >"$out/kept"
    diff "$out/kept" "$out/table" || fail "docs/cuda.md is not what tests/cuda/test_nvcc.sh --table prints"
else
    echo "the table of docs/cuda.md is another nvcc's than $version: not compared"
fi

# Controls: starved of registers it spills; a warning stops it; without -fmad=false there are FMAs.
# shellcheck disable=SC2086
{
    nvcc -c -o "$out/control.o" core/backend/cuda/pool.cu $flags -Xptxas=-v -arch=sm_80 \
        -maxrregcount=24 2>&1 | resources | awk '$4 > 0' | grep -q . || fail "control: no spill found"
    echo 'static __global__ void planted(int *x) { int unused = 1; *x = 2; }
        void run(int *x) { planted<<<1, 1>>>(x); }' >"$out/planted.cu"
    ! nvcc -c -o "$out/control.o" "$out/planted.cu" $flags -arch=sm_80 >"$out/control.log" 2>&1 ||
        fail "control: a warning did not stop nvcc"
    nvcc -ptx -o "$out/control.ptx" core/backend/cuda/optimiser.cu ${flags/-fmad=false/} -arch=sm_80
    grep -q 'fma\.rn\.f32' "$out/control.ptx" || fail "control: nothing was fused"
}
[ "$failures" -eq 0 ]
