#!/bin/bash
# An include points down only, and only where the table of docs/house-style.md allows; a library's
# header is seen by the layers that link it. SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

check() {
    c_files | grep -v '^tests/' | xargs perl -ne '
        BEGIN {
            %allow = (
                base => "", image => "base", data => "base", tensorfile => "base",
                backend => "base", record => "base", draw => "base image data record", nn => "base tensorfile backend",
                experiment => "base data backend nn tensorfile",
                fetch => "base data tensorfile", prep => "base image data record",
                train => "base image data tensorfile backend record draw nn experiment",
                eval => "base image data tensorfile backend record draw nn experiment",
            );
            %owner = (
                "openssl/" => "base", "yaml.h" => "base", "argp.h" => "base fetch prep train eval",
                "jpeglib.h" => "image fetch", "jerror.h" => "image fetch", "spng.h" => "image",
                "gif_lib.h" => "image", "webp/" => "image", "tiff" => "image",
                "libheif/" => "image", "utf8proc.h" => "base", "hdf5.h" => "data record",
                "zstd.h" => "data", "pcre2.h" => "data", "archive" => "tensorfile fetch",
                "curl/" => "fetch", "cairo" => "record fetch", "oneapi/" => "backend",
                "dnnl" => "backend", "omp.h" => "backend", "cuda" => "backend",
                "cudnn" => "backend", "cublas" => "backend", "nccl" => "backend", "mpi.h" => "base",
            );
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
                    unless $to eq $layer ? $in_core : grep { $_ eq $to } split / /, $allow{$layer};
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
                report("$layer must not include <$header>")
                    unless grep { $_ eq $layer } split / /, $owner{$prefix};
            }
        }
        close ARGV if eof;'
}

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
must_find "an unknown layer" core/other/planted.c '#include "base/err.h"
'
finish
