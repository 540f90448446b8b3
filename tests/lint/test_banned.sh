#!/bin/bash
# Calls that are not made: those that overrun or cannot report an error anywhere; in core also those
# that print or end the process (base/cli and base/log are there for that), and in the tools ending
# elsewhere than in TOOL/TOOL.c. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

check() {
    stripped_c | perl -ne '
        BEGIN {
            $always = "atoi|atol|atof|sprintf|vsprintf|strcpy|strcat|strtok|gets|rand|srand|alloca";
            $exits = "exit|_exit|perror";
            $prints = "printf|vprintf|puts|putchar";
        }
        ($file, $line, $code) = split /\t/, $_, 3;
        $words = $file =~ m{^tests/} ? $always
            : $file =~ m{^core/base/(cli|log)\.c$} ? "$always|system"
            : $file =~ m{^core/} ? "$always|system|$exits|$prints"
            : $file =~ m{^(fetch|prep|train|eval)/\1\.c$} ? "$always|system"
            : "$always|system|$exits";
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
mkdir -p "$scratch/fine/core"
cat >"$scratch/fine/core/fine.c" <<'EOF'
/* printf("in a comment"); */ const char *s = "rand()"; void f(FILE *a) { fprintf(a, "x"); }
EOF
if (cd "$scratch/fine" && check) | grep -q fine; then
    echo "control: comments, strings and fprintf are no offence"
    failures=1
fi
finish
