#!/bin/bash
# An include points down only, and only where core/layers.txt allows; a library's header is seen by the folders that
# name the library there. docs/house-style.md has that file as a table. Usage: test_includes.sh [--table]
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

layers=$SOURCE/core/layers.txt

check() {
    c_files | grep -v '^tests/' | xargs perl -ne '
        BEGIN {
            open my $file, "<", "'"$layers"'" or die "no core/layers.txt";
            my %begin;
            while (<$file>) {
                if (/^library (\S+):(.*)/) {
                    $begin{$1} = [split " ", $2];
                } elsif (/^(\d) (\S+):([^:]*):([^:]*):/) {
                    $allow{$2} = $3;
                    for my $library (split " ", $4) {
                        die "core/layers.txt: $2: no library $library\n" unless $begin{$library};
                        $owner{$_}{$2} = 1 for @{$begin{$library}};
                    }
                }
            }
        }
        my ($layer, $rest) = $ARGV =~ m{^core/([^/]+)/} ? ($1, 1) : $ARGV =~ m{^([^/]+)/};
        my $in_core = $ARGV =~ m{^core/};
        sub report { print "$ARGV:$.: @_\n" }
        if (!exists $allow{$layer}) {
            report("the layer $layer is not in the table") if $. == 1;
        } elsif (/^\s*#\s*include\s*"([^"]+)"/) {
            my $header = $1;
            if ($header =~ m{\.\.}) {
                report("$header: no .. in an include");
            } elsif ($header =~ m{^([^/]+)/}) {
                my $to = $1;
                report("$layer must not include $to/ ($header)")
                    unless $to eq $layer ? $in_core : grep { $_ eq $to } split " ", $allow{$layer};
                report("$header: no such file in core/") unless -f "core/$header";
            } elsif ($in_core) {
                report("$header: in core, write \"layer/file.h\"");
            } elsif (!-f "$layer/$header") {
                report("$header: not a file of $layer/");
            }
        } elsif (/^\s*#\s*include\s*<([^>]+)>/) {
            my $header = $1;
            for my $prefix (keys %owner) {
                next unless index($header, $prefix) == 0;
                report("$layer must not include <$header>") unless $owner{$prefix}{$layer};
            }
        }
        close ARGV if eof;'
}

table() {
    echo "| | folder | may include | libraries | what lives there |"
    echo "|---|---|---|---|---|"
    perl -ne 'next unless /^(\d) (\S+): *([^:]*?) *: *([^:]*?) *: *(.*)/;
        my ($level, $folder, $layers, $libraries, $what) = ($1, $2, $3, $4, $5);
        print "| $level | `", $level < 6 ? "core/" : "", "$folder` | ",
              join(" | ", join(", ", split / /, $layers), join(", ", split / /, $libraries), $what), " |\n"' "$layers" |
        sed 's/  */ /g'
}

if [ "${1-}" = --table ]; then
    table
    exit
fi
table >"$scratch/table"
sed -n '/^| | folder |/,/^$/p' "$SOURCE/docs/house-style.md" | grep . >"$scratch/written"
diff "$scratch/written" "$scratch/table" || {
    echo "docs/house-style.md has another table than core/layers.txt: tests/lint/test_includes.sh --table prints it"
    failures=1
}
# README.md of each folder of core ends with who may include it.
perl -ne 'next unless /^(\d) (\S+): *([^:]*?) *:/;
    push @folders, $2 if $1 < 6;
    push @{$by{$_}}, $2 for split / /, $3;
    END { print "$_ Included by: ", join(", ", @{$by{$_}}), ".\n" for @folders }' "$layers" >"$scratch/callers"
[ -s "$scratch/callers" ] || failures=1
while read -r folder line; do
    [ "$(tail -n 1 "$SOURCE/core/$folder/README.md")" = "$line" ] || {
        echo "core/$folder/README.md: must end with \"$line\" (core/layers.txt)"
        failures=1
    }
done <"$scratch/callers"
lint
must_find "an arrow that points up" core/base/planted.c '#include "nn/network.h"
'
must_find "a level-1 layer that knows another" core/image/planted.c '#include "data/shard.h"
'
must_find "a layer below a tool that is not its own" fetch/planted.c '#include "nn/network.h"
'
must_find "another tool's file" eval/planted.c '#include "train.h"
'
must_find "another tool's folder" eval/planted.c '#include "../train/session.h"
'
must_find "a bare name in core" core/nn/planted.c '#include "network.h"
'
must_find "a library in the wrong layer" core/nn/planted.c '#include <hdf5.h>
'
must_find "tensor shapes in the layer of data" core/data/planted.c '#include "arch/resnet.h"
'
must_find "an unknown layer" core/other/planted.c '#include "base/err.h"
'
finish
