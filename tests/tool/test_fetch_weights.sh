#!/bin/bash
# test_fetch_weights.sh - fetch weights/NAME on .pth files made here: what is stored, hashes in names,
# each kind of bad file, downloads from 127.0.0.1, --verify; after every failure nothing is left.
# Needs BIN, SOURCE and python3. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
. "${SOURCE:?}/tests/tool/flip_byte.sh"
command -v python3 >/dev/null || skip "no python3 to make .pth files"
fetch=$BIN/fetch
stored=data/weights/resnet18.safetensors
SERVER= MOUNTED=
at_end() {
    kill $SERVER 2>/dev/null
    [ -z "$MOUNTED" ] || umount "$MOUNTED"
}
sum() { sha256sum <"$1" | cut -d ' ' -f 1; }
pth() { python3 "$SOURCE/tests/oracle/resnet_pth.py" "$@" || fail "resnet_pth.py $*"; }

# --- what is typed
refuse 2 "$fetch" weights; says "weights/resnet34"
refuse 2 "$fetch" weights/; says "--list"
refuse 2 "$fetch" weights/resnet18-v2; says "did you mean"
refuse 2 "$fetch" weights/resnet20; says "no weights for resnet20. A file of your own needs no fetch"
refuse 2 "$fetch" weights/resnt34; says 'did you mean `'; says 'fetch weights/resnet34`'
refuse 2 "$fetch" weights/resnet18 --from a --from b; says "one --from"
refuse 2 "$fetch" weights/resnet18 --from a --mirror http://127.0.0.1; says "--mirror"
refuse 2 "$fetch" weights/resnet18 --from a --verify; says "--verify"
refuse 1 "$fetch" weights/resnet18 --verify; says "is not there"
ok "$fetch" --list
for word in weights/resnet18 weights/resnet152-v2 f37072fd b627a593 0676ba61 63fe2227 394f9c45 \
    11ad3fa6 cd907fc2 f82ba261 95faca4d 7cdf4587 9ba9bcbe 1a0047aa; do
    grep -qF "$word" out || fail "--list lacks $word"
done
ok "$fetch" --help; grep -q "fetch weights/resnet34" out || fail "no weights in --help"
nothing_left data

# --- a good one
pth write good.pth resnet18
ok "$fetch" weights/resnet18 --from good.pth
prints "$stored"; says "$(sum good.pth), recorded: nothing to check it by"
pth check "$stored" resnet18 good.pth "$(sum good.pth)"
[ "$(find data -type f)" = "$stored" ] || fail "files: $(find data)"
ok "$fetch" --list; grep -q "weights/resnet18 *here" out || fail "--list does not see it"
before=$(stat -c %Y.%i "$stored")
ok "$fetch" weights/resnet18; says "complete"; prints "$stored"
ok "$fetch" weights/resnet18 --from good.pth; says "complete"
[ "$before" = "$(stat -c %Y.%i "$stored")" ] || fail "made again"
ok "$fetch" weights/resnet18 --data other --from good.pth
cmp -s "$stored" other/weights/resnet18.safetensors || fail "equal files give unequal weights"
ok "$fetch" weights/resnet18 --verify; says "as it was made"; prints "$stored"
# safetensors are taken as well, and a name prefix is taken off
ok "$fetch" weights/resnet18 --data again --from "$stored"
pth check again/weights/resnet18.safetensors resnet18 resnet18.safetensors "$(sum "$stored")"
pth write prefix.pth resnet18 prefix
refuse 1 "$fetch" weights/resnet18 --from prefix.pth; says "made from good.pth"
rm -rf again
ok "$fetch" weights/resnet18 --data again --from prefix.pth
pth check again/weights/resnet18.safetensors resnet18 prefix.pth "$(sum prefix.pth)"
rm -rf again other
pth write counters.pth resnet18 counters
ok "$fetch" weights/resnet18 --data again --from counters.pth
ok "$fetch" weights/resnet18 --data again --verify
grep -q num_batches_tracked again/weights/resnet18.safetensors && fail "a converted counter is kept"
rm -rf again

# --- damage is found
cp "$stored" sound.safetensors
flip_byte "$stored" 20000000
ok "$fetch" weights/resnet18 # names and shapes only
refuse 5 "$fetch" weights/resnet18 --verify; prints "changed resnet18.safetensors"
truncate -s 1000000 "$stored"
refuse 1 "$fetch" weights/resnet18; says "fetch weights/resnet18 again"
# --repair makes what is damaged again
ok "$fetch" weights/resnet18 --repair --from good.pth; says "is damaged and is rebuilt"
says "nothing tells whether the new weights"
cmp -s "$stored" sound.safetensors || fail "--repair gives other weights"
flip_byte "$stored" 20000000
cp "$stored" spoilt.safetensors # and only from the file that it was made from
refuse 1 "$fetch" weights/resnet18 --repair; says "was made from good.pth (SHA-256 $(sum good.pth))"
refuse 5 "$fetch" weights/resnet18 --repair --from prefix.pth; says "was made from good.pth"
says "$(sum prefix.pth)"
cmp -s "$stored" spoilt.safetensors || fail "a refused --repair changed something"
ok "$fetch" weights/resnet18 --repair --from good.pth; says "is damaged and is rebuilt"
cmp -s "$stored" sound.safetensors || fail "--repair of a number gives other weights"
ok "$fetch" weights/resnet18 --repair; says "nothing to repair"
rm "$stored"
refuse 1 "$fetch" weights/resnet18 --repair; says "is not there"
pth write big.pth resnet34
ok "$fetch" weights/resnet34 --from big.pth
mv data/weights/resnet34.safetensors "$stored"
refuse 1 "$fetch" weights/resnet18; says "holds resnet34, not resnet18"
rm -rf data

# --- hashes: in the name, asked for, torchvision's
digits=$(sum good.pth | cut -c 1-8)
cp good.pth "mine-$digits.pth"
ok "$fetch" weights/resnet18 --from "mine-$digits.pth"; says "begins as its name says"
rm -rf data
ok "$fetch" weights/resnet18 --from good.pth --sha256 "$(sum good.pth)"; says "as asked for"
rm -rf data
cp good.pth resnet18-f37072fd.pth
refuse 5 "$fetch" weights/resnet18 --from resnet18-f37072fd.pth
says "should begin with f37072fd"; nothing_left data
refuse 5 "$fetch" weights/resnet18 --from good.pth --sha256 "$(sum big.pth)"; says "expected"
nothing_left data

# --- bad files: what is wrong is said, and nothing stays
for fault in evil lying missing extra misshapen; do pth write $fault.pth resnet18 $fault; done
pth write deep.pth resnet50
head -c 5000000 good.pth >truncated.pth
head -c 100 good.pth >short.pth
echo "no weights at all" >text.pth
: >empty.pth
for case in evil:system lying:"storage 0: 1000 bytes" missing:"missing layer3.1.bn2.running_var" \
    extra:"extra layer4.1.se.weight" big:"it looks like resnet34" deep:"it looks like resnet50" \
    misshapen:"layer2.0.conv1.weight (128x64x1x1, expected 128x64x3x3)" truncated:incomplete \
    short:"a .pth of torch.save" text:"a .pth of torch.save" empty:"a .pth of torch.save"; do
    refuse 1 "$fetch" weights/resnet18 --from "${case%%:*}.pth"
    says "${case%%:*}.pth"; says "${case#*:}"; nothing_left data
done
[ -e must-never-run ] && fail "a .pth was run"

# --- networks with the blocks of resnet50 that are wider, or have groups
pth write wide.pth wide_resnet50_2
refuse 1 "$fetch" weights/resnet50 --from wide.pth; says "it looks like wide_resnet50_2"
pth write groups.pth resnext50_32x4d
refuse 1 "$fetch" weights/wide_resnet50_2 --from groups.pth; says "it looks like resnext50_32x4d"
ok "$fetch" weights/resnext50_32x4d --from groups.pth
pth check data/weights/resnext50_32x4d.safetensors resnext50_32x4d groups.pth "$(sum groups.pth)"
rm -r data wide.pth groups.pth

# --- a checkpoint as PyTorch's ImageNet example writes it (all forms: test_tensorfile), and one of fastai
pth write imagenet.pth resnet18 imagenet
ok "$fetch" weights/resnet18 --from imagenet.pth
pth check "$stored" resnet18 imagenet.pth "$(sum imagenet.pth)"
rm -rf data imagenet.pth
pth write swav.pth resnet18 swav
ok "$fetch" weights/resnet18 --from swav.pth
says "2 tensors of no ResNet are left out: projection_head.0.weight; prototypes.weight"
rm -rf data swav.pth
# --- several networks in a file: named; one is chosen
pth write ema.pth resnet18 ema
ok "$fetch" weights/resnet18 --from ema.pth
says "holds 2 networks"; says "--weights-key=NAME takes another"
pth check "$stored" resnet18 ema.pth "$(sum ema.pth)"
first=$(sum "$stored")
refuse 1 "$fetch" weights/resnet18 --from ema.pth --weights-key state_dict_ema
says "without --weights-key"
rm -rf data
ok "$fetch" weights/resnet18 --from ema.pth --weights-key state_dict_ema
[ "$(sum "$stored")" != "$first" ] || fail "--weights-key is not heeded"
grep -aq '"weights_key": *"state_dict_ema"' "$stored" || fail "the file does not say which network it is"
ok "$fetch" weights/resnet18 --from ema.pth --weights-key state_dict_ema
says "nothing to do"
ok "$fetch" weights/resnet18 --verify
cp "$stored" sound.safetensors && flip_byte "$stored" 20000000
refuse 5 "$fetch" weights/resnet18 --repair --from ema.pth --weights-key state_dict; says "state_dict_ema, not with"
ok "$fetch" weights/resnet18 --repair --from ema.pth # the same network of it
cmp -s "$stored" sound.safetensors || fail "--repair took another network"
rm -rf data
refuse 1 "$fetch" weights/resnet18 --from ema.pth --weights-key nothing
says "--weights-key=nothing: there is no such network in it"; nothing_left data
refuse 2 "$fetch" weights/resnet18 --weights-key x
refuse 2 "$fetch" demo --weights-key x
rm ema.pth
# --- files that are no weights: the message says what they are
pth write unfinite.pth resnet18 unfinite
pth write export.pkl resnet18 export
gzip -c short.pth >short.pth.gz
printf '\10\11\22\7pytorch\32\0052.2.0' >model.onnx
printf '<!DOCTYPE html><html>404' >page.pth
printf 'version https://git-lfs.github.com/spec/v1' >pointer.safetensors
python3 - <<'PY'
import zipfile
for name, entry in (("script", "m/code/m.py"), ("program", "m/serialized_exported_program.json"), ("arrays", "a.npy")):
    with zipfile.ZipFile(name + ".zip", "w") as z:
        z.writestr(entry, b"x")
PY
for case in unfinite.pth:"has NaN at number" export.pkl:"a fastai export" short.pth.gz:"compressed by gzip" \
    model.onnx:"an ONNX model" page.pth:"a web page" pointer.safetensors:"a pointer of Git LFS" \
    script.zip:"a TorchScript program" program.zip:"an exported program" arrays.zip:"NumPy's arrays"; do
    refuse 1 "$fetch" weights/resnet18 --from "${case%%:*}"
    says "${case%%:*}"; says "${case#*:}"; nothing_left data
done
refuse 1 "$fetch" weights/resnet50-v2 --from good.pth; says "it looks like resnet18"
refuse 1 "$fetch" weights/resnet18 --from none.pth; says "none.pth"
refuse 1 "$fetch" weights/resnet18 --from "$scratch"; says "not a file"
nothing_left data
# somebody else's file is not replaced
mkdir -p data/weights
printf '\2\0\0\0\0\0\0\0{}' >"$stored"
refuse 1 "$fetch" weights/resnet18 --from good.pth; says "will not replace"
[ "$(stat -c %s "$stored")" = 10 ] || fail "it was replaced"
rm "$stored"
# what a killed process left goes
: >data/weights/.resnet18.safetensors.tmp-1
: >data/weights/.resnet34.safetensors.tmp-1
ok "$fetch" weights/resnet18 --from good.pth
[ -e data/weights/.resnet18.safetensors.tmp-1 ] && fail "a killed process's file is still there"
[ -e data/weights/.resnet34.safetensors.tmp-1 ] || fail "another's file is gone"
rm -rf data

# --- one process at a time
mkdir data
exec 9>data/.weights-resnet18.lock
flock -n 9 || fail "cannot lock"
refuse 8 "$fetch" weights/resnet18 --from good.pth; says "another fetch"
exec 9>&-
rm -rf data

# --- downloads
mkdir served
cp good.pth "served/mine-$digits.pth"
cp good.pth served/plain.pth
cp good.pth served/resnet18-f37072fd.pth
cp text.pth served/text.pth
timeout 120 python3 - >port <<'PY' &
import functools, http.server
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a):
        pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(H, directory="served"))
print(s.server_address[1], flush=True)
s.serve_forever()
PY
SERVER=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
at=http://127.0.0.1:$(cat port)
kept=resnet18-mine-$digits.pth
ok "$fetch" weights/resnet18 --from "$at/mine-$digits.pth"; says "begins as its name says"
pth check "$stored" resnet18 "$kept" "$(sum good.pth)"
cmp -s good.pth "data/archives/$kept" || fail "the download is not kept"
ok "$fetch" weights/resnet18 --verify
flip_byte "data/archives/$kept" 50
refuse 5 "$fetch" weights/resnet18 --verify; prints "archive $kept"
rm -rf data
ok "$fetch" weights/resnet18 --from "$at/plain.pth"; says "plain http"; says "nothing to check it by"
rm -rf data
refuse 1 "$fetch" weights/resnet18 --from "$at/text.pth"; nothing_left data
refuse 4 "$fetch" weights/resnet18 --from "$at/none.pth"; says 404; nothing_left data
# the published file from another place: the hash stays the judge
refuse 5 "$fetch" weights/resnet18 --mirror "$at"; says "should begin with f37072fd"; nothing_left data
refuse 4 "$fetch" weights/resnet34 --mirror "$at"; says "resnet34-b627a593.pth"; nothing_left data
mkdir -p data/archives
echo damaged >data/archives/resnet18-f37072fd.pth
refuse 5 "$fetch" weights/resnet18 --mirror "$at"; says "is damaged: it is downloaded again"
nothing_left data

# --- a full disk
mkdir tiny
if mount -t tmpfs -o size=8m none tiny 2>/dev/null; then
    MOUNTED=$scratch/tiny
    refuse 6 "$fetch" weights/resnet18 --data tiny --from good.pth
    [ -z "$(ls -A tiny)" ] || fail "left on the full disk: $(find tiny)"
fi
