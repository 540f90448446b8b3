#!/bin/bash
# A file has at most 600 lines, a line 100 columns (code, which clang-format sees to; comments and
# guarded tables may need up to 120), a function 60 lines from brace to brace, or 100 where it is one
# flat switch. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

check() {
    c_files | xargs perl -CSD -ne 'chomp; print "$ARGV:$.: ", length, " columns\n" if length > 120;
        if (eof) { print "$ARGV: $. lines\n" if $. > 600; close ARGV }'
    stripped_c | perl -ne '
        # A brace at depth 0 behind a parenthesis opens a function; data and "extern C" do not.
        ($file, $line, $code) = split /\t/, $_, 3;
        ($last, $depth, $before) = ($file, 0, "") if $file ne $last;
        next if $code =~ /^\s*#/;
        $cases++ if $code =~ /^\s*(case\b.*|default\s*):/;
        for my $piece (split /([{};])/, $code) {
            if ($piece eq "{") {
                if ($depth++ == 0) {
                    $function = $before =~ /\)\s*$/;
                    ($name) = $before =~ /(\w+)\s*\([^;{}]*$/s;
                    ($start, $cases) = ($line, 0);
                }
            } elsif ($piece eq "}") {
                if (--$depth == 0) {
                    my ($n, $limit) = ($line - $start + 1, $cases >= 8 ? 100 : 60);
                    print "$file:$start: $name() has $n lines of $limit\n"
                        if $function && $n > $limit;
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
if printf 'int f(int a)\n{\n%s\n}\n' "$(yes '    a++;' | head -n 57)" >"$scratch/fine.c" &&
    (cd "$scratch" && mkdir -p core && mv fine.c core/ && check) |
    grep -q fine; then
    echo "control: a function of 59 lines was refused"
    failures=1
fi
finish
