#!/bin/bash
# A file has at most 600 lines, a line 100 columns (code, which clang-format sees to; comments and
# guarded tables may need up to 120), a function at most 60 from brace to brace, or
# 100 where most of it is one flat switch. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

check() {
    c_files | while read -r file; do
        perl -CSD -ne 'chomp; print "'"$file"':$.: ", length, " columns\n" if length > 120;
            END { print "'"$file"': $. lines\n" if $. > 600 }' "$file"
        strip_c "$file" | perl -ne '
            # A brace at depth 0 after a parenthesis opens a function; "extern C" and data do not.
            next if /^\s*#/;
            for my $c (split //) {
                if ($c eq "{") {
                    if ($depth++ == 0) {
                        $function = $before =~ /\)\s*(__attribute__\s*\(\(.*\)\)\s*)?$/s;
                        ($name) = $before =~ /(\w+)\s*\([^;{}]*$/s;
                        ($start, $cases) = ($., 0);
                    }
                    $before = "";
                } elsif ($c eq "}") {
                    if (--$depth == 0 && $function) {
                        my ($n, $limit) = ($. - $start + 1, $cases >= 8 ? 100 : 60);
                        print "'"$file"':$start: $name() has $n lines of $limit\n" if $n > $limit;
                    }
                    $before = "" if $depth == 0;
                } elsif ($depth == 0) {
                    $before = $c eq ";" ? "" : $before . $c;
                }
            }
            $cases++ if /^\s*(case\b.*|default\s*):/;'
    done
}

lint
must_find "a long line" core/nn/planted.c "/* $(printf '%0120d' 0) */
"
must_find "a long file" core/nn/planted.c "$(yes 'int x;' | head -n 601)
"
must_find "a long function" core/nn/planted.c "int f(int a)
{
$(yes '    a++;' | head -n 60)
    return a;
}
"
if printf 'int f(int a)\n{\n%s\n}\n' "$(yes '    a++;' | head -n 57)" >"$scratch/fine.c" &&
    (cd "$scratch" && mkdir -p core && mv fine.c core/ && check) |
    grep -q fine; then
    echo "control: a function of 59 lines is none too long"
    failures=1
fi
finish
