#!/bin/bash
# Calls that are not made: those that overrun or cannot report an error anywhere; in core also those
# that print or end the process (cli/cli and base/log are there for that), and in the tools ending
# elsewhere than in TOOL/TOOL.c; where results are computed, the C library's transcendental functions, whose bits differ
# between processors (base/real.h). And two random draws in one list of arguments or values, whose order C leaves open: they
# change places between x86 and ARM. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

two_draws() {
    stripped_c | perl -ne '
        BEGIN { $draw = qr/\brng_(?:u32|uniform|below|normal)\s*\(/ }
        sub look {
            my ($file, $text) = @_;
            return if $file =~ m{^tests/};
            while ($text =~ /(?=(\((?:[^(){};]++|(?1))*\)|\{(?:[^{};]++|(?1))*\}))/g) {
                $line = 1 + (substr($text, 0, $-[1]) =~ tr/\n//);
                $list = substr $1, 1, -1;
                1 while $list =~ s/(\((?:[^(),]++|(?1))*),/$1 /g; # commas of inner lists
                print "$file:$line: two draws in one list: their order is open\n" if 1 < grep { /$draw/ } split /,/, $list;
            }
        }
        ($file, $line, $code) = split /\t/, $_, 3;
        look($last, $text), $text = "" if $last ne $file;
        $last = $file;
        $text .= $code;
        END { look($last, $text) }'
}

check() {
    two_draws
    stripped_c | perl -ne '
        BEGIN {
            $always = "atoi|atol|atof|sprintf|vsprintf|strcpy|strcat|strtok|gets|rand|srand|alloca";
            $exits = "exit|_exit|perror";
            $prints = "printf|vprintf|puts|putchar";
            $reals = "(?:exp|exp2|expm1|log|log2|log10|log1p|pow|cbrt|hypot|sin|cos|tan|sincos|asin|acos|atan|atan2|sinh|cosh|tanh|erf|erfc|lgamma|tgamma)f?";
        }
        ($file, $line, $code) = split /\t/, $_, 3;
        $words = $file =~ m{^tests/} ? $always
            : $file =~ m{^core/(cli/cli|base/log)\.c$} ? "$always|system"
            : $file =~ m{^core/} ? "$always|system|$exits|$prints"
            : $file =~ m{^(fetch|prep|train|eval)/\1\.c$} ? "$always|system"
            : "$always|system|$exits";
        $words .= "|$reals" if $file =~ m{^core/(?:base|step|data|nn|selftest|experiment|learn)/|^core/backend/(?!ref)|^core/run/metrics\.|^train/};
        print "$file:$line: $1() is banned here\n" while $code =~ /(?<![\w.>])($words)\s*\(/g'
}

lint
must_find "sprintf" train/planted.c 'void f(char *s) { sprintf(s, "x"); }
'
must_find "printf in core" core/nn/planted.c 'void f(void) { printf("x"); }
'
must_find "exit in core" core/nn/planted.c 'void f(void) { exit(1); }
'
must_find "exit in a module of a tool" eval/planted.c 'void f(void) { exit(1); }
'
must_find "a logarithm of the C library" core/nn/planted.c 'double f(double x) { return log(x); }
'
must_find "a power of the C library where trainings run" core/learn/planted.c 'double f(double x) { return pow(x, 2); }
'
must_find "two draws in a call" fetch/planted.c 'void f(struct rng *r) { g(rng_below(r, 3),
    2 * rng_below(r, 4)); }
'
must_find "two draws in a list of values" fetch/planted.c 'struct s s = {.a = rng_below(r, 3), .b = h(rng_u32(r))};
'
mkdir -p "$scratch/fine/core"
cat >"$scratch/fine/core/fine.c" <<'EOF'
/* printf("in a comment"); */ const char *s = "rand()"; void f(FILE *a) { fprintf(a, "x"); }
void g(struct rng *r) { int a = rng_below(r, 3), b = rng_below(r, 1 + h(rng_u32(r), 2)); }
EOF
if (cd "$scratch/fine" && check) | grep -q fine; then
    echo "control: comments, strings and fprintf are no offence"
    failures=1
fi
finish
