# test_train_bits.sh - one recipe and one seed give the same bits at any number of threads and on any
# instruction set. The demo set, its shards and two trainings have the hashes of tests/data/release_bits.txt, on every
# release; RELEASE_BITS=1 prints those of here. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
tiny_experiment 6 2 16 "{kind: fine_tune, epochs: 1}" "exec: {microbatch: 4}"
tiny="$tiny model.arch=resnet18"

# A shard names the versions of the decoders. Those are left out, and the checksum behind them.
shard_hash() { # FILE
    decoders=$(sed -n 's/^ *"decoder": "\(.*\)",$/\1/p' "$data/demo/shards-128/index.json") perl -0777 -ne '
        s/\Q$ENV{decoders}\E..../-/s or die "no decoders\n"; print' "$1" | sha256sum | cut -c1-64
}
bits() { # [RUN]: the record of here, with RUN in the place of the first one
    echo "demo manifest $(sed -n 's/^ *"manifest_sha256": "\(.*\)",*$/\1/p' "$data/demo/shards-128/index.json")"
    for shard in "$data"/demo/shards-128/*.h5; do echo "demo $(basename "$shard") $(shard_hash "$shard")"; done
    echo "weights fp32 $(weights_hash "${1:-one}")"
    echo "weights bf16 $(weights_hash half)"
}

train_run one $tiny exec.threads=1
if [ "${RELEASE_BITS:-}" ]; then
    train_run half $tiny train.precision=bf16 exec.threads=1
    bits
    exit 0
fi
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

bits | diff "$SOURCE/tests/data/release_bits.txt" - ||
    fail "other bits than recorded (<): $("$BIN/train" --version --verbose | tr -s '\n ' ' ')"
bits half | cmp -s - "$SOURCE/tests/data/release_bits.txt" && fail "control: other weights have the recorded bits"
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
