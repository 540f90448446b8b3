# test_old_runs.sh - runs that version 0.1.0 made: they verify, are shown, compared with runs of today, and
# resumed; also under the keys of a version to come. Controls: keys without their history.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
gzip -dc "$SOURCE/tests/data/presize-0.1.0.tar.gz.gz" | gzip -dc | tar xf - -C "$scratch" || fail "unpacking"
cd "$scratch" || exit 1
data=data
results=results
# One file under four names.
"$BIN/drawn_weights" results/done results/done/checkpoints/last.safetensors || fail "drawn_weights"

# evaluate STATUS ARGS...: eval, or what $EVAL names
EVAL=eval
evaluate() {
    local status=$1 got
    shift
    "$BIN/$EVAL" --data data --results results "$@" > out 2> err
    got=$?
    [ $got = "$status" ] || fail "$EVAL $*: status $got, expected $status: $(cat out)"
    [ "$(grep -c 'does not know: ' err)" = "$unknown" ] || fail "$EVAL $*: unknown members, not $unknown: $(cat err)"
}
unknown=0 # lines on stderr that name unknown members of records
shows() { # TEXT...: each is a line's part in what was printed, blanks counting as one
    local text
    for text in "$@"; do
        tr -s ' ' < out | grep -qF -e "$text" || fail "expected \"$text\" in: $(cat out)"
    done
}
lacks() { # TEXT
    ! grep -qF -e "$1" out || fail "did not expect \"$1\" in: $(cat out)"
}
whole() { # RUN: --verify finds nothing wrong
    evaluate 0 "$1" --verify
    lacks FAILED
}
copy() { # FROM TO
    rm -rf "results/$2"
    cp -r "results/$1" "results/$2"
}
# Convolutions of 0.1.0 were oneDNN's: what a build without oneDNN says where a run is resumed with them.
has_onednn() {
    ldd "$BIN/train" | grep -q libdnnl
}
without="exec.conv=onednn: this build has no oneDNN; a new run can do with exec.conv=own"
fact() { # RUN NAME NUMBER: sets the number NAME of its run.json
    sed -i -e "/^  \"$2\": /d" -e "1a\\  \"$2\": $3," "results/$1/run.json"
}

# As it was.
whole done
[ "$(grep -c " ok " out)" = 20 ] || fail "--verify: $(cat out)"
shows "version 1 of the keys" "drawn again from the seed" "2 could not"
whole stopped
evaluate 0 done
shows "results/done (done, 1 epoch in" "resnet18, weights none, fp32" "0.2000 (1 of 5," "32 px, seed 42"
evaluate 0 --list
shows "done done 2026-11-28T08:57:15" "stopped stopped 2026-11-28"
evaluate 0 done --split test
shows "test pictures of few"

# Against runs of today: of the same file, and of the record itself.
train_run today --exp results/done/experiment.yaml
whole today
version=$(sed -n 's/^version: //p' results/today/resolved.yaml)
[ "$version" -ge 2 ] || fail "no version: $(head -n 1 results/today/resolved.yaml)"
grep -q "winograd" results/today/resolved.yaml && fail "a retired key is recorded"
now=$(sed -n 's/^  "arithmetic": \([0-9]*\).*/\1/p' results/today/run.json)
[ -n "$now" ] || fail "no arithmetic in run.json"
evaluate 0 --compare done today
shows "exec.conv onednn own"
for key in winograd layout max_isa exec.isa version; do
    lacks "$key"
done
if has_onednn; then
    train_run again --exp results/done/resolved.yaml
    whole again
    grep -q " conv: onednn" results/again/resolved.yaml || fail "not what the older record implies"
    fact again arithmetic 1
    evaluate 0 --compare done again
    shows "no key differs"
    fact again arithmetic 2
    evaluate 0 --compare done again
    shows "the runs differ in arithmetic" "arithmetic 1 2"
    evaluate 0 --compare done again --json
    shows '"arithmetic": {'
    rm -r results/again
else
    refused 1 "$without" --exp results/done/resolved.yaml
    train_run again --exp results/done/resolved.yaml exec.conv=own
    whole again
    rm -r results/again
fi

# A retired key in an older record counts in its hash, is shown, and is not taken over without a word.
copy done off
sed -i 's/winograd: auto/winograd: off/' results/off/resolved.yaml
evaluate 1 off --verify
shows "configuration FAILED"
evaluate 0 --compare done off
shows "exec.winograd off"
refused 1 "exec.winograd: this key was retired; leave it out" --exp results/off/resolved.yaml
refused 2 "command line: exec.max_isa: this key was retired; set exec.isa" --exp results/done/experiment.yaml exec.max_isa=AVX2
rm -r results/off

# --resume: under the arithmetic that the run began with only.
copy stopped resumed
fact resumed arithmetic 99
refused 1 "begun with arithmetic 99 and this presize computes with arithmetic $now" --resume resumed
grep -qF "train --exp results/resumed/resolved.yaml" err || fail "no way out: $(cat err)"
copy stopped resumed
[ "$now" = 1 ] || refused 1 "begun with arithmetic 1 and" --resume resumed
fact resumed arithmetic "$now"
refused 2 "keeps the experiment" --resume resumed exec.conv=own
refused 2 "exec.winograd: this key was retired" --resume resumed exec.winograd=off
if has_onednn; then
    refused 1 "done; nothing is left to resume" --resume done
    "$BIN/train" --data data --results results --resume resumed exec.threads=2 exec.conv=onednn > out 2> err || fail "--resume"
    [ "$(wc -l < results/resumed/metrics.jsonl)" = 2 ] || fail "--resume: $(cat results/resumed/metrics.jsonl)"
    whole resumed
    evaluate 0 --compare done resumed
else
    refused 1 "$without" --resume resumed exec.threads=2 exec.conv=onednn
    whole resumed
fi
rm -r results/resumed

# A version to come, with a key more and a key less.
export PLANTED=later
EVAL=planted_eval
for run in done stopped today; do
    whole $run
done
"$BIN/planted_train" -q --data data --results results --name later --exp results/done/experiment.yaml > out 2> err ||
    fail "planted_train"
grep -qx "version: $((version + 1))" results/later/resolved.yaml || fail "no version: $(head -n 1 results/later/resolved.yaml)"
whole later
evaluate 0 done
evaluate 0 --list
evaluate 0 --compare done today later
shows "exec.later no no yes" "exec.conv onednn own own"
lacks exec.device
"$BIN/planted_train" -q --data data --results results --exp results/done/experiment.yaml exec.device=1 > out 2> err &&
    fail "a retired key is taken"
grep -qF "exec.device: this key was retired; plant another" err || fail "$(cat err)"
copy stopped resumed
fact resumed arithmetic "$now"
if has_onednn; then
    "$BIN/planted_train" -q --data data --results results --resume resumed > out 2> err || fail "--resume under later keys"
else
    "$BIN/planted_train" -q --data data --results results --resume resumed > out 2> err && fail "resumed without oneDNN"
    grep -qF "$without" err || fail "$(cat err)"
fi
whole resumed

# Today's program on a run of a newer one: what can be shown is shown, what cannot be read is said.
EVAL=eval
evaluate 0 later
grep -qF "version: $((version + 1)): this presize reads versions 1 to $version of the keys; a newer one wrote this" err || fail "$(cat err)"
shows "resnet18, weights none, fp32"
evaluate 0 --compare today later
evaluate 1 later --verify
shows "configuration FAILED"

# Members of records that a newer program wrote are named once, and all else is as it was; files of today and of 0.1.0
# have none (`unknown` above).
evaluate 0 done
mv out shown
for run in newer newest; do
    copy done $run
    sed -i -e '1a\  "colour": "red",' -e 's/"machine": {/&\n    "gpu": 1,/' -e 's/"presize": ".*"/"presize": "9.9"/' results/$run/run.json
    sed -i '1a\  "carbon": 1.5,' results/$run/scores/few/test/score.json
done
unknown=2 # run.json and score.json
evaluate 0 newer
sed 's/newer/done/g' out | diff shown - || fail "another page of the run"
known=$("$BIN/eval" --version | sed -n '1s/.*) //p')
grep -qF "results/newer/run.json has 2 members that presize $known does not know: machine.gpu, colour; ignored here and in every other run.json (presize 9.9 wrote it)" err ||
    fail "$(cat err)"
unknown=1
evaluate 0 --list
grep -qF "results/newer/run.json has 2 members" err || fail "not the first run of the list: $(cat err)"
unknown=2
evaluate 0 newer --verify
shows "members not checked run.json: presize $known does not know machine.gpu, colour (presize 9.9 wrote it)" \
    "members not checked scores/few/test/score.json: presize $known does not know carbon (presize 9.9 wrote it)" "4 could not"
lacks FAILED
evaluate 4 newer --verify --strict
rm -r results/newer results/newest
unknown=0

# The controls: keys that were added or removed without their history.
EVAL=planted_eval
PLANTED=unmarked
evaluate 1 done --verify
shows "configuration FAILED"
PLANTED=removed
evaluate 1 done --verify
shows "configuration FAILED results/done/resolved.yaml: exec.winograd: there is no such key"
exit 0
