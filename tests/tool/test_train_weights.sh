# test_train_weights.sh - where training starts: an earlier run, a file of one's own, fetched weights;
# files that do not fit. Needs python3 for the .pth files. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
. "${SOURCE:?}/tests/tool/flip_byte.sh"
command -v python3 > /dev/null || skip "no python3 to make .pth files"
demo_set
mkdir "$scratch/data" && ln -s "$data/demo" "$scratch/data/demo"
demo=$data/demo
data=$scratch/data
demo_split() { (cd "$demo/tree/images" && ls) | few "$2" "$3" > "$1"; }
demo_split "$scratch/split.csv" 2 1
tiny="--exp smoke data.split=csv data.split_csv=$scratch/split.csv train.batch=8"
sum() { sha256sum "$1" | cut -d ' ' -f 1; }
pth() { python3 "$SOURCE/tests/oracle/resnet_pth.py" write "$scratch/$1" $2 || fail "resnet_pth.py"; }
says() { grep -qF -e "$1" "$scratch/err" || fail "expected \"$1\" in: $(cat "$scratch/err")"; }
recorded() { # RUN FILE: the file's hash is in run.json
    grep -qF "\"weights_file\": \"$(sum "$2")\"" "$results/$1/run.json" || fail "$1: weights_file"
}
initial() { sed -n 's/.*"initial_weights": "\([0-9a-f]*\)".*/\1/p' "$results/$1/run.json"; }

# An earlier run of the same classes: every bit of it, head too.
train_run first $tiny
last=$results/first/checkpoints/last.safetensors
train_run second $tiny model.weights=run:first
says "model.weights=run:first: body and head"
says "is also the seed of run:first"
recorded second "$last"
[ "$(initial second)" = "$(weights_hash first)" ] || fail "run:first does not start where it ended"
[ "$(initial first)" = "$(weights_hash first)" ] && fail "control: training changed nothing"

# The same file as a FILE is a body: the head is as fresh as without it.
train_run body $tiny "model.weights=$last"
says "the body; the head starts afresh"
recorded body "$last"
[ "$(initial body)" != "$(initial second)" ] || fail "a FILE brought its head along"
[ "$(initial body)" != "$(initial first)" ] || fail "a FILE brought no body"

# Other classes: a new head. The same pictures, told apart by what they are.
mkdir -p "$scratch/pictures/cat" "$scratch/pictures/dog" "$scratch/prep/datasets"
(
    cd "$scratch" || exit 1
    cp "$demo"/tree/images/Classic_Tabby_1?.* pictures/cat
    cp "$demo"/tree/images/brindle_hound_1?.* pictures/dog
    printf 'title: two\nroot: %s/pictures\nlabel: {from: folder}\npresize: {size: 64}\n' \
        "$scratch" > prep/datasets/two.yaml
    "$BIN/prep" two --data "$data" > out 2> err
) || fail "prep two"
train_run reseeded $tiny model.weights=run:first seed=43
grep -q "is that of run:first" "$scratch/err" && fail "another seed is warned of: $(cat "$scratch/err")"
train_run two --exp smoke data.set=two train.batch=8 model.weights=run:first
says "other classes, the head starts afresh"
recorded two "$last"
grep -q '"classes": 2' "$results/two/run.json" || fail "classes"

# A .pth of torch's with a prefix; what fetch makes of one, as imagenet. Both are the same tensors.
pth good.pth "resnet18 prefix"
train_run torch $tiny "model.weights=$scratch/good.pth"
recorded torch "$scratch/good.pth"
refused 1 "fetch weights/resnet18\`" $tiny model.weights=imagenet
refused 1 "no second weights for resnet18" $tiny model.weights=imagenet-v2
refused 1 "fetch weights/resnet50-v2\`" $tiny model.weights=imagenet-v2 model.arch=resnet50
"$BIN/fetch" weights/resnet18 --from "$scratch/good.pth" --data "$data" > "$scratch/out" \
    2> "$scratch/err" || fail "fetch weights/resnet18"
train_run fetched $tiny model.weights=imagenet
recorded fetched "$data/weights/resnet18.safetensors"
[ "$(initial fetched)" = "$(initial torch)" ] || fail "imagenet and its .pth start differently"

# What does not fit: named, and no folder is left behind.
before=$(ls "$results")
for fault in missing extra misshapen; do
    pth $fault.pth "resnet18 $fault"
    refused 1 "$fault.pth does not fit resnet18 with 8 classes" $tiny \
        "model.weights=$scratch/$fault.pth"
done
says "misshapen layer2.0.conv1.weight (128x64x1x1, expected 128x64x3x3)"
refused 1 "missing layer3.1.bn2.running_var" $tiny "model.weights=$scratch/missing.pth"
refused 1 "extra layer4.1.se.weight" $tiny "model.weights=$scratch/extra.pth"
refused 1 "it looks like resnet18, not like resnet34: set model.arch=resnet18" $tiny \
    model.arch=resnet34 model.weights=run:first
refused 1 "it looks like resnet18" $tiny model.arch=resnet50 "model.weights=$scratch/good.pth"

# A ResNet for small pictures, from a file: nobody publishes weights for such a one.
pth small.pth resnet20
train_run small $tiny model.arch=resnet20 "model.weights=$scratch/small.pth"
says "small.pth: the body; the head starts afresh"
recorded small "$scratch/small.pth"
rm -r "${results:?}/small"
pth deeper.pth resnet32
refused 1 "it looks like resnet32, not like resnet20: set model.arch=resnet32" $tiny model.arch=resnet20 \
    "model.weights=$scratch/deeper.pth"
refused 1 "torchvision has no weights for resnet20" $tiny model.arch=resnet20 model.weights=imagenet-v2

cp "$scratch/good.pth" "$scratch/resnet18-01234567.pth"
refused 1 "not as its name states" $tiny "model.weights=$scratch/resnet18-01234567.pth"
digits=$(sha256sum "$scratch/good.pth" | cut -c1-8)
cp "$scratch/good.pth" "$scratch/resnet18-$digits.pth"
train_run named $tiny "model.weights=$scratch/resnet18-$digits.pth"
rm -r "$results/named"
pth evil.pth "resnet18 evil"
refused 1 "refused: the file asks for posix.system" $tiny "model.weights=$scratch/evil.pth"
[ -e "$scratch/must-never-run" ] || [ -e must-never-run ] && fail "code out of a .pth was run"
head -c 100000 "$scratch/good.pth" > "$scratch/torn.pth"
refused 1 "model.weights: $scratch/torn.pth: damaged or incomplete zip: " $tiny \
    "model.weights=$scratch/torn.pth"
pth lying.pth "resnet18 lying"
refused 1 "storage 0: 1000 bytes, but data.pkl says" $tiny "model.weights=$scratch/lying.pth"
refused 1 "no such file" $tiny "model.weights=$scratch/none.pth"
refused 1 "run:nothing" $tiny model.weights=run:nothing

# A run's weights that are not those its checkpoint vouches for.
cp -r "$results/first" "$results/hurt"
flip_byte "$results/hurt/checkpoints/last.safetensors" 30000000
before="$before
hurt"
refused 1 "is not the file" $tiny model.weights=run:hurt
rm -rf "$results/hurt/checkpoints"/*
refused 1 "has no checkpoint" $tiny model.weights=run:hurt
[ "$(ls "$results" | sort)" = "$(echo "$before" | sort)" ] || fail "left behind: $(ls "$results")"
exit 0
