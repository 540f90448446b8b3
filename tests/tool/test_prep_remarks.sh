#!/bin/bash
# test_prep_remarks.sh - nothing of a folder is left out or changed without a line: prep says it once,
# records it in index.json and lists it by --json; --init sees folders as people have them. Needs BIN and
# SOURCE. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/expect.sh"
mkdir -p prep/datasets
prep=$BIN/prep
silent() { ! grep -qiF -- "$1" err || { fail "stderr has '$1'"; cat err; }; }
# recorded KIND COUNT SET: index.json has it
recorded() {
    tr -d '\n' <"d/$3/shards-16/index.json" | grep -qE "\"kind\": \"$1\",[^}]*\"count\": $2," ||
        fail "$3: index.json lacks $2 of $1"
}
# picture FILE SEED [SIDE]: a PPM of noise, the same every time
picture() {
    mkdir -p "$(dirname "$1")"
    { printf 'P6\n%d %d\n255\n' "${3:-20}" "${3:-20}"
        awk -v seed="$2" -v n=$((${3:-20} * ${3:-20} * 3)) \
            'BEGIN { srand(seed); for (i = 0; i < n; i++) printf "%c", 1 + int(rand() * 255) }'; } >"$1"
}
# describe SET LINES...: sets of 16 px
describe() {
    local set=$1
    shift
    { printf 'root: %s\npresize: {size: 16}\n' "$scratch/$set"; printf '%s\n' "$@"; } >"prep/datasets/$set.yaml"
}
# set_of FOLDER CLASS...: four pictures of each
n=3000
set_of() {
    local folder=$1 class i
    shift
    for class; do for i in 1 2 3 4; do picture "$folder/$class/$i.jpg" $((n += 4001)); done; done
}

# --- a clean set: not a word but the two lines of figures (control)
set_of clean cat dog
describe clean
ok "$prep" clean --data d
[ "$(grep -vc "^prep: next: " err)" = 2 ] || { fail "a clean set has remarks"; cat err; }
grep -q '"remarks": \[\]' d/clean/shards-16/index.json || fail "no empty list of remarks"

# --- orientation: told, and applied where asked for
mkdir made
"$BIN/test_decode" --write made >/dev/null || fail "no picture"
set_of turned cat dog
for c in cat dog; do
    { head -c -12 made/*.png
        printf '\0\0\0\032eXIfII*\0\010\0\0\0\001\0\022\001\003\0\001\0\0\0\006\0\0\0\0\0\0\0\0\0\0\0'
        tail -c 12 made/*.png; } >turned/$c/5.png
done
echo x >>turned/dog/5.png # not the same file
describe turned
ok "$prep" turned --data d
says "2 pictures carry an orientation"
says "decode.exif=apply"
recorded orientation_ignored 2 turned
ok "$prep" turned --data d decode.exif=apply
says "2 pictures are turned upright"
silent "not applied"
recorded orientation_applied 2 turned

# --- small pictures, copies, copies of two classes, alike names
set_of odd cat dog
picture odd/cat/small.jpg 9000 9
cp odd/cat/1.jpg odd/cat/1-copy.jpg
cp odd/dog/1.jpg odd/cat/dog1.jpg
mkdir odd/Dog && mv odd/dog/4.jpg odd/Dog/
printf 'hello' >odd/notes.txt
printf 'PK' >odd/more.zip
mkfifo odd/cat/pipe.jpg
describe odd
ok "$prep" odd --data d
silent "presize.size=" # most pictures reach the size that is set
for text in "1 picture is smaller than presize.size" "2 pictures are exact copies" \
    "1 pair of copies has two labels" "dog and Dog" "'Dog' and 'dog'" "more.zip" "notes.txt" "pipe.jpg"; do
    says "$text"
done
for kind in "enlarged 1" "copies 2" "copies_of_two_classes 1" "alike_paths 1" "nested_archives 1"; do
    recorded ${kind% *} ${kind#* } odd
done
cp err first
ok "$prep" odd --data larger presize.size=32
says "presize.size=20 is what nine in ten pictures reach"
ok "$prep" odd --data d
says "up to date"
says "2 pictures are exact copies" # still so
ok "$prep" odd --data d --json
for text in '"remarks"' '"copies"' '"duplicates"' '"folder": "d/odd/shards-16"'; do prints "$text"; done
ok "$prep" odd --data d --vocab
says "'Dog' and 'dog'"
# the same at another number of workers
ok "$prep" odd --data d2 -j 2
cmp -s d/odd/shards-16/index.json d2/odd/shards-16/index.json || fail "index.json depends on workers"

# --- what cannot be decoded is a picture, named by its format; a class may not vanish
set_of lost cat
mkdir lost/fox lost/owl
for i in 1 2 3; do
    printf '\0\0\0\014jP  \r\n\207\n' >lost/fox/$i.jp2
    printf '8BPS' >lost/owl/$i
done
describe lost
refuse 1 "$prep" lost --data d
says "JPEG 2000 is a picture format that this build does not decode"
says "Photoshop"
says "6 of 10 pictures"
ok "$prep" lost --data d decode.on_error=skip
says "2 classes have no picture left: fox, owl"
recorded undecodable 6 lost
recorded empty_classes 2 lost
ok "$prep" --init lost
prints "3 JPEG 2000"
prints "3 Photoshop"

# --- a picture whose name is not UTF-8 can be left out by name
set_of names cat dog
cp names/cat/1.jpg "$(printf 'names/cat/B\344r.jpg')"
describe names
refuse 1 "$prep" names --data d
says "decode.on_error=skip"
ok "$prep" names --data d 'skip=B.r\.jpg$'
ok "$prep" names --data d decode.on_error=skip
says 'B\xE4r.jpg'

# --- --init: parts of a set, test pictures without labels, thumbnails, tables, small pictures
for i in 1 2 3 4; do
    picture kaggle/train/cat.$i.jpg $((n += 4001))
    picture kaggle/train/dog.$i.jpg $((n += 4001))
    picture kaggle/test1/$i.jpg $((n += 4001))
    picture parts/train/cat/$i.jpg $((n += 4001))
    picture parts/train/dog/$i.jpg $((n += 4001))
    picture parts/valid/cat/$i.jpg $((n += 4001))
    picture parts/test/$i.jpg $((n += 4001))
    picture nas/cat/$i.jpg $((n += 4001))
    picture nas/dog/$i.jpg $((n += 4001))
    picture nas/cat/@eaDir/$i.jpg/THUMB.jpg $((n += 4001))
    picture table/img/$i.jpg $((n += 4001))
    picture table/img/x$i.jpg $((n += 4001))
done
printf 'id,breed\n1,pug\n2,pug\n3,boxer\n4,boxer\nx1,pug\nx2,boxer\nx3,boxer\n' >table/labels.csv
mkdir -m 700 nas/lost+found
for folder in kaggle parts nas table; do
    ok "$prep" --init $folder
    prints "decode: {exif: apply}"
    prints "presize: {size: 20}"
    prints "nine in ten reach 20 px"
    cp out prep/datasets/made_$folder.yaml
    ok "$prep" made_$folder --data made --vocab
    [ "$(wc -l <out)" = 2 ] || { fail "$folder: not two classes"; cat out; }
    ok "$prep" made_$folder --data made
    silent "thumbnails"
done
grep -q "data.split=folder" prep/datasets/made_parts.yaml || fail "parts: no data.split=folder"
grep -q "4 to train, 0" prep/datasets/made_parts.yaml && fail "parts: counts"
grep -q "without labels" prep/datasets/made_kaggle.yaml || fail "kaggle: test pictures"
grep -q "from: csv" prep/datasets/made_table.yaml || fail "table: not labelled by it"
grep -q "left out: .*labels.csv" prep/datasets/made_table.yaml err && fail "table: what is read is not left out"
echo more >table/notes.txt
ok "$prep" --init table
prints "is left out: notes.txt"
for table in labels.csv ./labels.csv; do
    rm -r made/made_table
    ok "$prep" made_table --data made label.csv=$table
    says "is left out: notes.txt"
done
silent "may hold the labels"
sed -i '1s/$/,species/; 2,$s/$/,dog/' table/labels.csv
ok "$prep" made_table --data other
says "species (taken is breed)"
says "label.column=NAME"
ok "$prep" made_table --data another label.column=breed
silent "may hold the labels"
sed -i '2,$s|^|/elsewhere/|' table/labels.csv
refuse 1 "$prep" made_table --data third label.missing=fail
says "one of them names '/elsewhere/1'"
describe nas
ok "$prep" nas --data d
says "4 pictures lie in folders that operating systems make"

# --- keys, and no locks
ok "$prep" --keys
for key in label.missing label.path_column decode.exif presize.size skip; do prints "\`$key\`"; done
refuse 2 "$prep" --keys --check clean
