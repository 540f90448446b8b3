#!/bin/bash
# A file has at most 600 lines, a line 100 columns (code, which clang-format sees to; comments and
# guarded tables may need up to 120), a function 60 lines from brace to brace. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

check() {
    c_files | xargs perl -CSD -ne 'chomp; print "$ARGV:$.: ", length, " columns\n" if length > 120;
        if (eof) { print "$ARGV: $. lines\n" if $. > 600; close ARGV }'
    stripped_c | perl -ne '
        # A brace at depth 0 behind a parenthesis opens a function; data and "extern C" do not.
        ($file, $line, $code) = split /\t/, $_, 3;
        ($last, $depth, $before) = ($file, 0, "") if $file ne $last;
        next if $code =~ /^\s*#/;
        for my $piece (split /([{};])/, $code) {
            if ($piece eq "{") {
                if ($depth++ == 0) {
                    $function = $before =~ /\)\s*$/;
                    ($name) = $before =~ /(\w+)\s*\([^;{}]*$/s;
                    $start = $line;
                }
            } elsif ($piece eq "}") {
                if (--$depth == 0) {
                    my $n = $line - $start + 1;
                    print "$file:$start: $name() has $n lines of 60\n" if $function && $n > 60;
                    $before = "";
                }
            } elsif ($depth == 0) {
                $before = $piece eq ";" ? "" : $before . $piece;
            }
        }'
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
must_find "a long switch" core/nn/planted.c "int f(int a)
{
    switch (a) {
$(seq -f '    case %g:' 56)
        return 1;
    }
    return 0;
}
"
if printf 'int f(int a)\n{\n%s\n}\n' "$(yes '    a++;' | head -n 57)" >"$scratch/fine.c" &&
    (cd "$scratch" && mkdir -p core && mv fine.c core/ && check) |
    grep -q fine; then
    echo "control: a function of 59 lines was refused"
    failures=1
fi
finish
