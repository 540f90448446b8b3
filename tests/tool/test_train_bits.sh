# test_train_bits.sh - one recipe and one seed give the same bits at any number of threads and on any
# instruction set.
# SPDX-License-Identifier: MIT
. "$SOURCE/tests/tool/train_common.sh"
tiny_experiment 6 2 16 "{kind: fine_tune, epochs: 1}" "exec: {microbatch: 4}"

train_run one $tiny exec.threads=1
train_run two $tiny exec.threads=2
train_run three $tiny exec.threads=3
OMP_NUM_THREADS=3 train_run omp3 $tiny exec.threads=2
train_run ahead $tiny exec.threads=2 exec.prefetch=7
for run in two three omp3 ahead; do
    same one $run
done
[ "$(wc -l < "$results/one/metrics.jsonl")" = 2 ] || fail "two epochs, two lines"
[ "$(weights_hash one)" ] || fail "no weights_sha256"

train_run half $tiny train.precision=bf16 exec.threads=1
train_run half3 $tiny train.precision=bf16 exec.threads=3
same half half3

# Instruction sets: those that this processor lacks are refused, the others agree.
isas=
for isa in base avx2 avx512 avx512bf16; do
    for run in one half; do
        [ $isa.$run = base.half ] && continue # the same kernels, each product in many steps
        precision=fp32
        [ $run = half ] && precision=bf16
        PRESIZE_ISA=$isa "$BIN/train" --data "$data" --results "$results" --name "$run-$isa" $tiny \
            train.precision=$precision exec.threads=2 > "$scratch/out" 2> "$scratch/err" || {
            grep -q "this processor does not have it" "$scratch/err" || fail "PRESIZE_ISA=$isa: status $?"
            continue 2
        }
        grep -q "\"isa\": \"$isa\"" "$results/$run-$isa/run.json" || fail "PRESIZE_ISA=$isa: another ran"
        same $run "$run-$isa"
    done
    isas="$isas $isa"
done
case $isas in *" base"*) ;; *) fail "no run with the instruction set base: $isas" ;; esac

# The control: what the comparison must see.
train_run seed $tiny exec.threads=1 seed=43
[ "$(weights_hash seed)" != "$(weights_hash one)" ] || fail "another seed has the same weights"
cmp -s "$results/seed/metrics.jsonl" "$results/one/metrics.jsonl" && fail "another seed, same metrics"
echo "weights $(weights_hash one) at 1, 2, 3 threads, under OMP_NUM_THREADS=3; instruction sets$isas"
