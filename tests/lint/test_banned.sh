#!/bin/bash
# Calls that are not made: those that overrun or cannot report an error anywhere; in core also those
# that print or end the process (base/cli and base/log are there for that), and in the tools ending
# elsewhere than in TOOL/TOOL.c. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

check() {
    c_files | while read -r file; do
        words='atoi|atol|atof|sprintf|vsprintf|strcpy|strcat|strtok|gets|rand|srand|alloca|system'
        case $file in
        core/base/cli.c | core/base/log.c) ;;
        core/*) words="$words|exit|_exit|printf|puts|putchar|perror|vprintf" ;;
        fetch/fetch.c | prep/prep.c | train/train.c | eval/eval.c) ;;
        fetch/* | prep/* | train/* | eval/*) words="$words|exit|_exit|perror" ;;
        tests/*) words=${words%|system} ;;
        esac
        strip_c "$file" | perl -ne '
            print "'"$file"':$.: $1() is banned here\n" while /(?<![\w.>])('"$words"')\s*\(/g'
    done
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
cat >"$scratch/fine.c" <<'EOF'
/* printf("in a comment"); */ const char *s = "rand()"; void f(FILE *a) { fprintf(a, "x"); }
EOF
if strip_c "$scratch/fine.c" | grep -q 'comment\|rand()'; then
    echo "control: comments and strings are not code"
    failures=1
fi
finish
