#!/bin/bash
# clang-format 14 (other versions lay out differently) would change nothing, and has torn no declaration to save the
# comment behind it: such a comment stands above.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

format=
for candidate in clang-format-14 clang-format; do
    if "$candidate" --version 2>/dev/null | grep -q 'version 14\.'; then
        format=$candidate
        break
    fi
done
if [ -z "$format" ]; then
    echo "skipped: no clang-format 14 here"
    exit 77
fi

check() {
    c_files | xargs "$format" --style="file:$SOURCE/.clang-format" --dry-run 2>&1 |
        sed -n 's/^\([^:]*:[0-9]*\):[0-9]*: warning.*/\1: clang-format -i would change this/p'
    c_files | xargs perl -ne 'print "$ARGV:$.: a declaration in two lines; its comment belongs above\n"
        if /^ +(?:const )?(?:struct \w+|bool|char|double|float|int|json_t|size_t|u?int\d+_t)(?: \w+)?(?: ?\*+)?$/;
        close ARGV if eof'
}

lint
must_find "a torn declaration" core/nn/planted.h 'struct torn {
    const char *
        name; /* so long that the whole line would have more than a hundred columns, so it is torn here */
};
'
must_find "a layout of its own" core/nn/planted.c 'int  f( void ){return 0 ;}
'
finish
