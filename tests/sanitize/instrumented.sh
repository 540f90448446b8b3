# instrumented.sh - a second tree with a sanitizer, and the few tests that are worth it there; sourced
# by test_asan.sh, test_tsan.sh, test_asan_long.sh and test_fuzz_long.sh. SPDX-License-Identifier: MIT

# damaged HDF5 files make that library ask for any amount; as without a sanitizer, it is refused
export ASAN_OPTIONS=allocator_may_return_null=1:${ASAN_OPTIONS-}
export LSAN_OPTIONS=suppressions=$SOURCE/tests/sanitize/lsan.supp:print_suppressions=0
# the widest instruction set whose kernels are instrumented (CMakeLists.txt)
grep -qw avx2 /proc/cpuinfo && export PRESIZE_ISA=avx2

# instrumented_tree NAME SANITIZERS TARGET: configures tree=BUILD/NAME, builds TARGET (instrumented or
# instrumented_long).
instrumented_tree() {
    tree=$BUILD/$1
    generator="Unix Makefiles"
    command -v ninja >/dev/null && generator=Ninja
    [ -f "$tree/CMakeCache.txt" ] ||
        cmake -S "$SOURCE" -B "$tree" -G "$generator" -DCMAKE_BUILD_TYPE=Debug \
            -DPRESIZE_SANITIZE="$2" -DPRESIZE_WERROR=OFF >/dev/null || return 1
    cmake --build "$tree" --parallel "$(nproc)" --target "$3" >"$tree/build.log" 2>&1 || {
        tail -n 60 "$tree/build.log"
        return 1
    }
    if ! grep -q "__${1}_init" "$tree"/bin/* 2>/dev/null; then
        echo "the programs in $tree are not instrumented"
        return 1
    fi
}

# instrumented NAME SANITIZERS TARGET: the same, and runs its tests.
instrumented() {
    instrumented_tree "$@" || return 1
    ctest --test-dir "$tree" --parallel "$(nproc)" --output-on-failure -L "^$3\$" --no-tests=error
}
