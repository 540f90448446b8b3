# test_train_fit.sh - memory that is not there is noticed before anything is made; the batch that is advised
# does train. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
demo_set
demo_split "$scratch/split.csv" 12 1
big="--exp demo data.split=csv data.split_csv=$scratch/split.csv train.batch=96 train.size=128 train.precision=fp32
    exec.threads=2 train.phases.0.epochs=1"
limit=1300000 # KiB of address space

# limited STATUS ARGS...
limited() {
    local status=$1 got
    shift
    (ulimit -v $limit && "$BIN/train" --data "$data" --results "$results" "$@") > "$scratch/out" 2> "$scratch/err"
    got=$?
    [ $got = "$status" ] || fail "train $*: status $got, expected $status: $(cat "$scratch/out")"
}
says() { grep -Eq -e "$1" "$scratch/err" || fail "expected \"$1\" in: $(cat "$scratch/err")"; }

# The control: without the limit it fits, and the plan says how far.
"$BIN/train" --data "$data" --results "$results" $big --plan > "$scratch/out" 2> "$scratch/err" || fail "--plan"
needed=$(sed -n 's/^memory *\([0-9]*\) MiB needed, [0-9]* MiB available$/\1/p' "$scratch/out")
[ -n "$needed" ] && [ "$needed" -gt $((limit / 1024)) ] || fail "--plan: $needed MiB"

limited 1 $big --name refused
says "96 pictures of 128 px: (about )?[0-9]+ MiB planned, [0-9]+ MiB available"
says "largest batch that fits is [0-9]+: train.batch=[0-9]+ train.accumulate=[0-9]+"
[ ! -e "$results" ] || fail "left behind: $(ls "$results")"
planned=$(sed -n 's/.* \([0-9]*\) MiB planned.*/\1/p' "$scratch/err")
[ $((planned * 10)) -gt $((needed * 9)) ] && [ $((planned * 10)) -lt $((needed * 11)) ] ||
    fail "planned $planned MiB where --plan says $needed"
largest=$(sed -n 's/.* that fits is \([0-9]*\):.*/\1/p' "$scratch/err")
batch=$(sed -n 's/.*train.batch=\([0-9]*\) .*/\1/p' "$scratch/err")
parts=$(sed -n 's/.*train.accumulate=\([0-9]*\) .*/\1/p' "$scratch/err")
[ $((batch * parts)) = 96 ] && [ "$batch" -le "$largest" ] && [ "$largest" -lt 96 ] ||
    fail "advice: $largest, $batch x $parts"
limited 1 $big --plan
says "MiB planned"

# What is advised is done (the process's own address space differs by some MiB from one to the next); a
# little more than the largest is not.
limit=$((limit + 65536))
limited 0 $big --name advised train.batch="$batch"
limit=$((limit - 65536))
limited 1 $big --name more train.batch=$((largest + 16))
says "MiB planned"

# Resuming is checked, too; and where nothing fits, that is said.
limit=650000
limited 1 --resume advised
says "MiB (are )?available"
limit=500000
limited 1 $big --name none
says "take a smaller model.arch"
for limit in 350000 450000 500000 550000 600000 700000 800000; do
    limited 1 $big --name none
    says "MiB (planned, [0-9]+ MiB )?(are )?available"
done
[ "$(ls "$results")" = advised ] || fail "left behind: $(ls "$results")"
exit 0
