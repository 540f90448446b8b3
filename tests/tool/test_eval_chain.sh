# test_eval_chain.sh - eval on runs that were really trained: predictions of files have the bits of
# validation, the chain of hashes holds, and what was changed is found.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
. "${SOURCE:?}/tests/tool/flip_byte.sh"
demo_set
demo_split "$scratch/split.csv" 4 3
tiny="--exp smoke data.split=csv data.split_csv=$scratch/split.csv train.batch=8 model.arch=resnet20"
train_run first $tiny
train_run seed43 $tiny seed=43
eval="$BIN/eval --data $data --results $results"

# Files predicted one by one, and the validation of the run: the same probability to the bit.
tail -n +2 "$results/first/predictions.csv" | cut -d, -f1,3,5 | sort > "$scratch/expected"
(cd "$data/demo/tree/images" && $eval first --csv --predict $(cut -d, -f1 "$scratch/expected")) \
    > "$scratch/out" 2> "$scratch/err" || fail "--predict"
[ "$(head -n 1 "$scratch/out")" = "file,label,probability,next" ] || fail "--predict --csv: header"
# The CSV of the run has the shortest text of a float32, that of --predict of the same as a double.
tail -n +2 "$scratch/out" | cut -d, -f1-3 | sort | while IFS=, read -r file label probability; do
    printf '%s,%s,%.6f\n' "$file" "$label" "$probability"
done > "$scratch/got"
while IFS=, read -r file label probability; do
    printf '%s,%s,%.6f\n' "$file" "$label" "$probability"
done < "$scratch/expected" > "$scratch/rounded"
cmp "$scratch/got" "$scratch/rounded" || fail "--predict and validation differ: $(diff "$scratch/got" "$scratch/rounded" | head)"

# One file alone among its neighbours: the same; the other run: others (the control).
one=$data/demo/tree/images/$(head -n 1 "$scratch/expected" | cut -d, -f1)
$eval first --json --predict "$one" > "$scratch/alone" 2> "$scratch/err" || fail "--predict, one"
$eval seed43 --json --predict "$one" > "$scratch/other" 2> "$scratch/err" || fail "--predict, seed43"
cmp -s "$scratch/alone" "$scratch/other" && fail "two runs predict the same"
[ "$(grep -c '"label"' "$scratch/alone")" = 6 ] || fail "--predict --json: a label and the five best"
$eval first --best --json --predict "$one" > "$scratch/best" 2> "$scratch/err" || fail "--best"

# What is no picture is named; the others are predicted.
mkdir "$scratch/empty"
$eval first --predict "$one" "$0" "$scratch/empty" "$scratch/none.jpg" > "$scratch/out" 2> "$scratch/err"
[ $? = 1 ] || fail "--predict of what is no picture: status"
[ "$(wc -l < "$scratch/out")" = 2 ] || fail "--predict of what is no picture: $(cat "$scratch/out")"
for text in "$0: " "$scratch/empty: no picture in this folder" "none.jpg" "3 of 4 files"; do
    grep -qF "$text" "$scratch/err" || fail "--predict: \"$text\" is not said"
done

# A folder with the folders below it, and a list on stdin: the same as its files; K labels, or all.
mkdir -p "$scratch/some/below"
cp "$one" "$scratch/some/below/b.jpg"
cp "$data/demo/tree/images/$(tail -n 1 "$scratch/expected" | cut -d, -f1)" "$scratch/some/a.jpg"
echo text > "$scratch/some/notes.txt"
$eval first --csv --predict "$scratch/some/a.jpg" "$scratch/some/below/b.jpg" > "$scratch/files" 2> "$scratch/err" ||
    fail "--predict FILE FILE"
$eval first --csv --predict "$scratch/some" > "$scratch/out" 2> "$scratch/err" || fail "--predict FOLDER"
cmp "$scratch/files" "$scratch/out" || fail "--predict FOLDER"
grep -q "1 file left out as no picture: $scratch/some/notes.txt" "$scratch/err" || fail "left out: $(cat "$scratch/err")"
sed -n 's/,.*//; 2,$p' "$scratch/files" | $eval first --csv --predict - > "$scratch/out" 2> "$scratch/err" ||
    fail "--predict -"
cmp "$scratch/files" "$scratch/out" || fail "--predict -"
for top in 2 8 all; do
    $eval first --json --top=$top --predict "$one" > "$scratch/out" 2> "$scratch/err" || fail "--top=$top"
    [ "$(grep -c '"label"' "$scratch/out")" = $((${top/all/8} + 1)) ] || fail "--top=$top: $(cat "$scratch/out")"
done

# A checkpoint's file alone, the way pictures are shrunk included; one without its facts is refused.
train_run shrunk $tiny augment.mode=fastai train.phases.0.freeze_epochs=0
for run in first shrunk; do
    cp "$results/$run/checkpoints/last.safetensors" "$scratch/alone.safetensors"
    $eval $run --json --predict "$one" > "$scratch/run" 2> "$scratch/err" || fail "--predict with $run"
    $eval "$scratch/alone.safetensors" --json --predict "$one" > "$scratch/file" 2> "$scratch/err" ||
        fail "--predict with the file of $run"
    cmp "$scratch/run" "$scratch/file" || fail "the file of $run predicts otherwise"
done
rm -r "$results/shrunk"
sed -i '1s/"presize"/"resizep"/' "$scratch/alone.safetensors"
$eval "$scratch/alone.safetensors" --predict "$one" > "$scratch/out" 2> "$scratch/err" && fail "a file without facts"
grep -q "it lacks the names of its classes and its sizes" "$scratch/err" || fail "without facts: $(cat "$scratch/err")"
cp "$results/first/checkpoints/last.safetensors" "$scratch/alone.safetensors"
sed -i '1s/resnet20/resnet99/' "$scratch/alone.safetensors"
$eval "$scratch/alone.safetensors" --predict "$one" > "$scratch/out" 2> "$scratch/err" && fail "a file of no network"
grep -q "model.arch" "$scratch/err" || fail "of no network: $(cat "$scratch/err")"

$eval > "$scratch/out" 2> "$scratch/err" || fail "the latest run"
grep -q "$results/seed43  (done, 2 epochs" "$scratch/out" || fail "overview: $(cat "$scratch/out")"
$eval --compare first seed43 > "$scratch/out" 2> "$scratch/err" || fail "--compare"
grep -q "by recipe" "$scratch/out" || fail "--compare: seeds are not grouped: $(cat "$scratch/out")"
grep -q "on 24 pictures" "$scratch/out" || fail "--compare: $(cat "$scratch/out")"

# The chain, whole; then with one thing changed at a time.
$eval first --verify --strict > "$scratch/out" 2> "$scratch/err" || fail "--verify: $(cat "$scratch/out")"
[ "$(grep -c ' ok ' "$scratch/out")" = 22 ] || fail "--verify: $(cat "$scratch/out")"
grep -q "every link that could be checked is valid; 0 could not" "$scratch/out" || fail "--verify: $(cat "$scratch/out")"

# broken LINK: --verify must name it.
broken() {
    $eval changed --verify > "$scratch/out" 2> "$scratch/err" && fail "--verify: $1 changed, not found"
    grep -Eq "^$1 +FAILED " "$scratch/out" || fail "--verify: no \"$1 FAILED\" in: $(cat "$scratch/out")"
}
change() {
    rm -rf "$results/changed"
    cp -r "$results/first" "$results/changed"
}
# older FILE: run.json as an older program wrote it
older() { sed -i '/"record_sha256"/d; s/^  "version": 2/  "version": 1/; s/\(  "stop": ".*"\),/\1/' "$1"; }
change
flip_byte "$results/changed/checkpoints/last.safetensors" 9000
broken last.safetensors
change
cp "$results"/seed43/checkpoints/last.* "$results/changed/checkpoints/" # whole, but another run's
broken last.safetensors
broken last.json
change
sed -i 's/^seed: .*/seed: 44/' "$results/changed/resolved.yaml"
broken configuration
broken "first weights"
change
sed -i 's/"index": "../"index": "00/' "$results/changed/run.json"
broken index
change
sed -i 's/,1$/,2/' "$results/changed/confusion.csv"
printf '\n' >> "$results/changed/confusion.csv"
broken confusion.csv
ln -s first "$results/linked"
$eval linked --verify > "$scratch/out" 2> "$scratch/err" || fail "--verify: a link to a run: $(cat "$scratch/out")"
rm "$results/linked"
for file in metrics.jsonl params.yaml experiment.yaml checkpoints/last.json timing.jsonl; do
    change
    echo >> "$results/changed/$file"
    broken files
    grep -q "changed $file" "$scratch/out" || fail "--verify: $file: $(cat "$scratch/out")"
done
change
rm "$results/changed/checkpoints/best.json"
broken files
for fact in 's/"seed": .*/"seed": 41,/' 's/"split": "csv.*/"split": "official split",/' \
    's|"set": .*|"set": "other",|; s|"shards": .*|"shards": "elsewhere/shards-32",|; s/"asked": .*/"asked": "bf16",/'; do
    change
    sed -i "$fact" "$results/changed/run.json"
    older "$results/changed/run.json" # which has no hash of itself
    broken facts
    grep -Eq "^shards +ok " "$scratch/out" || fail "--verify: $fact, and the shards are not looked at"
done
change
sed -i 's/"valid": .*/"valid": 1,/; s/"host": ".*/"host": "another",/' "$results/changed/run.json"
broken "pictures' number"
grep -Eq "^run.json +FAILED " "$scratch/out" || fail "--verify: run.json: $(cat "$scratch/out")"
change
older "$results/changed/run.json"
$eval changed --verify --strict > "$scratch/out" 2> "$scratch/err"
[ $? = 4 ] || fail "--strict: status of a link that was not checked"
grep -Eq "^run.json +not checked " "$scratch/out" || fail "--verify: an older record: $(cat "$scratch/out")"
change
sed -i '$d' "$results/changed/metrics.jsonl"
broken metrics

# What a run began with: an earlier run's weights.
train_run second $tiny model.weights=run:first seed=44
$eval second --verify > "$scratch/out" 2> "$scratch/err" || fail "--verify: run:first: $(cat "$scratch/out")"
grep -Eq "^first weights +ok +taken again from that file" "$scratch/out" || fail "$(cat "$scratch/out")"
mv "$results/first" "$results/moved" && cp -r "$results/seed43" "$results/first"
$eval second --verify > "$scratch/out" 2> "$scratch/err" && fail "--verify: another run:first: $(cat "$scratch/out")"
grep -Eq "^weights file +FAILED" "$scratch/out" || fail "$(cat "$scratch/out")"
grep -Eq "^first weights +FAILED" "$scratch/out" || fail "$(cat "$scratch/out")"
rm -r "$results/first" && mv "$results/moved" "$results/first"
rm -r "$results/second"
$eval first --split train > "$scratch/out" 2> "$scratch/err" || fail "--split train: $(cat "$scratch/err")"
change
$eval changed --verify > "$scratch/out" 2> "$scratch/err" || fail "--verify: with a score: $(cat "$scratch/out")"
grep -Eq "^scores/demo/train +ok " "$scratch/out" || fail "--verify: the score: $(cat "$scratch/out")"
echo >> "$results/changed/scores/demo/train/confusion.csv"
broken scores/demo/train
change
sed -i "s|$scratch/split.csv|$scratch/swapped.csv|" "$results/changed/resolved.yaml"
sed '2s/train/valid/' "$scratch/split.csv" > "$scratch/swapped.csv"
broken split
rm -rf "$results/changed"

# Where --data is given, data are looked for nowhere else.
$BIN/eval --data "$scratch/nothing" --results "$results" first --verify > "$scratch/out" 2> "$scratch/err" ||
    fail "--verify without data: $(cat "$scratch/out")"
grep -Eq "^shards +not checked " "$scratch/out" || fail "--verify without data: $(cat "$scratch/out")"
(unset PRESIZE_DATA; $BIN/eval --results "$results" first --verify) > "$scratch/out" 2> "$scratch/err" || fail "$(cat "$scratch/out")"
grep -Eq "^shards +ok " "$scratch/out" || fail "--verify: where run.json says the data are: $(cat "$scratch/out")"

# A run that was stopped has its checkpoint to tell.
"$BIN/train" --data "$data" --results "$results" -q $tiny --name stopped --stop-after 1 > "$scratch/out" 2>&1 &&
    fail "--stop-after did not stop"
$eval stopped --verify > "$scratch/out" 2> "$scratch/err" || fail "--verify, stopped: $(cat "$scratch/out")"
grep -Eq "^last.safetensors +ok +the tensors of the checkpoint" "$scratch/out" || fail "$(cat "$scratch/out")"
sed -i 's/"weights_sha256": "./&f/' "$results/stopped/checkpoints/last.json"
$eval stopped --verify > "$scratch/out" 2> "$scratch/err" && fail "--verify, stopped and changed: $(cat "$scratch/out")"
rm -rf "$results/stopped"

# The model for other programs. What a model computes is checked by tests/oracle/onnx_probabilities.py.
out=$scratch/export
exports() { # ARGS...: must succeed and say nothing on stderr
    $eval "$@" > "$scratch/out" 2> "$scratch/err" || fail "eval $*: status $?"
    [ -s "$scratch/err" ] && fail "eval $*: $(cat "$scratch/err")"
    return 0
}
no_export() { # TEXT ARGS...: refused, and the folder is as it was
    local text=$1 before
    shift
    before=$(ls -lA --time-style=full-iso "$out" 2> /dev/null)
    $eval "$@" > "$scratch/out" 2> "$scratch/err" && fail "eval $*: not refused"
    grep -qF -e "$text" "$scratch/err" || fail "eval $*: \"$text\" is not said"
    [ "$(ls -lA --time-style=full-iso "$out" 2> /dev/null)" = "$before" ] || fail "eval $*: wrote $(ls -lA "$out")"
}
# A limit on file sizes (KiB), as a full disk: nothing is left, not even the folder.
(ulimit -f 1000 && no_export "cannot write " first --export "$out") || exit 1
[ ! -e "$out" ] || fail "a full disk: $(ls -A "$out")"
no_export "is a file; expected a folder" first --export "$results/first/run.json"
exports first --export "$out" --json
[ "$(ls -A "$out" | LC_ALL=C sort | tr '\n' ' ')" = "README.md config.json model.intoto.json model.onnx model.safetensors " ] ||
    fail "--export: $(ls -A "$out")"
cmp "$out/model.safetensors" "$results/first/checkpoints/last.safetensors" || fail "--export: the weights"
[ $((100 * $(cat "$out"/* | wc -c))) -le $((105 * $(wc -c < "$out/model.safetensors"))) ] || fail "--export: $(ls -l "$out")"
for file in model.safetensors model.onnx README.md model.intoto.json; do
    hash=$(sha256sum < "$out/$file" | cut -d' ' -f1)
    grep -qF "\"$file\": \"$hash\"" "$out/config.json" || fail "config.json: no hash of $file"
    grep -qF "$hash" "$scratch/out" || fail "--export --json: no hash of $file"
done
grep -q '{{\|}}' "$out/README.md" && fail "README.md: $(grep '{{\|}}' "$out/README.md")"
errors=$(tail -n +2 "$results/first/predictions.csv" | awk -F, '$2 != $3' | wc -l)
grep -qE "^      value: $(awk "BEGIN {printf \"%.4f\", 1 - $errors / 24}")\$" "$out/README.md" || fail "README.md: accuracy"
grep -q '^license: other$' "$out/README.md" || fail "README.md: licence"
grep -q 'float32 (batch, 3, 32, 32)' "$out/README.md" || fail "README.md: shape"
if command -v python3 > /dev/null; then # its blocks are Python, its head and config.json can be read
    python3 - "$out" > "$scratch/err" 2>&1 << 'EOF' || fail "the exported texts"
import json, re, sys
text = open(sys.argv[1] + "/README.md", encoding="utf-8").read()
assert text.startswith("---\n") and text.count("\n---\n") == 1
blocks = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
assert len(blocks) == 3
for block in blocks:
    compile(block, "README.md", "exec")
config = json.load(open(sys.argv[1] + "/config.json", encoding="utf-8"))
statement = json.load(open(sys.argv[1] + "/model.intoto.json", encoding="utf-8"))
assert {s["name"]: s["digest"]["sha256"] for s in statement["subject"]} == {n: config["files"][n] for n in ("model.safetensors", "model.onnx")}
build = statement["predicate"]["buildDefinition"]
assert build["externalParameters"]["train.size"] == "32" and "exec.threads" not in build["externalParameters"]
assert {"manifest.jsonl", "index.json"} <= {d["name"] for d in build["resolvedDependencies"]}
assert len(config["classes"]) == 8 and config["size"] == 32 and len(config["mean"]) == 3
EOF
fi
# An equal run has equal bytes, whatever it is called and wherever it goes; another has others (the control).
train_run again $tiny
exports again --export "$scratch/twice"
diff -r "$out" "$scratch/twice" || fail "--export: equal runs differ"
# One file with the weights in it: equal bytes of equal runs; an older file of that name is replaced, a folder is not.
echo old > "$scratch/one.onnx"
exports first --export "$scratch/one.onnx"
exports again --export "$scratch/two.onnx"
cmp "$scratch/one.onnx" "$scratch/two.onnx" || fail "--export FILE.onnx: equal runs differ"
grep -qF "$(sha256sum < "$scratch/two.onnx" | cut -d' ' -f1)" "$scratch/out" || fail "--export FILE.onnx: no hash"
[ "$(wc -c < "$scratch/one.onnx")" -gt 1200000 ] || fail "--export FILE.onnx: $(ls -l "$scratch/one.onnx")"
exports seed43 --export "$scratch/one.onnx"
cmp -s "$scratch/one.onnx" "$scratch/two.onnx" && fail "--export FILE.onnx: two runs are one"
(ulimit -f 1000 && no_export "cannot write " seed43 --export "$scratch/two.onnx") || exit 1
cmp -s "$scratch/one.onnx" "$scratch/two.onnx" && fail "a full disk: two.onnx is written"
mkdir "$scratch/folder.onnx"
no_export "folder.onnx" first --export "$scratch/folder.onnx"
no_export "--export FILE.onnx goes without --split" first --export "$scratch/one.onnx" --split test
no_export "--sign goes with --export DIR" first --export "$scratch/one.onnx" --sign "$0"
rm "$scratch/one.onnx" "$scratch/two.onnx"
# What an export wrote is replaced, hidden files stay; what somebody else wrote is not touched.
touch "$out/.gitattributes"
exports seed43 --export "$out"
cmp -s "$out/model.onnx" "$scratch/twice/model.onnx" && fail "--export: two runs are one"
[ -f "$out/.gitattributes" ] || fail "--export: removed a hidden file"
exports first --best --export "$out"
cmp "$out/model.safetensors" "$results/first/checkpoints/best.safetensors" || fail "--export --best"
# A signature: OpenSSL accepts the signed text, and no other; a later export without a key takes it away.
if command -v openssl > /dev/null && command -v python3 > /dev/null; then
    openssl ecparam -name prime256v1 -genkey -noout -out "$scratch/key.pem" 2> "$scratch/err" || fail "openssl"
    openssl ec -in "$scratch/key.pem" -pubout -out "$scratch/public.pem" 2> "$scratch/err" || fail "openssl"
    exports first --export "$out" --sign "$scratch/key.pem"
    python3 - "$out" "$scratch" > "$scratch/err" 2>&1 << 'EOF' || fail "model.sig"
import base64, hashlib, json, os, sys
out, scratch = sys.argv[1:]
bundle = json.load(open(out + "/model.sig"))
payload = base64.b64decode(bundle["dsseEnvelope"]["payload"], validate=True)
kind = bundle["dsseEnvelope"]["payloadType"].encode()
open(scratch + "/signed", "wb").write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
open(scratch + "/other", "wb").write(b"DSSEv1 %d %s %d %s " % (len(kind), kind, len(payload), payload))
open(scratch + "/signature", "wb").write(base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"], validate=True))
listed = {r["name"]: r["digest"] for r in json.loads(payload)["predicate"]["resources"]}
there = [n for n in os.listdir(out) if n[0] != "." and n != "model.sig"]
assert list(listed) == sorted(there), (listed, there)
for name in there:
    assert listed[name] == hashlib.sha256(open(f"{out}/{name}", "rb").read()).hexdigest(), name
digests = b"".join(bytes.fromhex(d) for d in listed.values())
assert json.loads(payload)["subject"][0]["digest"]["sha256"] == hashlib.sha256(digests).hexdigest()
public = open(scratch + "/public.pem", "rb").read()
assert bundle["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(public).hexdigest()
EOF
    openssl dgst -sha256 -verify "$scratch/public.pem" -signature "$scratch/signature" "$scratch/signed" > "$scratch/err" 2>&1 ||
        fail "model.sig: OpenSSL does not accept it"
    openssl dgst -sha256 -verify "$scratch/public.pem" -signature "$scratch/signature" "$scratch/other" > "$scratch/err" 2>&1 &&
        fail "model.sig: OpenSSL accepts another text"
    no_export "run.json: expected the private key" first --export "$out" --sign "$results/first/run.json"
    no_export "expected the private key" first --export "$out" --sign "$scratch/public.pem"
    cp "$out/model.sig" "$scratch/model.sig"
    sed -i 's/"keyid"/"keyic"/; s/"payload": "../"payload": "/' "$out/model.sig"
    no_export "model.sig is there, and it is not as an export wrote it" first --export "$out"
    cp "$scratch/model.sig" "$out/model.sig"
    exports first --best --export "$out"
    [ ! -e "$out/model.sig" ] || fail "a signature of other files stays"
fi
echo mine >> "$out/README.md"
no_export "$out: README.md is there, and it is not as an export wrote it" first --export "$out"
touch "$scratch/twice/notes.txt"
no_export "notes.txt is there, and no export wrote it" first --export "$scratch/twice"
no_export "is a file; expected a folder" first --export "$0"
no_export "--export goes without --set and --tta" first --export "$out" --tta
cp -r "$results/first" "$results/bare"
rm "$results"/bare/checkpoints/*
rm "$out"/README.md "$out"/config.json "$out"/model.*
no_export 'bare/checkpoints/last.json: the run has no checkpoint "last" yet' bare --export "$out"
cp -r "$results/first/checkpoints/." "$results/bare/checkpoints"
flip_byte "$results/bare/checkpoints/last.safetensors" 30000000
no_export "the file was changed or damaged" bare --export "$out"
rm "$results/bare/predictions.h5"
no_export "has no predictions.h5" bare --export "$out"
rm -rf "$results/bare" "$out" "$scratch/twice"
# MLflow's file store: a run that is there is not touched, an experiment that is there is used.
out=$scratch/store
exports first --export mlflow "$out"
stored=$(cat "$scratch/out")
[ "$(cat "$stored/params/train.size")" = 32 ] || fail "mlflow: train.size: $(cat "$stored/params/train.size")"
[ "$(cut -d' ' -f2,3 "$stored/metrics/error_rate" | head -n 1)" = \
    "$(sed -n '1s/.*"error_rate": \([0-9.]*\),.*/\1/p' "$results/first/metrics.jsonl") 0" ] || fail "mlflow: error_rate: $(cat "$stored/metrics/error_rate")"
[ "$(wc -l < "$stored/metrics/valid_loss")" = "$(wc -l < "$results/first/metrics.jsonl")" ] || fail "mlflow: epochs"
cmp -s "$stored/artifacts/predictions.csv" "$results/first/predictions.csv" || fail "mlflow: artifacts"
grep -qx 'status: 3' "$stored/meta.yaml" && grep -qx 'name: "demo"' "$(dirname "$stored")/meta.yaml" || fail "mlflow: meta.yaml"
no_export "first is in this store already" first --export mlflow "$out"
mv "$(dirname "$stored")" "$out/7" # somebody's experiment of that name has another number
exports again --export mlflow "$out"
grep -q "^$out/7/" "$scratch/out" || fail "mlflow: a second experiment of one name: $(cat "$scratch/out")"
no_export "--sign goes with --export DIR" first --export mlflow "$out" --sign "$0"
rm -rf "$results/again" "$out"

# The data: a picture, a manifest and a shard that are not what they were. Pictures that were not fetched.
cp -r "$data" "$scratch/pictures"
echo >> "$scratch/pictures/demo/tree/images/$(basename "$one")"
$BIN/eval --data "$scratch/pictures" --results "$results" first --verify > "$scratch/out" 2> "$scratch/err" &&
    fail "--verify: a changed picture, not found"
grep -Eq "^pictures +FAILED .*changed images/$(basename "$one")" "$scratch/out" || fail "--verify: $(cat "$scratch/out")"
rm -r "$scratch/pictures/demo/tree"
$BIN/eval --data "$scratch/pictures" --results "$results" first --verify > "$scratch/out" 2> "$scratch/err" ||
    fail "--verify: without pictures: $(cat "$scratch/out")"
grep -Eq "^pictures +not checked " "$scratch/out" || fail "--verify: $(cat "$scratch/out")"
$BIN/prep --data "$scratch/pictures" -q demo "root=$data/demo/tree" > "$scratch/out" 2>&1 || fail "prep root="
$BIN/train --data "$scratch/pictures" --results "$results" -q $tiny --name own > "$scratch/out" 2>&1 || fail "train on root="
$BIN/eval --data "$scratch/pictures" --results "$results" own --verify > "$scratch/out" 2> "$scratch/err" ||
    fail "--verify: pictures of one's own: $(cat "$scratch/out")"
grep -Eq "^pictures +not checked .*not fetched" "$scratch/out" || fail "--verify: $(cat "$scratch/out")"
rm -rf "$results/own"
mkdir -p "$scratch/data/demo"
cp -r "$data"/demo/shards-* "$data/demo/manifest.jsonl" "$scratch/data/demo/"
printf 'x' >> "$scratch/data/demo/manifest.jsonl"
shard=$(ls "$scratch"/data/demo/shards-*/*.h5 | head -n 1)
flip_byte "$shard" 200000
$BIN/eval --data "$scratch/data" --results "$results" first --verify > "$scratch/out" 2> "$scratch/err" &&
    fail "--verify: changed data, not found"
for link in shards manifest; do
    grep -Eq "^$link +FAILED " "$scratch/out" || fail "--verify: $link: $(cat "$scratch/out")"
done
exit 0
