# test_train_bad.sh - what cannot be trained is refused clearly, and nothing is left behind.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
tiny_experiment 4 2 8 "{kind: one_cycle, epochs: 3, lr: 1e-3}" "exec: {microbatch: 8}"

# The command line: status 2. A file: status 1.
refused 2 "smoke"
refused 2 "--exp" smoke
refused 2 "train.batch" $tiny train.bacth=3
refused 2 "did you mean train?" $tiny trian.batch=3
refused 2 "train.batch" $tiny train.batch=
refused 2 "command line" $tiny train.batch=0
refused 2 "resnet18" $tiny model.arch=resnet19
refused 2 "epochs" $tiny train.phases.0.epoch=3
refused 2 "backend" $tiny -B abacus
refused 2 "--stop-after" $tiny --stop-after none
refused 2 "leave out" $tiny --resume x
refused 1 "smoke" --exp smokey
refused 1 "no such file" --exp none.yaml
printf 'train:\n  bacth: 3\n' > "$scratch/typo.yaml"
refused 1 "typo.yaml" --exp "$scratch/typo.yaml"
refused 1 "train.batch" --exp "$scratch/typo.yaml"
printf 'train: [\n' > "$scratch/torn.yaml"
refused 1 "line" --exp "$scratch/torn.yaml"

# Pictures, batches, sizes, weights.
refused 1 "fetch nowhere" $tiny data.set=nowhere
mkdir -p "$scratch/empty/demo"
"$BIN/train" --data "$scratch/empty" --results "$results" $tiny 2> "$scratch/err" &&
    fail "a set without shards"
grep -q "prep demo" "$scratch/err" || fail "missing shards: does not say prep"
refused 1 "larger than the training set (32 pictures" $tiny train.batch=64 
refused 1 "train.batch=32" $tiny train.batch=64
refused 1 "train.phases.0.batch=32" $tiny train.phases.0.batch=64
refused 1 "exec.microbatch" $tiny exec.microbatch=3
sed '/^arrow_pointer/s/train$/valid/' "$scratch/split.csv" > "$scratch/only.csv" # all of a class
refused 1 "1 class is only in the validation part (data.stratify" $tiny data.split_csv="$scratch/only.csv"
refused 1 ": arrow_pointer" $tiny data.split_csv="$scratch/only.csv"
refused 1 "goes with data.split random, official and folder" $tiny data.stratify=true
refused 1 "must name the table" $tiny data.split_csv=
refused 1 "train.size: 2048 px is more than the shards hold (128 px" $tiny train.size=2048
refused 1 "train.phases.0.size: 2048 px is more" $tiny train.phases.0.size=2048
refused 1 "prep demo presize.size=2048" $tiny train.phases.0.size=2048
refused 1 "4 rates for 3 parameter groups" $tiny "train.phases.0.lr=[1e-6,1e-5,1e-4,1e-3]"
refused 1 "weights/resnet18.safetensors is missing" $tiny model.arch=resnet18 model.weights=imagenet
refused 1 "model.weights=none" $tiny model.arch=resnet18 model.weights=imagenet
refused 1 "torchvision has no weights for resnet20: train from nothing" $tiny model.weights=imagenet
refused 1 "no such file" $tiny model.weights=nothing.safetensors
refused 1 "model.weights=: no such file (none, imagenet" $tiny model.weights=
refused 1 "run:none" $tiny model.weights=run:none
refused 1 "none" --resume none
refused 2 "a run's name is" $tiny --name a/b
refused 2 "two\\x0Alines': a run" $tiny --name $'two\nlines'
[ ! -e "$results" ] || [ -z "$(ls "$results")" ] || fail "left behind: $(ls "$results")"

# What does not go together.
refused 1 "augment.mixup and augment.cutmix are both set" $tiny augment.mixup=1 augment.cutmix=1
refused 1 "augment.min_zoom 2 is larger" $tiny augment.min_zoom=2
refused 1 "augment.hue has no effect with augment.mode=none" $tiny augment.mode=none augment.hue=0.1
refused 1 "augment.policy: goes with augment.mode=presize" $tiny augment.mode=fastai augment.policy=trivial
refused 1 "augment.resize: goes with augment.mode=presize or none" $tiny augment.mode=fastai augment.resize=pad
refused 1 "augment.pad has no effect with augment.mode=none" $tiny augment.mode=none augment.pad=zeros
refused 1 "train.valid_size: 2048 px is more than the shards hold (128 px" $tiny train.valid_size=2048
refused 1 "train.valid_size: a network takes pictures of at least 16 px" $tiny train.valid_size=8
[ ! -e "$results" ] || [ -z "$(ls "$results")" ] || fail "left behind: $(ls "$results")"
refused 2 "at a time" $tiny --plan --summary
refused 2 "--lr-find is a run of its own" $tiny --lr-find --plan

# A name that is taken.
mkdir -p "$results/taken"
refused 1 "never overwritten" $tiny --name taken
refused 1 "no record to resume from" $tiny --name taken
rm -rf "$results"

# A rate that blows the weights up: stops, says where, marks the run.
refused 1 "learning rate" $tiny --name boom optim.wd=1 \
    train.phases.0.kind=constant train.phases.0.lr=100 train.phases.0.epochs=20
grep -q "step [0-9]* of [0-9]*" "$scratch/err" || fail "diverged: the step is not named"
grep -q '"status": "failed"' "$results/boom/run.json" || fail "diverged: status of the run"
grep -q "diverged" "$results/boom/run.json" || fail "diverged: the reason in run.json"

refused 1 "diverged" --resume boom # it begins again, to the same end
"$BIN/eval" --results "$results" boom | grep -q "no checkpoint; .train --resume boom. begins it again" ||
    fail "eval does not say how to begin a run again that has no checkpoint"

# A rate that no phase takes is not passed over in silence.
for look in "" --plan; do
    refused 1 "optim.lr has no effect: every phase gives its own rate" $tiny optim.lr=1e-4 $look
done
refused 1 "optim.mom has no effect" $tiny optim.mom=0.5 "train.phases=[{kind: one_cycle, epochs: 1}]"
refused 1 "none.pth: no such file" $tiny data.split=random train.min_delta=0.1 train.phases.0.batch=8 \
    model.weights="$scratch/none.pth" # not found, before which the keys are looked at
for key in data.split_csv train.min_delta train.batch; do
    grep -q "warn: $key has no effect" "$scratch/err" || fail "$key without effect: not said: $(cat "$scratch/err")"
done
[ -e "$results/unheard" ] && fail "a run was begun"

# What people type instead of a key is taken for the key where its value means the same, as a word and as an option,
# and is answered with the key elsewhere; a sheet is a PNG, and no option is a file's name.
for word in workers:exec.threads fp16:train.precision pretrained:model.weights; do
    refused 2 "${word%%:*}: there is no such key; did you mean ${word#*:}?" $tiny "${word%%:*}=1"
done
refused 2 "there is no option --fp16; it is a key: train.precision=VALUE" $tiny --fp16
refused 2 "--lr takes a value: --lr VALUE, or the key train.phases.0.lr=VALUE" $tiny --lr
refused 2 "command line: train.phases.0.epochs" $tiny --epochs -1
for typed in "--epochs 0" "--epochs=0" "epochs=0" "train.phases.0.epochs=0"; do
    refused 1 "train.phases.0.epochs" $tiny $typed
done
refused 1 "a batch of 400 is larger" $tiny --batch-size 400
refused 2 "command line: data.plant" $tiny --plant 2
refused 2 "command line: train.monitor" $tiny --monitor luck
refused 2 "the experiment has 2 phases: say which one, as in train.phases.0.epochs=3" $tiny \
    "train.phases=[{epochs: 1}, {epochs: 1}]" epochs=3
refused 2 "--show-batch takes FILE.png, not the option --unique" $tiny --show-batch --unique
refused 2 "give a name that ends in .png" $tiny --show-batch "$scratch/sheet.jpg"
(cd "$BIN" && ./train --exp "$scratch/tiny.yaml" data.set=nothing > "$scratch/out" 2> "$scratch/err")
grep -q 'run `./fetch nothing` and `./prep nothing` first' "$scratch/err" || fail "a hint as it was called: $(cat "$scratch/err")"

# Devices without the precision asked for run in another, say so and record it.
train_run half $tiny train.precision=fp16 train.phases.0.epochs=1
grep -q "fp16" "$scratch/err" || fail "fp16: no notice"
grep -A4 '"precision"' "$results/half/run.json" | grep -Eq '"ran": "(bf16|fp32)"' ||
    fail "fp16: not recorded"
