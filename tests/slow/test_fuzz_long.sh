#!/bin/bash
# Every fuzz target on 20,000 mutated inputs (names in archives: a million), instrumented; make test
# runs 1,000 of each. FUZZ_SEED chooses others. SPDX-License-Identifier: MIT
set -eu
. "${SOURCE:?}/tests/sanitize/instrumented.sh"
instrumented_tree asan address,undefined instrumented
cd "$SOURCE"
for program in "$BUILD"/asan/bin/fuzz_*; do
    rounds=20000
    [ "${program##*/}" = fuzz_entry_path ] && rounds=1000000
    echo "${program##*/}: $("$program" $rounds "${FUZZ_SEED:-2}")"
done
