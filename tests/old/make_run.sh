#!/bin/bash
# make_run.sh - makes what test_old_runs.sh reads: a data folder and two runs, one done and one stopped,
# of the version of presize whose programs are in BIN. Once per version, before anything of its record
# changes; what it made is never made again.
#
#   tests/old/make_run.sh BIN DRAWN_WEIGHTS OUT.tar.gz.gz
#
# BIN holds fetch, prep and train; DRAWN_WEIGHTS is the program of drawn_weights.c. The runs are real, and
# small in the repository all the same: gradients are clipped to nothing, so that the weights stay as initialised
# and Adam's moments are zeros; the norms' running statistics are what training changes. Zeros compress a
# thousandfold at most, so the archive is compressed twice.
# SPDX-License-Identifier: MIT
set -eu
bin=$(realpath "$1")
drawn=$(realpath "$2")
out=$(realpath "$3")
sets=$(realpath "$(dirname "$0")/../../prep/datasets")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export LC_ALL=C

# Sixteen of the demo's pictures, as if they had been fetched alone.
"$bin/fetch" -q demo --data full
few=data/few
mkdir -p $few/tree/annotations $few/tree/images
for class in arrow_pointer star_spaniel; do
    ls -Sr full/demo/tree/images/${class}_* | head -n 8 | xargs cp -t $few/tree/images
done
for list in trainval test; do
    while read -r name rest; do
        [ ! -e "$few/tree/images/$name.jpg" ] || echo "$name $rest"
    done < full/demo/tree/annotations/$list.txt > $few/tree/annotations/$list.txt
done
lines() {
    (cd $few/tree && find . -type f | cut -c3- | sort) | while read -r path; do
        printf '{"path": "%s", "size": %d, "sha256": "%s"}\n' "$path" "$(stat -c %s "$few/tree/$path")" \
            "$(sha256sum < "$few/tree/$path" | cut -c1-64)"
    done
}
lines > lines
{
    head -n 1 full/demo/manifest.jsonl | sed "s/\"files\": .*/\"files\": $(wc -l < lines), \"bytes\": $(
        cat $few/tree/*/* | wc -c)}/"
    cat lines
} > $few/manifest.jsonl
sed -e 's/^title:.*/title: A few of the demo pictures/' -e 's/^presize:.*/presize: {size: 32}/' \
    "$sets/demo.yaml" > few.yaml
"$bin/prep" -q few.yaml --data data

cat > kept.yaml <<'YAML'
# Does a later version still read this run?
data: {set: few, split: official, valid: 0.5}
model: {arch: resnet18, weights: none}
augment: {mode: none}
train:
  size: 32
  batch: 4
  clip: 1e-45
  phases: [{kind: constant, epochs: 1, lr: 1e-3, freeze: true}]
optim: {wd: 0}
exec: {backend: cpu, threads: 1}
YAML
"$bin/train" -q --exp kept.yaml --data data --results results --name done
"$bin/train" -q --exp kept.yaml --data data --results results --name stopped --stop-after 1 \
    train.phases.0.epochs=2 || [ $? = 1 ]

# What no check reads goes, and so do this machine's names.
for run in done stopped; do
    (cd results/$run && rm -rf log.txt report.html plots)
    sed -i -e 's/"host": "[^"]*"/"host": "kept"/' -e 's/"release": "[^"]*"/"release": "kept"/' \
        -e "s|\"$bin/|\"|" results/$run/run.json
    "$drawn" results/$run results/$run/checkpoints/last.safetensors
done
cmp results/done/checkpoints/last.safetensors results/stopped/checkpoints/last.safetensors
ln -f results/done/checkpoints/last.safetensors results/stopped/checkpoints/last.safetensors
for run in done stopped; do
    "$drawn" results/$run results/$run/checkpoints/best.safetensors
    cmp results/done/checkpoints/last.safetensors results/$run/checkpoints/best.safetensors
    ln -f results/done/checkpoints/last.safetensors results/$run/checkpoints/best.safetensors
done
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - data results | gzip -9n | gzip -9n > "$out"
