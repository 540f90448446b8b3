#!/bin/bash
# Man pages, completion and the list of libraries say what the tools' own tables say, and a shell completes sets,
# experiments, runs, options and keys. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/scratch.sh"

# --- pages: every option of --help, every key of --keys, and no others ---
page_options() { # PAGE
    grep -a -A1 '^\.TP' "$1" | sed -n 's/.*\\fB\(\\-\\-[a-z0-9\\-]*\)\\fR.*/\1/p' | sed 's/\\-/-/g' | LC_ALL=C sort
}
help_options() { # TOOL
    "$BIN/$1" --help | grep -aoE '^ {2,6}(-., )?--[a-z0-9-]+' | grep -o -- '--.*' | LC_ALL=C sort
}
page_keys() { # PAGE
    grep -a -A1 '^\.TP' "$1" | sed -n 's/^\\fB\([^\\]*\)\\fR (.*/\1/p'
}
table_keys() { # TOOL
    "$BIN/$1" --keys | sed '/^| retired/,$d' | sed -n 's/^| `\([^`]*\)` .*/\1/p'
}
for tool in fetch prep train eval; do
    page=$BUILD/man/presize-$tool.1
    [ -s "$page" ] || fail "$page was not made"
    diff <(help_options $tool) <(page_options "$page") || fail "options of $tool: --help (<) and the page (>)"
    [ "$(help_options $tool | wc -l)" -ge 9 ] || fail "$tool: no options found in --help"
    cmp <("$BIN/$tool" --words=man) "$page" || fail "$page is not of this build"
done
for pair in train:experiment prep:dataset; do
    page=$BUILD/man/presize-${pair#*:}.5
    diff <(table_keys "${pair%:*}") <(page_keys "$page") || fail "keys of ${pair%:*}: --keys (<) and the page (>)"
    diff <(table_keys "${pair%:*}") <("$BIN/${pair%:*}" --words=keys | cut -f 1) || fail "keys of ${pair%:*} for completion"
    [ "$(page_keys "$page" | wc -l)" -gt 15 ] || fail "no keys found in $page"
done
sed 's/\\-\\-stop\\-after/\\-\\-halt/' "$BUILD/man/presize-train.1" >"$scratch/planted.1" # the controls
diff <(help_options train) <(page_options "$scratch/planted.1") >/dev/null && fail "control: another option went unnoticed"
sed 's/^\\fBtrain.batch\\fR/\\fBtrain.bat\\fR/' "$BUILD/man/presize-experiment.5" >"$scratch/planted.5"
diff <(table_keys train) <(page_keys "$scratch/planted.5") >/dev/null && fail "control: another key went unnoticed"

# --- pages that man and mandoc have nothing to say of ---
quiet() { # PAGE -> what they say
    ! command -v man >/dev/null || LC_ALL=C.UTF-8 man --warnings -l "$1" 2>&1 >/dev/null
    ! command -v mandoc >/dev/null || mandoc -Tlint "$1"
}
for page in "$BUILD"/man/*; do
    [ -z "$(quiet "$page")" ] || fail "$(quiet "$page")"
done
if command -v man mandoc >/dev/null; then
    printf '.TH X 1\n.SH NAME\n.nosuch\n\n\n.XX\n' >"$scratch/bad.1"
    [ -n "$(quiet "$scratch/bad.1")" ] || fail "control: a bad page passed"
else
    echo "neither man nor mandoc here: pages were not proof-read (Debian: man-db, mandoc)"
fi

# --- the list of libraries: those of --version --verbose ---
for tool in fetch prep train eval; do "$BIN/$tool" --version --verbose; done | grep '^  ' | LC_ALL=C sort -u >"$scratch/libraries"
sed -n 's/.*"name": "\(.*\)", "versionInfo": "\(.*\)",/  \1 \2/p' "$BUILD/presize.spdx.json" | grep -v ' presize ' |
    LC_ALL=C sort >"$scratch/listed"
diff "$scratch/libraries" "$scratch/listed" || fail "libraries: --version --verbose (<), presize.spdx.json (>)"
[ "$(wc -l <"$scratch/libraries")" -ge 16 ] || fail "few libraries: $(cat "$scratch/libraries")"
# Each library that a tool asks the loader for is in the list, by the package's name or a part of it.
for tool in fetch prep train eval; do
    for file in $(readelf -d "$BIN/$tool" | sed -n 's/.*(NEEDED).*\[lib\([^].]*\).*/\1/p'); do
        case $file in
        m | c | gcc_s | gomp | asan | ubsan | tsan | cairo | ld-linux*) continue ;;
        crypto) name=openssl ;; gif) name=giflib ;; jpeg) name=libjpeg-turbo ;; webpdemux) name=libwebp ;;
        hdf5*) name=hdf5 ;; pcre2*) name=pcre2 ;; dnnl) name=onednn ;; yaml*) name=libyaml ;; z) name=zlib ;;
        *) name=$file ;;
        esac
        grep -qE "^  (lib)?$name " "$scratch/libraries" || fail "$tool is linked with lib$file, which is not listed"
    done
done
[[ $("$BIN/eval" -V -v) == *"processor: uses "* ]] || fail "no instruction sets in --version --verbose"
[[ $("$BIN/eval" --version) =~ ^eval\ \(presize\)\ [0-9.]+$ ]] || fail "--version alone"

# --- completion, in a folder with a set, two runs and a study ---
mkdir -p "$scratch/bin" "$scratch/there/data/demo" "$scratch/there/elsewhere/far" "$scratch/there/results/first" \
    "$scratch/there/results/second" "$scratch/there/results/no-run" "$scratch/there/results/grid" "$scratch/there/experiments"
touch "$scratch/there/data/demo/manifest.jsonl" "$scratch/there/results/"{first,second}/run.json \
    "$scratch/there/elsewhere/far/run.json" "$scratch/there/results/grid/study.json" "$scratch/there/experiments/mine.yaml"
printf '#!/bin/sh\ntool=$1\nshift\nexec "%s/$tool" "$@"\n' "$BIN" >"$scratch/bin/presize"
chmod +x "$scratch/bin/presize"
export PRESIZE_SHARE=$SOURCE/../nowhere
unset PRESIZE_DATA
cd "$scratch/there" || exit 1
PATH=$scratch/bin:$PATH
cat >"$scratch/expected" <<'END'
tr|train
prep d|demo?
fetch de|demo
fetch weights/resnet18|weights/resnet18
train --exp m|mine
train --exp=m|mine
train --resume |first second
eval f|first
eval g|grid
eval --results elsewhere |far
eval --split |train valid test
train --backend c|cpu cuda
train --stop|--stop-after=
eval --top-l|--top-losses
train data.set=d|demo
train exec.conv=|own onednn
train train.phases.2.ki|train.phases.2.kind=
train data.verify=|crc off
prep shard.st|shard.storage=
prep shard.storage=|raw zstd jpeg
train nosuch|
nosuch |
END
bash_completes() { # LINE -> words
    COMP_LINE="presize $1" COMP_POINT=$((8 + ${#1})) COMP_WORDS=(presize)
    _presize 2>"$scratch/err"
    grep -v 'compopt' "$scratch/err"
    echo "${COMPREPLY[*]}"
}
. "${SOURCE:?}/cmake/completion.bash"
while IFS='|' read -r line words; do
    [[ $words == *'?' ]] && continue # prep's sets want a folder of their own: below
    [ "$(bash_completes "$line")" = "$words" ] || fail "bash: \"$line\" gives \"$(bash_completes "$line")\", not \"$words\""
done <"$scratch/expected"
PRESIZE_SHARE=$SOURCE/tests/..
export PRESIZE_SHARE
[[ " $(bash_completes 'train --exp ')" == *" mine"*" smoke"* ]] || fail "experiments here and installed: $(bash_completes 'train --exp ')"
[ "$(bash_completes 'prep de')" = "$(printf 'demo decode.exif= decode.on_error=')" ] || fail "sets: $(bash_completes 'prep de')"
diff <(bash_completes 'train --' | tr ' ' '\n' | sed 's/=$//' | LC_ALL=C sort) <(help_options train | grep -vx -- --usage) ||
    fail "options that bash completes (<) and those of --help (>)"

if command -v zsh >/dev/null; then
    # zsh's own functions are stand-ins that print what they were given.
    cat >"$scratch/zsh" <<'END'
_describe() { local name; for name in ${@:#-*}; do [[ ${(Pt)name} == array* ]] && print -l -- ${${(P)name}%%:*}; done }
compadd() { local name=${@[(r)found|values]}; if [[ -n $name ]]; then print -l -- ${(P)name}; else print -l -- ${@:#-X}; fi; }
compset() { [[ $PREFIX == *=* ]] && PREFIX=${PREFIX#*=}; }
_files() { :; }
_message() { :; }
compdef() { :; }
source $1 >/dev/null
words=(presize ${(s: :)2})
[[ $2 == *' ' ]] && words+=('')
CURRENT=$#words PREFIX=$words[-1]
_presize
END
    while IFS='|' read -r line words; do
        for word in ${words%'?'}; do
            zsh -f "$scratch/zsh" "$SOURCE/cmake/_presize" "$line" 2>&1 | grep -qxF -e "$word" -e "${word%=}" ||
                fail "zsh: \"$line\" lacks $word: $(zsh -f "$scratch/zsh" "$SOURCE/cmake/_presize" "$line" 2>&1 | head -5)"
        done
    done <"$scratch/expected"
    zsh -f "$scratch/zsh" "$SOURCE/cmake/_presize" "train --exp " | grep -qx nosuch && fail "control: zsh completes anything"

    # Keys typed into a shell on a terminal, with zsh's own completion: LINE, a tab, and Ctrl-X, which notes the line.
    cat >"$scratch/keys" <<'END'
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1= fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w shell "note() { print -r -- \$BUFFER] >>$2; BUFFER= }; zle -N note; bindkey '^X' note; print rea\\dy"
zpty -r shell text '*ready*'
integer n=0
while IFS= read -r line; do
    zpty -w -n shell "presize $line"$'\t\C-X'
    n+=1
    for ((i = 0; i < 200; i++)); do
        zpty -r -t shell text # lest the terminal fill up
        [[ -e $2 ]] && lines=("${(@f)$(<$2)}") && [[ $#lines -ge $n ]] && break
        sleep 0.1
    done
done
END
    mkdir "$scratch/functions"
    cp "$SOURCE/cmake/_presize" "$scratch/functions"
    cat >"$scratch/typed" <<'END'
tr|train ]
prep d|prep de]
fetch de|fetch demo ]
train --exp sm|train --exp smoke ]
train --exp=m|train --exp=mine ]
train --stop|train --stop-after=]
eval --top-l|eval --top-losses ]
train data.set=d|train data.set=demo ]
train train.phases.2.ki|train train.phases.2.kind=]
eval f|eval first ]
train nosuch|train nosuch]
END
    cut -d '|' -f 1 "$scratch/typed" | timeout 120 zsh -f "$scratch/keys" "$scratch/functions" "$scratch/noted"
    sed 's/.*|/presize /' "$scratch/typed" | diff - "$scratch/noted" || fail "keys typed into zsh: lines expected (<) and seen (>)"
else
    echo "no zsh here: its completion was not tried"
fi
exit 0
