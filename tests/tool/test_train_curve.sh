# test_train_curve.sh - a training from nothing on the 695 real pictures follows PyTorch's, step by
# step: tests/data/training_curve.txt, made by tests/oracle/training_curve.py, says what its loss was.
# Same pictures, split, order and initial weights, no dropout, no augmentation, fp32. Skipped without
# the pictures. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
needs_archive
data=$scratch/data
"$BIN/fetch" pets-mini --from "$archive" --data "$data" > "$scratch/out" 2> "$scratch/err" ||
    fail "fetch pets-mini"
# Cut square and presized to what the network sees: no pixel is resampled in training.
"$BIN/prep" pets-mini --data "$data" presize.size=128 presize.max_aspect=1 > "$scratch/out" \
    2> "$scratch/err" || fail "prep pets-mini"
cat > "$scratch/curve.yaml" <<YAML
# Does training from nothing follow PyTorch's curve?
data: {set: pets-mini, duplicates: as_split}
model: {arch: resnet18, weights: none, head: {dropout: 0}}
augment: {mode: none}
train: {precision: fp32, size: 128, batch: 32, phases: [{kind: one_cycle, epochs: 2, lr: 5e-5}]}
YAML
train_run curve --exp "$scratch/curve.yaml"

# Losses by step out of TensorBoard's file: a tag, the byte 15, a little-endian float. They are
# smoothed: s(k) (1 - 0.98^k) = 0.98 s(k-1) (1 - 0.98^(k-1)) + 0.02 loss(k).
od -An -v -tx1 "$results"/curve/events.* | tr -d ' \n' | sed 's/747261696e2f6c6f737315/\n/g' |
    tail -n +2 | cut -c 1-8 | awk '
        function hex(text,    i, n) {
            for (i = 1; i <= length(text); i++)
                n = 16 * n + index("0123456789abcdef", substr(text, i, 1)) - 1
            return n
        }
        {
            bits = hex(substr($1, 7, 2) substr($1, 5, 2) substr($1, 3, 2) substr($1, 1, 2))
            value = (1 + bits % 2^23 / 2^23) * 2^(int(bits / 2^23) % 256 - 127)
            sum = value * (1 - 0.98^NR)
            printf "%d %.6f\n", NR - 1, (sum - 0.98 * before) / 0.02
            before = sum
        }' > "$scratch/losses"
[ "$(wc -l < "$scratch/losses")" = 34 ] || fail "steps: $(wc -l < "$scratch/losses")"

# near LOSSES: the first ten within 2 % of both of PyTorch's, the first five within 0.05 %.
near() {
    grep -v '^#' tests/data/training_curve.txt | paste -d ' ' - "$1" | head -n 10 | awk '
        function off(want) { return $5 > want ? $5 / want - 1 : 1 - $5 / want }
        $1 != $4 { wrong = 1 }
        { band = $1 < 5 ? 0.0005 : 0.02; line = "step " $1 ": loss " $5 ", PyTorch " $2 " and " $3 }
        !(off($2) <= band && off($3) <= band) { print line; wrong = 1 }
        END { exit wrong || NR != 10 }'
}
near "$scratch/losses" || fail "the curve is not PyTorch's"
# The control: two steps in the other order.
awk '{ loss[NR - 1] = $2 }
     END { loss["held"] = loss[3]; loss[3] = loss[4]; loss[4] = loss["held"]
           for (i = 0; i < NR; i++) print i, loss[i] }' "$scratch/losses" > "$scratch/control"
near "$scratch/control" > /dev/null && fail "control: two steps changed places unnoticed"
exit 0
