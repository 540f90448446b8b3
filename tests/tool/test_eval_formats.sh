# test_eval_formats.sh - --predict on pictures of every format: equal pixels, equal answers; label, probability
# and the five best. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh"
demo_set
demo_split "$scratch/split.csv" 2 1
train_run run --exp smoke data.split=csv data.split_csv="$scratch/split.csv" train.batch=8 model.arch=resnet20 train.phases.0.freeze_epochs=1
mkdir "$scratch/forms"
"$BIN/test_decode" --write "$scratch/forms" || fail "test_decode --write"
cd "$scratch/forms" || exit 1
cp "$(ls "$data"/demo/tree/images/*.jpg | head -n 1)" form.jpg
odd="Abyssinian_34.jpg Abyssinian_5.jpg Egyptian_Mau_138.jpg" # a GIF, a PNG with alpha, bytes behind the end
[ ! -f "$archive" ] || tar -xzf "$archive" --strip-components=2 \
    $(for file in $odd; do echo oxford-iiit-pet/images/$file; done) || fail "the odd files"

predict() { # ARGS...
    "$BIN/eval" --results "$results" run "$@" > "$scratch/out" 2> "$scratch/err" || fail "$*: $(cat "$scratch/err")"
}
predict --csv --predict form.ppm form.png form.webp form.jpg
[ "$(sed -n 2,4p "$scratch/out" | cut -d, -f2- | sort -u | wc -l)" = 1 ] || fail "one picture, three answers: $(cat "$scratch/out")"
[ "$(sed -n 2p "$scratch/out" | cut -d, -f3)" != "$(sed -n 5p "$scratch/out" | cut -d, -f3)" ] ||
    fail "the control: another picture, the same answer"

# A wrong ending does not matter, the order is that of the command line.
cp form.webp wrong.png
predict --csv --predict wrong.png form.jpg form.webp
[ "$(cut -d, -f1 "$scratch/out" | tr '\n' ' ')" = "file wrong.png form.jpg form.webp " ] || fail "order: $(cat "$scratch/out")"
[ "$(sed -n 2p "$scratch/out" | cut -d, -f2-)" = "$(sed -n 4p "$scratch/out" | cut -d, -f2-)" ] || fail "sniffing"

# --json: the label is the first of the five best, which fall and are probabilities.
predict --json --predict *.jpg
awk -v files="$(ls *.jpg | wc -l)" '
    /"file"/ { n++; k = 0 }
    /"label"/ { gsub(/[",]/, ""); label = $2; if (k == 0) first = label; if (k == 1 && label != first) bad = 1; k++ }
    /"probability"/ { gsub(/,/, ""); p = $2; if (!(p > 0 && p <= 1)) bad = 2
                      if (k == 1) top = p; if (k == 2 && p != top) bad = 3; if (k > 2 && p > last) bad = 4; last = p; sum += k > 1 ? p : 0 }
    /^  }/ { if (k != 6) bad = 5; if (sum > 1.00001) bad = 6; sum = 0 }
    END { if (n != files) bad = 7; exit bad }' "$scratch/out" || fail "--json, rule $?: $(head -n 30 "$scratch/out")"
# --report: a page with the pictures that could be read, in the order of the command line; FILE, or beside the run's own.
"$BIN/eval" --results "$results" run --predict form.jpg gone.jpg form.png --report > "$scratch/out" 2> "$scratch/err"
[ $? = 1 ] && grep -q "1 of 3 files" "$scratch/err" || fail "--predict --report of a missing file: $(cat "$scratch/err")"
[ "$(cat "$scratch/out")" = "$results/run/predicted.html" ] || fail "--predict --report: $(cat "$scratch/out")"
# A page that cannot be written is told before any picture is read.
"$BIN/eval" --results "$results" run --predict gone.jpg --report=nowhere/x.html > "$scratch/out" 2> "$scratch/err"
[ $? = 1 ] && grep -q "cannot write nowhere/x.html: No such file" "$scratch/err" && ! grep -q gone.jpg "$scratch/err" ||
    fail "--report in no folder: $(cat "$scratch/err")"
page=$results/run/predicted.html
[ "$(grep -c '<figure class="picture"><div><img ' "$page")" = 2 ] || fail "--predict --report: other pictures than two"
grep -q "1 file could not be read" "$page" || fail "--predict --report: the missing file is not told"
predict --csv --predict form.jpg
grep -qF "<td>form.jpg</td><td>$(sed -n 2p "$scratch/out" | cut -d, -f2)</td>" "$page" || fail "--predict --report: another label"
predict --predict form.jpg --top=all --report "$scratch/own.html"
[ "$(cat "$scratch/out")" = "$scratch/own.html" ] || fail "--report FILE: $(cat "$scratch/out")"
"$BIN/eval" "$results/run/checkpoints/last.safetensors" --predict form.jpg --report > "$scratch/out" 2>&1
[ $? = 2 ] && grep -q "report=FILE.html" "$scratch/out" || fail "--report of a checkpoint's file: $(cat "$scratch/out")"
cp form.jpg 'Übung 日本 🐈.jpg' # the second bytes of these characters alone would be control characters
predict --json --predict 'Übung 日本 🐈.jpg'
grep -Fq '"file": "Übung 日本 🐈.jpg"' "$scratch/out" || fail "--json of UTF-8: $(cat "$scratch/out")"
rm 'Übung 日本 🐈.jpg'
predict --predict form.jpg
grep -Eq '^file +label +probability +next$' "$scratch/out" || fail "text: $(cat "$scratch/out")"

# Pictures are turned as those of the set were: with decode.exif apply, what training predicted for a file of it.
mkdir "$scratch/turned"
demo=$data/demo/tree/images like=
for file in "$demo"/*.jpg; do # an APP1 segment that says orientation 6, behind the first marker
    {
        printf '\xff\xd8\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00'
        printf '\x00\x00\x00\x00'
        tail -c +3 "$file"
    } > "$scratch/turned/$(basename "$file")"
done
cat > "$scratch/turned.yaml" <<YAML
# Are pictures turned?
root: $scratch/turned
label: {from: regex, regex: '^(.+)_[0-9]+\.'}
presize: {size: 64}
decode: {exif: apply}
YAML
export PRESIZE_DATA=$scratch/sets
"$BIN/prep" "$scratch/turned.yaml" > "$scratch/out" 2>&1 || fail "prep turned: $(cat "$scratch/out")"
data=$scratch/sets
(cd "$scratch/turned" && ls) | few 4 2 > "$scratch/turned.csv"
cd "$SOURCE" || exit 1
train_run turned --exp smoke data.set=turned data.size=64 data.split=csv data.split_csv="$scratch/turned.csv" train.size=32 train.batch=8 train.phases.0.freeze_epochs=1
file=$(sed -n 2p "$results/turned/predictions.csv" | cut -d, -f1)
said=$(sed -n 2p "$results/turned/predictions.csv" | cut -d, -f5)
for from in "$scratch/turned" "$demo"; do # the second: the control, the same pixels as they lie
    "$BIN/eval" --results "$results" turned --csv --predict "$from/$file" > "$scratch/out" 2> "$scratch/err" ||
        fail "--predict $from/$file: $(cat "$scratch/err")"
    awk -F, -v p="$said" 'NR == 2 { d = $3 - p; exit !(d * d < 1e-12) }' "$scratch/out" && like="$like $from"
done
[ "$like" = " $scratch/turned" ] || fail "turned like the set's, $said: $like"
# as an older program wrote it, without a hash of itself
sed -i 's/"exif": "apply"/"exif": "sideways"/; s/^  "version": 3/  "version": 2/; /^  "sha256": /d' "$results/turned/checkpoints/last.json"
sed -i -z 's/},\n}/}\n}/' "$results/turned/checkpoints/last.json"
"$BIN/eval" --results "$results" turned --predict "$scratch/turned/$file" > "$scratch/out" 2> "$scratch/err" &&
    fail "a checkpoint that turns pictures sideways predicts"
grep -qF 'last.json: "exif": expected apply or ignore' "$scratch/err" || fail "sideways: $(cat "$scratch/err")"
exit 0
