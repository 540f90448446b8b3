# small_set.sh - what the tests of reliability share: 32 pictures of the demo set with their archive, their shards, and
# a run of two epochs, in the working folder $scratch. Sourced. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
demo_set
demo=$data
cd "$scratch" || exit 1
results=results
mkdir -p flip/images prep/datasets data/archives
for picture in $(cd "$demo/demo/tree/images" && printf '%s\n' *_1.jpg *_2.jpg *_3.jpg *_4.jpg); do
    cp "$demo/demo/tree/images/$picture" flip/images
done
tar czf data/archives/flip-all.tgz flip
cat > prep/datasets/flip.yaml <<'YAML'
title: for flipped bits
images: images
label: {from: regex, regex: '(.+)_\d+.jpg$'}
presize: {size: 32}
shard: {pictures: 8}
YAML
cat > flip.yaml <<'YAML'
# Is every fault found?
data: {set: flip}
model: {arch: resnet18, weights: none}
train: {size: 32, batch: 8, phases: [{kind: one_cycle, epochs: 2}]}
YAML
"$BIN/fetch" flip --from data/archives/flip-all.tgz > out 2> err && "$BIN/prep" flip >> out 2>> err || fail "the set"
"$BIN/train" --exp flip.yaml --name run > out 2> err || fail "the run: $(cat err)"
