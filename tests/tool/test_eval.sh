# test_eval.sh - eval on made-up runs: what is printed, in each form, and what is refused.
# SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"
results=$scratch/results

# evaluate STATUS ARGS...: stdout in $scratch/out, stderr in $scratch/err.
evaluate() {
    local status=$1 got
    shift
    "$BIN/eval" --results "$results" "$@" > "$scratch/out" 2> "$scratch/err"
    got=$?
    [ $got = "$status" ] || fail "eval $*: status $got, expected $status: $(cat "$scratch/out")"
    if [ "$status" = 0 ] || [ "$status" = 3 ]; then
        sed -i '/^eval: next: /d' "$scratch/err"
        [ -s "$scratch/err" ] && fail "eval $*: says on stderr: $(cat "$scratch/err")"
    fi
    return 0
}

# link NAME RESULT: a line of --verify
link() {
    grep -Eq "^$1 +$2 " "$scratch/out" || fail "--verify: no \"$1 $2\" in: $(cat "$scratch/out")"
}

shows() { # TEXT...: each is in what the last evaluate printed
    local text
    for text in "$@"; do
        grep -qF -e "$text" "$scratch/out" || fail "expected \"$text\" in: $(cat "$scratch/out")"
    done
}

refused() { # STATUS TEXT ARGS...
    local text=$2
    evaluate "$1" "${@:3}"
    grep -qF -e "$text" "$scratch/err" || fail "eval ${*:3}: expected \"$text\" in: $(cat "$scratch/err")"
}

make_run() { # NAME SEED WRONG [WORD [PICTURES]]
    "$BIN/test_predictions" --make "$results" "$@" || fail "test_predictions --make $*"
}

json() { # TEXT...: valid JSON that holds these
    [ "$(head -c 1 "$scratch/out")" = "{" ] || [ "$(head -c 1 "$scratch/out")" = "[" ] ||
        fail "no JSON: $(cat "$scratch/out")"
    if command -v python3 > /dev/null; then
        python3 -m json.tool "$scratch/out" > "$scratch/parsed" || fail "no JSON: $(cat "$scratch/out")"
    fi
    shows "$@"
}

refused 1 "train --exp" # no run yet
evaluate 0 --list
shows "no run"
make_run first 1 5
make_run second 2 6
make_run worse 1 25
make_run again 1 5

# The latest run, and one by name or by path.
evaluate 0
shows "$results/again  (done)" "error rate  0.0833  (5 of 60, 95 % interval 0.0361 to 0.1807)" \
    "on the validation pictures of made, random split (42)" "resnet18, weights none, fp32" "made, 3 classes" \
    "most confused:" "$results/again/report.html" "macro F1 0.91" "best temperature" "balanced accuracy 0." \
    "Matthews correlation (MCC) 0." "log loss " "Brier score 0." "calibration error (ECE) 0." "(95 % interval "
grep -q 'top-5' "$scratch/out" && fail "the top-5 accuracy of 3 classes"
evaluate 0 worse
shows "25 of 60"
evaluate 0 "$results/worse/"
shows "25 of 60"
evaluate 0 worse --json
json '"error_rate": 0.4166666666666667' '"n": 60' '"status": "done"' '"split": "random split (42)"'
evaluate 0 --list
[ "$(wc -l < "$scratch/out")" = 5 ] || fail "--list: $(cat "$scratch/out")"
tail -n 1 "$scratch/out" | grep -q '^again ' || fail "--list: the latest is not last"
evaluate 0 --list=-error_rate --csv
rates=$(sed 1d "$scratch/out" | cut -d, -f7)
[ "$(printf '%s\n' $rates)" = "$(printf '%s\n' $rates | LC_ALL=C sort -gr)" ] && [ "$(printf '%s\n' $rates | sort -u | wc -l)" -gt 1 ] ||
    fail "--list=-error_rate: $rates"
evaluate 0 --list=run=eco,error_rate --csv
[ "$(sed 1d "$scratch/out" | cut -d, -f1)" = second ] || fail "--list=run=eco: $(cat "$scratch/out")"
refused 2 "there is no column \"errorrate\"; there are: run status" --list=errorrate
evaluate 0 --list --csv
grep -q '^second,done,[^,]*,made,made,2,0.1,0.4,60,random split (42),$' "$scratch/out" || fail "--list --csv: $(cat "$scratch/out")"

evaluate 0 first --most-confused=2
[ "$(wc -l < "$scratch/out")" = 3 ] || fail "--most-confused=2: $(cat "$scratch/out")"
evaluate 0 first --most-confused --csv
[ "$(cat "$scratch/out")" = 'actual,predicted,count
"cat, ""grey""",dog,2
dog,<b>&é,2
<b>&é,"cat, ""grey""",1' ] || fail "--most-confused --csv: $(cat "$scratch/out")"
evaluate 0 first --most-confused=9
shows "no two classes"
evaluate 0 first --top-losses=2 --csv
[ "$(sed -n 2p "$scratch/out" | cut -d, -f1)" = b/picture_004.jpg ] || fail "--top-losses: $(cat "$scratch/out")"
[ "$(wc -l < "$scratch/out")" = 3 ] || fail "--top-losses=2: $(cat "$scratch/out")"

# A number behind its option is the option's, where no run has that name.
evaluate 0 first --top-losses 2 --csv
[ "$(wc -l < "$scratch/out")" = 3 ] || fail "--top-losses 2: $(cat "$scratch/out")"
evaluate 0 --most-confused 9 first
shows "no two classes"
cp -r "$results/first" "$results/9"
refused 2 "9 is a number, and a run" --most-confused 9
rm -r "$results/9"
refused 2 "--top goes with --predict" first --top 3

# Tables on a narrow screen are folded; in a file a row is a line.
long() { sed 's/[^ -~]/x/g' "$scratch/out" | awk 'length > 80' | wc -l; }
for view in "first" "--list" "--compare first second" "first --top-losses"; do
    COLUMNS=80 evaluate 0 $view
    [ "$(long)" = 0 ] || fail "eval $view is wider than 80: $(cat "$scratch/out")"
    tr -s ' \n' '\n' < "$scratch/out" | sort > "$scratch/folded"
    evaluate 0 $view
    tr -s ' \n' '\n' < "$scratch/out" | sort | cmp -s - "$scratch/folded" || fail "eval $view: folding lost a word"
done
evaluate 0 --compare first second
[ "$(long)" -gt 0 ] || fail "the control: a table that is wider than 80"

rm -f "$results"/first/plots/confusion.* "$results/first/confusion.csv"
evaluate 0 first --confusion
shows "18    2" # the matrix is small
[ "$(tail -n 1 "$scratch/out")" = "$results/first/plots/confusion.svg" ] || fail "--confusion: last line"
for file in plots/confusion.svg plots/confusion.png confusion.csv; do
    [ -s "$results/first/$file" ] || fail "--confusion: no $file"
done

rm "$results/first/report.html"
evaluate 0 --report first
[ "$(cat "$scratch/out")" = "$results/first/report.html" ] || fail "--report: $(cat "$scratch/out")"
report=$results/first/report.html
grep -q 'A made-up run &lt;script&gt;' "$report" || fail "--report: the title"
[ "$(grep -ci '<script' "$report")" = 2 ] || fail "--report: scripts beside its own and the data"
grep -Eqi '(src|href)="[^d#"]' "$report" && fail "--report: another file is asked for"
grep -q '<svg' "$report" || fail "--report: no plot"
grep -q 'This page has no pictures: the shards of' "$report" || fail "--report: shards that are gone"
grep -q 'could be checked' "$report" || fail "--report: the verdict of --verify"
# the policy names the hash of the style and of the script, so that they and nothing else run
policy=$(grep -o 'default-src .*">' "$report")
for element in style script; do
    hash=$(perl -0ne 'print $1 if m{<'"$element"'>(.*?)</'"$element"'>}s' "$report" | openssl dgst -sha256 -binary | base64)
    case $policy in
    *"$element-src 'sha256-$hash'"*) ;;
    *) fail "--report: the policy has another hash than the $element: $policy" ;;
    esac
done

# Comparing tests, and says it aloud when there is nothing to tell.
evaluate 0 --compare first second
shows "keys that differ" "seed" "second against first: not distinguishable" "by recipe" "mid-p 0.5"
evaluate 0 first second --compare worse again
shows "worse against first: worse" "again against first: identical" "20 new" "(Holm)"
evaluate 0 --compare first worse --report
[ "$(cat "$scratch/out")" = "$results/compare-first-worse.html" ] || fail "--compare --report: $(cat "$scratch/out")"
page=$results/compare-first-worse.html
for text in '<b>worse</b> <span class="bad">is worse than</span> <b>first</b>' '20 that only worse gets wrong' \
    '0 that only first gets wrong' 'This page has no pictures'; do
    grep -qF "$text" "$page" || fail "--compare --report: no \"$text\""
done
[ "$(grep -ci '<script' "$page")" = 2 ] || fail "--compare --report: scripts beside its own and the data"
evaluate 3 --compare first worse --report --fail-on-regression
refused 2 "prints a path only" --compare first worse --report --json
refused 2 "--show goes with --top-losses" first --show "$scratch/top.png"
refused 1 "the shards of made are not there" first --top-losses --show "$scratch/top.png"
refused 1 "ends in .png" first --top-losses --show "$scratch/top.gif"
evaluate 0 --compare worse first
shows "first against worse: better"
! grep -q without_leaks "$scratch/out" || fail "--compare: a column that no row fills: $(cat "$scratch/out")"
evaluate 0 --compare worse first --json
json '"verdict": "better"' '"keys"' '"against": "worse"'
evaluate 3 --compare first worse --fail-on-regression
evaluate 0 --compare first second --fail-on-regression
evaluate 0 --compare worse first --fail-on-regression
evaluate 0 --compare first worse --csv
shows "without_leaks" "worse,done,0.4166" ",against,pictures_of_both,only_first_wrong,only_this_wrong,difference,difference_low95,difference_high95,p,p_holm,verdict,reason"
[ "$(awk -F, 'NF != (NR == 1 ? 27 : 28)' "$scratch/out")" = "" ] || fail "--compare --csv: $(cat "$scratch/out")"
grep -q "^worse,.*,first,60,.*,worse,,,,,,,$" "$scratch/out" || fail "--compare --csv: $(cat "$scratch/out")"

# p is the test's own, p_holm what several tests at once make of it.
evaluate 0 --compare first worse --json
p=$(sed -n 's/.*"p": \([^,]*\),*/\1/p' "$scratch/out")
json "\"p_holm\": $p,"
evaluate 0 --compare first worse second --json
json "\"p\": $p,"
[ "$(awk -v p="$p" '/"p_holm"/ && $2 + 0 > 1.9 * p && $2 + 0 < 2.1 * p' "$scratch/out")" ] ||
    fail "--compare --json: Holm's p of two tests: $(cat "$scratch/out")"

# No disagreement is no proof of equality; other shards are a difference, whatever the keys say.
make_run alike 10 5
evaluate 0 --compare first alike
shows "95 % interval -0.0596 to +0.0596" "a difference below 0.0596"
cp -r "$results/first" "$results/moved"
sed -i 's/"index": *"[0-9a-f]*"/"index": "0123456789abcdef"/' "$results/moved/run.json"
evaluate 0 --compare first moved
shows "sha256 of the shards' index" "0123456789ab"

# Runs that cannot be tested: said, and an error where a test was asked for.
cp -r "$results/first" "$results/begun"
sed -i 's/"status": "done"/"status": "running"/' "$results/begun/run.json"
rm "$results/begun/predictions.h5"
evaluate 0 begun
shows "(killed" "with no checkpoint"
mkdir -p "$results/begun/checkpoints" && echo '{}' > "$results/begun/checkpoints/last.json"
evaluate 0 begun
shows "(killed" "train --resume begun"
refused 1 "train --resume begun" begun --most-confused
evaluate 0 --compare first begun
shows "not tested: begun has no predictions (killed)"
refused 1 "cannot be tested" --compare first begun --fail-on-regression
sed -i 's/"status": "running"/"status": "failed", "error": "batch 7: no number"/' "$results/begun/run.json"
evaluate 0 begun
shows "(failed" "batch 7: no number"
make_run other 1 5 photo
evaluate 0 --compare first other
shows "not tested: different pictures (60 and 60, 0 in common)"
sed -i 's/random split (42)/official split (7)/' "$results/other/run.json"
evaluate 0 --compare first other
shows "pictures of made, random split (42) against validation pictures of made, official split (7); error rates"

# The chain, as far as such a run has one.
evaluate 0 first --verify
link predictions ok
link shards "not checked"
shows "every link that could be checked is valid"
sed -i 's/picture_004/picture_4/' "$results/worse/predictions.csv"
evaluate 1 worse --verify
link predictions.csv FAILED
cp "$results/second/predictions.h5" "$results/again/predictions.h5"
evaluate 1 again --verify
link predictions FAILED
cp "$results/first/predictions.h5" "$results/again/predictions.h5"
evaluate 0 again --verify
rm "$results/again/predictions.h5"
evaluate 1 again --verify
link predictions FAILED

# Misuse and bad input.
refused 1 "did you mean second" secnod
refused 1 "no run.json" "$scratch"
refused 2 "one run at a time" first second
refused 2 "one at a time" first --report --list
refused 2 "whole number from 1" first --most-confused=none
refused 2 "whole number from 1" first --top-losses=0
refused 2 "two runs" --compare first
refused 2 "which pictures" first --predict
refused 2 "goes with --compare" first --fail-on-regression
refused 2 "goes with --predict" first --backend cpu
refused 2 "did you mean --compare" --compar2 first
refused 2 "one at a time" --list --json --csv
refused 1 "resolved.yaml: no such file" first --predict "$0"
refused 1 "no run nothing" nothing --predict "$0"
head -c 100 "$results/second/predictions.h5" > "$scratch/cut"
cp "$scratch/cut" "$results/second/predictions.h5"
refused 1 "predictions.h5: cannot be opened" second
printf '{' > "$results/second/run.json"
refused 1 "run.json: line 1" second
"$BIN/eval" --results "$results" --list > "$scratch/out" 2> "$scratch/err" || fail "--list with a torn run"
grep -q '^second  *unreadable' "$scratch/out" || fail "--list: a torn run is not named: $(cat "$scratch/out")"
grep -q 'warn: second: .*run.json: line 1' "$scratch/err" || fail "--list: why is not said: $(cat "$scratch/err")"

# A run from elsewhere: names, texts, pipes and links that are no ordinary ones.
cp -r "$results/first" "$results/foreign"
cp -r "$results/first" "$results/$(printf 'x\377y')"
mkdir "$results/piped" "$results/empty" "$scratch/outside"
mkfifo "$results/piped/run.json" "$scratch/picture.jpg"
for how in "" --csv --json; do
    timeout 20 "$BIN/eval" --results "$results" --list $how > "$scratch/out" 2> "$scratch/err" || fail "--list $how: status $?"
    for name in first foreign piped second; do grep -q "$name" "$scratch/out" || fail "--list $how: no $name"; done
    grep -q empty "$scratch/out" && fail "--list $how: a folder that is no run"
    grep -q "$(printf 'x\357\277\275y')" "$scratch/out" || fail "--list $how: a name that is not UTF-8"
done
grep -q "piped/run.json: is a named pipe" "$scratch/err" || fail "--list: why a pipe is no run: $(cat "$scratch/err")"
refused 1 "piped/run.json: is a named pipe" piped
odd='x\\u001b[31m\\u0007\\u007f\\u009b31m\\u202e\\r\\nforged line' # as sed writes it
sed -i "s/^  \"set\": \"[^\"]*\"/  \"set\": \"$odd\"/; s/^  \"experiment\": \"[^\"]*\"/  \"experiment\": \"=1+1$odd\"/; \
    s/^  \"backend\": \"[^\"]*\"/  \"backend\": \"$odd\"/" "$results/foreign/run.json"
grep -q '"set": "x.u001b' "$results/foreign/run.json" || fail "the control: no odd text in run.json"
for how in foreign --list "--list --csv" "--list --json" "foreign --json"; do
    "$BIN/eval" --results "$results" $how > "$scratch/out" 2> "$scratch/err" || fail "$how: status $?"
    LC_ALL=C tr -d '\012\040-\176\200-\377' < "$scratch/out" > "$scratch/odd"
    [ -s "$scratch/odd" ] && fail "$how: control characters reach the output"
    grep -qaE "$(printf '\302[\200-\237]|\342\200\256')" "$scratch/out" && fail "$how: C1 or bidirectional characters"
    grep -q '^ *forged line' "$scratch/out" && fail "$how: a text makes a line of its own"
done
grep -qi 'u001b\[31m.u0007.u007f.u009b31m.u202e' "$scratch/out" || fail "--json: the text is not escaped"
"$BIN/eval" --results "$results" --list --csv > "$scratch/out" 2> "$scratch/err"
grep -q ",'=1+1" "$scratch/out" || fail "--csv: a cell that a spreadsheet would run"
rm -rf "$results/foreign/plots"
ln -s "$scratch/outside" "$results/foreign/plots"
refused 1 "plots: is a link" foreign --confusion
nothing=$(ls -A "$scratch/outside")
[ -z "$nothing" ] || fail "written through a link: $nothing"

# 2,500 labels that look wrong: the page has as many rows as anybody reads, issues.csv all.
make_run large 3 2500 picture 3000
"$BIN/eval" --results "$results" --issues large --report > "$scratch/out" 2> "$scratch/err" || fail "--issues large: $(cat "$scratch/err")"
[ "$(grep -c '^<tr><td' "$results/large/issues.html")" = 2000 ] || fail "--issues: $(grep -c '^<tr><td' "$results/large/issues.html") rows"
grep -q "500 more are in issues.csv" "$results/large/issues.html" || fail "--issues: rows that are left out are not told"
[ "$(wc -l < "$results/large/issues.csv")" -gt 2500 ] || fail "issues.csv: $(wc -l < "$results/large/issues.csv") rows"
"$BIN/eval" --results "$results" first > /dev/full 2> "$scratch/err"
[ $? = 1 ] || fail "a full disk behind stdout"
exit 0
