#!/bin/bash
# test_eval_issues.sh - cleaning from end to end: folds with labels that are wrong on purpose, eval --issues, the page's
# marks (in Chromium, where it is there), data.clean, --verify, a comparison of before and after on the same labels.
# Needs BIN, SOURCE and BUILD. SPDX-License-Identifier: MIT
. "$(dirname "$0")/train_common.sh"
cd "$scratch" || exit 1
unset PRESIZE_DATA
mkdir -p prep/datasets experiments s/red s/green s/blue
cat >experiments/e.yaml <<'END'
# is the colour learnt?
model: {arch: resnet20, weights: none}
train: {size: 16, batch: 6, phases: [{kind: one_cycle, epochs: 2, lr: 1e-3}]}
exec: {threads: 1}
data: {set: s, duplicates: as_split}
END
# noise around a colour
for i in 10 11 12 13 14 15 16 17 18 19 20 21; do
    for c in red green blue; do
        { printf 'P6\n32 32\n255\n'
            LC_ALL=C awk -v seed="$i" -v c=$c 'BEGIN { srand(seed); at = c == "red" ? 0 : c == "green" ? 1 : 2
                for (i = 0; i < 3072; i++) printf "%c", 1 + int(rand() * 100) + (i % 3 == at ? 100 : 0) }'; } >s/$c/$i.ppm
    done
done
{ printf 'P6\n40 40\n255\n'; LC_ALL=C awk 'BEGIN { for (i = 0; i < 4800; i++) printf "%c", 9 }'; } >s/red/black.ppm
printf 'root: %s\npresize: {size: 32}\n' "$scratch/s" >prep/datasets/s.yaml
"$BIN/prep" s --data d >out 2>err || fail "prep s"

run() { # NAME WORDS...: it must train
    local name=$1
    shift
    "$BIN/train" --exp e --data d --results r --name "$name" "$@" >out 2>err || fail "train $name"
}
look() { "$BIN/eval" --data d --results r "$@" >out 2>err || fail "eval $*: $(cat out)"; }
bad() { # STATUS TEXT ARGS...
    local status=$1 text=$2 got
    shift 2
    "$BIN/eval" --data d --results r "$@" >out 2>err
    got=$?
    [ $got = "$status" ] || fail "eval $*: status $got, expected $status"
    cat out err | grep -qF -- "$text" || fail "eval $*: no \"$text\" in: $(cat out err)"
}
says() { grep -qF -- "$1" "$2" || fail "$2 lacks '$1': $(cat "$2")"; }

# --- quality
"$BIN/prep" s --data d --quality >out 2>err || fail "prep --quality"
says "$(printf 'red/black.ppm\tred\tdark,constant\t')" out
[ "$(wc -l <out)" = 2 ] || fail "another picture is said to be of no use: $(cat out)"
says "1 of 37 pictures may be of no use: 1 dark, 1 constant; all stay in the set" err
"$BIN/prep" s --data d --quality --json 2>err | grep -qF '"dark"' || fail "prep --quality --json"

# --- folds with wrong labels
run f1 data.folds=2 data.fold=1 data.plant=0.1
says "4 pictures have a wrong label on purpose (data.plant)" err
run f2 data.folds=2 data.fold=2 data.plant=0.1
cmp -s r/f1/planted.csv r/f2/planted.csv || fail "folds have different wrong labels"
[ "$(wc -l <r/f1/planted.csv)" = 5 ] || fail "planted.csv: $(cat r/f1/planted.csv)"
look f1
says "4 labels are wrong on purpose" out
says ", 10 % of labels wrong on purpose" out
look f1 --verify
says "cleaning" out
look --issues=3 f1 f2 --report page.html
says "37 of 37 pictures are judged by 2 runs, each by those that did not train on it" out
says "these networks have not learnt the classes" err
says "these networks have not learnt the classes" page.html
says "4 of these pictures have a label that is wrong on purpose" out
head -1 r/issues.csv | grep -qx "rank,path,given,suggested,score,probability,reason,part" || fail "issues.csv: $(head -1 r/issues.csv)"
awk -F, '$7 == "planted" { print $2 }' r/issues.csv | sort >planted
tail -n +2 r/f1/planted.csv | cut -d, -f1 | sort | cmp -s - planted || fail "issues.csv names others than planted.csv"
look --issues f1 f2 --json
says '"of": 37' out
cp r/issues.csv first.csv
look --issues r --csv # the folder of both
cmp -s first.csv r/issues.csv || fail "a folder gives other issues than its runs"
cmp -s first.csv out || fail "--csv is not issues.csv"
look --issues f1
says "are judged by one run, the validation pictures of s" out
[ -e r/f1/issues.csv ] || fail "a run's issues are not in its folder"
look --issues f1 --with-train
grep -q ',train$' r/f1/issues.csv || fail "no training picture: $(cat r/f1/issues.csv)"
says "37 of 37 pictures are judged by one run, which has trained on" out
says "a network that has seen their labels" err
look --issues f1 --split train
says "training pictures are judged by one run, which has trained on them" out
grep -q "data.folds=5" out && fail "folds are proposed for training pictures: $(cat out)"
bad 1 "--with-train goes with one run" --issues f1 f2 --with-train
bad 2 "--with-train goes with --issues" f1 --with-train
look --issues 2 f1 --report --json
says '"page": "r/f1/issues.html"' out
# runs that cannot be judged are named and left out; names that several runs have are told apart
mkdir -p many/s1 many/s2
cp -r r/f1 many/s1/f
cp -r r/f2 many/s2/f
cp -r r/f1 many/s1/rates
rm many/s1/rates/predictions.h5
look --issues many/s1
says "many/s1/rates is left out: it has no predictions" err
look --compare many/s1/f many/s2/f --json
says '"many/s1/f"' out
look --compare many/s1/f many/s1/f --report
[ -e many/s1/compare-f-f.html ] || fail "no page beside the first run: $(cat out)"
bad 2 "many/s1 is a study; name one of its runs: eval many/s1 --list" many/s1 --verify
bad 2 "--report compares runs, not studies" --compare many/s1 f1 --report
bad 2 "--clean compares runs, not studies" --compare many/s1 f1 --clean x.csv
bad 2 "--clean goes with --compare" f1 --clean x.csv

# --- data.clean
run before
look --issues # the latest run
[ -e r/before/issues.csv ] || fail "the latest run's issues are not in its folder"
mkdir -p other/s
cp -r r/f1 r/f2 other/s
"$BIN/eval" --data d --results r --issues other/s/f1 other/s/f2 >out 2>err || fail "--issues of runs elsewhere: $(cat err)"
[ -e other/s/issues.csv ] || fail "issues of several runs do not lie beside the first: $(cat out)"
valid=$(tail -n +2 r/before/predictions.csv | cut -d, -f1 | grep -v black | head -n 2 | tr '\n' ' ')
set -- $valid
other=red
case $2 in red/*) other=blue ;; esac
train=$(cd s && ls */*.ppm | grep -vxFf <(cut -d, -f1 "$scratch/r/before/predictions.csv") | grep -v black | head -n 1)
printf 'path,action,label,why\n%s,drop,,blurred\n%s,relabel,%s,\n%s,keep,,fine\n' "$1" "$2" $other "$train" >clean.csv
run after data.clean=clean.csv
look after
says "cleaned     by clean.csv: 1 kept, 1 dropped (0 to train, 1 to validate, 0 to test), 1 relabelled (0 to train, 1" out
says "random split (42), cleaned by clean.csv" out
cmp -s clean.csv r/after/clean.csv || fail "the run has no copy of its table"
rm clean.csv # it reads its own from now on
look after --verify
says "cleaning table" out
look after --split valid
look --compare before after
says "judged by the labels of" out
grep -q "before *1 *1" out || fail "before is not judged by the labels after: $(cat out)"
grep -q "not tested" out && fail "before and after are not compared: $(cat out)"
look --compare before after --json
says '"relabelled"' out
printf 'path,action\n%s,drop\n' "$2" >other.csv
look --compare before f1 --clean other.csv
printf 'path,action\n%s,burn\n' "$2" >other.csv
bad 1 "other.csv: line 2:" --compare before after --clean other.csv
says "the action is 'burn', not keep, drop or relabel" err
printf 'path,action,label\nno.ppm,relabel,none\n' >other.csv
bad 1 "other.csv: line 2: no.ppm: the runs have no label 'none'" --compare before after --clean other.csv
printf 'path,action\nno.ppm,drop\nno.ppm,keep\n' >other.csv
bad 1 "lines 2 and 3 contradict one another" --compare before after --clean other.csv
printf 'path,action\nno.ppm,drop\n' >other.csv
look --compare before after --clean other.csv
says "no row names a picture of these runs" err
# the page says by which labels the runs are judged
look --compare before after --report
says "Judged by the labels of" r/compare-before-after.html
says "in before 1 dropped, 1 relabelled" r/compare-before-after.html
# tables are part of the recipe by what is in them, not by their names
grep -v ",keep," r/after/clean.csv | sed "s/,relabel,.*/,drop,,/" >clean.csv
run edited data.clean=clean.csv
rm clean.csv
look --compare after edited
says "sha256 of the tables" out
look --groups before after
says "labels differ (data.clean); eval --compare judges both by one table" out
look --groups after edited
[ "$(grep -c "^clean=\|^sha256 of the tables=" out)" -ge 2 ] || fail "runs with different tables are one recipe: $(cat out)"
# labels of before and after do not go together
bad 1 "runs with the same data.clean and data.plant go together" --issues before after
printf 'path,action\nno.ppm,drop\n' >no.csv
"$BIN/train" --exp e --data d --results r --name no data.clean=no.csv >out 2>err && fail "an unknown path is taken"
says "no.csv: 1 row names no picture of the set (or one that another row names): line 2: no.ppm" err
[ ! -e r/no ] || fail "a run was begun"
# controls: a changed copy, a changed list
echo "$train,drop,," >>r/after/clean.csv
bad 1 "cleaning table    FAILED" after --verify
bad 1 "changed clean.csv" after --verify
sed -i '$d' r/f1/planted.csv
bad 1 "changed planted.csv" f1 --verify

# --- the page
grep -qF '"before": []' page.html || fail "the page has rows of a table that is not there"
grep -qF "labels that are wrong on purpose (data.plant) are not shown" page.html || fail "the page does not speak of planted labels"
grep -qF '"id": "' page.html || fail "the page shows no picture"
for picture in $(cat planted); do
    grep -qF "\"id\": \"$picture\"" page.html && fail "the page shows $picture, whose label is wrong on purpose"
done
. "${SOURCE:?}/tests/tool/browser.sh"
if [ -z "$browser" ]; then
    echo "not run: what the page's script does (no chromium)"
    exit 0
fi
# The page with a driver: it marks three pictures by keys, changes the choice, loads itself again, and prints its table.
{ sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' page.html | sed 's|</body>||; s|</html>||'
    cat <<'END'
<script>
const press = (n, key) => grid.children[n].dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const say = () => {
  const pre = document.createElement("pre");
  pre.id = "result";
  pre.textContent = table() + told.textContent + "\n" + sessionStorage.getItem("again");
  document.body.append(pre);
};
shown.all = true;
draw();
if (sessionStorage.getItem("again")) say();
else {
  press(0, "k"); press(1, "d"); press(2, "d"); press(2, "u");
  marks.set("red/earlier.ppm", { action: "drop" });
  mark(grid.children[3], grid.children[3].picture, "relabel", data.classes[(grid.children[3].picture.given + 1) % 3]);
  shown.label = 1; draw(); shown.label = -1; draw();
  let asked = "";
  window.confirm = (text) => { asked = text; return false; };
  document.getElementById("clear").click();
  sessionStorage.setItem("again", asked || "no question");
  location.reload();
}
</script></body></html>
END
} >driven.html
"$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$scratch/browser" --virtual-time-budget=20000 \
    --dump-dom "file://$scratch/driven.html" >dom 2>err || fail "chromium"
sed -n '/<pre id="result">/,/<\/pre>/p' dom | sed 's/.*<pre id="result">//; s/<\/pre>.*//' >result
says "1 kept, 2 dropped, 1 relabelled" result
says "Forget 4 marks?" result
says "red/earlier.ppm,drop,,marked on an earlier page" result
grep -v " kept, \|Forget\|earlier" result >made.csv
[ "$(wc -l <made.csv)" = 4 ] || fail "the page's table: $(cat result)"
"$BIN/train" --exp e --data d --summary data.clean=made.csv >out 2>err || fail "the page's table is refused"
says "1 picture is dropped by data.clean" err
says "1 picture has another label by data.clean" err
exit 0
