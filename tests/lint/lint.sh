# lint.sh - what the lint tests share; sourced by test_*.sh. SPDX-License-Identifier: MIT
#
# A lint test defines check(), which looks at the tree in the current folder and prints one line for
# each offence, "file:line: what", and then calls
#   lint                       the project's own tree must have none
#   must_find NAME FILE TEXT   control: a tree with FILE made of TEXT (and the headers) must have one, in FILE
# tests/lint looks at what is there, tracked or not, so that it also serves before a commit.
set -u
SOURCE=${SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

code_folders="core fetch prep train eval tests" # those of them that exist are searched

existing_folders() {
    for folder in $code_folders; do [ -d "$folder" ] && echo "$folder"; done
}

# All C files, in a fixed order.
c_files() {
    find $(existing_folders) \( -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cpp' \) -type f | LC_ALL=C sort
}

# Every text file of the project: what git would take, or all but what is built where there is no git.
text_files() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . \( -path ./.git -o -name 'build*' -o -path ./bin -o -path ./data -o \
            -path './results/*/*' \) -prune -o -type f -print | sed 's|^\./||'
    fi | LC_ALL=C sort | while read -r file; do
        [ -f "$file" ] && grep -Iq . "$file" && printf '%s\n' "$file"
    done
}

lint() {
    cd "$SOURCE" || exit 1
    check >"$scratch/found" || failures=$((failures + 1))
    if [ -s "$scratch/found" ]; then
        cat "$scratch/found"
        failures=$((failures + 1))
    fi
}

must_find() {
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree"
    (cd "$SOURCE" && c_files | grep -E '\.h$|^core/base/' | tar -cf - -T -) | tar -xf - -C "$scratch/tree"
    mkdir -p "$scratch/tree/$(dirname "$2")"
    printf '%s' "$3" >"$scratch/tree/$2"
    if ! (cd "$scratch/tree" && check) | grep -q "^$2[: ]"; then
        echo "control: $1 in $2 was not found"
        failures=$((failures + 1))
    fi
}

finish() {
    [ "$failures" -eq 0 ] || exit 1
    exit 0
}

# All C files without comments and the insides of strings, a line as "FILE<tab>LINE<tab>code".
stripped_c() {
    c_files | xargs perl -0777 -ne '
        s{(/\*.*?\*/)|(//[^\n]*)|("(?:\\.|[^"\\\n])*")|(\x27(?:\\.|[^\x27\\\n])*\x27)}
         { my $s = $&; defined $3 ? "\"\"" : defined $4 ? "0" : ($s =~ tr/\n//cdr) }gse;
        my $line = 0;
        print "$ARGV\t", ++$line, "\t$_\n" for split /\n/;'
}
