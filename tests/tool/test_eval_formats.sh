# test_eval_formats.sh - --predict on pictures of every format: equal pixels, equal answers; label, probability
# and the five best. SPDX-License-Identifier: MIT
. "$SOURCE/tests/tool/train_common.sh"
demo_set
demo_split "$scratch/split.csv" 2 1
train_run run --exp smoke data.split=csv data.split_csv="$scratch/split.csv" train.batch=8 train.phases.0.freeze_epochs=1
mkdir "$scratch/forms"
"$BIN/test_decode" --write "$scratch/forms" || fail "test_decode --write"
cd "$scratch/forms" || exit 1
cp "$(ls "$data"/demo/tree/images/*.jpg | head -n 1)" form.jpg
ARCHIVE=${PRESIZE_SHARED:-$SOURCE/../shared}/data/oxford-iiit-pet-mini.tgz
odd="Abyssinian_34.jpg Abyssinian_5.jpg Egyptian_Mau_138.jpg" # a GIF, a PNG with alpha, bytes behind the end
[ ! -f "$ARCHIVE" ] || tar -xzf "$ARCHIVE" --strip-components=2 \
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
predict --predict form.jpg
grep -Eq '^file +label +probability +next$' "$scratch/out" || fail "text: $(cat "$scratch/out")"
exit 0
