#!/bin/bash
# Every source names its licence, base names are unique, no text names a place on somebody's machine or a document that
# is not there, and tests in bash have their scratch folder from tests/tool/scratch.sh.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

check() {
    c_files | xargs grep -L 'SPDX-License-Identifier: MIT' | sed 's/$/: no SPDX line/'
    find $(existing_folders) -name '*.sh' -type f | LC_ALL=C sort |
        xargs grep -L 'SPDX-License-Identifier: MIT' | sed 's/$/: no SPDX line/'
    find $(existing_folders) -name 'test_*.sh' ! -path 'tests/lint/*' | LC_ALL=C sort | xargs -r grep -nE 'mktemp -d|^trap ' /dev/null |
        sed 's/$/  <- tests\/tool\/scratch.sh does that/'
    c_files | awk -F/ '{ if ($NF in seen) print $0 ": the name of " seen[$NF]; seen[$NF] = $0 }'
    text_files | grep '\.md$' | sed 's,.*/,,' >"$scratch/documents"
    text_files | grep -vE '^(tests|results)/' | grep -E '\.(md|c|h|cu|sh|cmake|txt)$' | tr '\n' '\0' |
        xargs -0 grep -noE '[A-Za-z0-9_-]+\.md\b' /dev/null | awk -F: -v list="$scratch/documents" '
            BEGIN { while ((getline name <list) > 0) there[name] = 1 }
            !($3 in there) { print $1 ":" $2 ": there is no " $3 }'
    # written in pieces, so that this file does not name them itself
    text_files | grep -v '^LICENSE$' | tr '\n' '\0' |
        xargs -0 grep -nE "(^|[^A-Za-z0-9_./:}-])/(ho""me|ro""ot|wo""rk|Us""ers|mnt)(/|\$|[^A-Za-z0-9_])" |
        sed 's/$/  <- a place on one machine/'
}

lint
must_find "a file without licence" core/nn/planted.c 'int x;
'
must_find "a second file of a name" train/err.c '/* SPDX-License-Identifier: MIT */
'
must_find "a scratch folder of its own" tests/tool/test_planted.sh '# SPDX-License-Identifier: MIT
scratch=$(mktemp -d)
'
must_find "a document that is not there" core/nn/planted.c '/* As notes.md says. SPDX-License-Identifier: MIT */
'
must_find "a place on one machine" core/nn/planted.c "/* SPDX-License-Identifier: MIT */
const char *s = \"/ho""me/me/data\";
"
finish
