# test_ops_bits.sh - convolutions, linear layers, batch norms and optimisers have the bits recorded for this version of the
# arithmetic (tests/data/ops_bits.txt), on every processor and build. A change of these bits raises ARITHMETIC
# and needs a new record: OPS_BITS=1 build/bin/test_ops_conv | grep ^bits, then the same of test_ops_norm and
# test_ops_optimiser.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
for part in conv norm optimiser; do
    OPS_BITS=1 "$BIN/test_ops_$part" 2>/dev/null | grep '^bits'
done > "$scratch/bits"
[ "$(wc -l < "$scratch/bits")" -gt 200 ] || fail "$(wc -l < "$scratch/bits") results"
diff "$SOURCE/tests/data/ops_bits.txt" "$scratch/bits" || fail "other bits than recorded"
# The control: the hash of one result changed.
sed '7s/^bits ./bits x/' "$scratch/bits" | cmp -s - "$SOURCE/tests/data/ops_bits.txt" &&
    fail "control: another result went unnoticed"
exit 0
