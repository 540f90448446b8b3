#!/bin/bash
# Plain English. A sentence has at most 35 words: in Markdown (also each cell of a table) and in the
# strings of the tools (help, keys, messages). Phrases that readers of this field do not know are
# refused there and in comments. Left out are code blocks and headings; inline code is one word.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lint.sh"

cat >"$scratch/prose.pl" <<'EOP'
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));

my $most = 35;
# What is not said, and what to write. A space stands for any white space, also a line's end.
my @phrases = map { my ($re, $say) = @$_; $re =~ s/ /\\s+/g; [qr/$re/i, $say] } (
    ['\btold off\b', 'split into'],
    ['\bfore(?:tell(?:s|ing)?|told)\b', 'estimate'],
    ['\b(?:tells?|told|known)\b[^.;:]{0,60} beforehand\b', 'estimate; known before'],
    ['\bway back\b(?! to)', 'backward pass'],
    ['\banew\b', 'rebuilt; again'],
    ['\bleast (?:loss|error rate)\b', 'the lowest loss'],
    ['\bmost loss\b', 'the highest loss'],
    ['\b(?:hold|holds|holding|held)\b(?! on)[^.;:?!]{1,60}? against\b', 'compare A with B'],
    ['\b(?:goes|gone|going) on\b(?! (?:the|a|PATH)\b)', 'resumes; continues'],
    ['\bgoes on the same\b|\bgoes on on\b', 'continues'],
    ['\bwhat fits\b', 'the largest batch that fits'],
    ['(?<!there\s)\bis none\b(?! of)', 'is invalid; is not a ...'],
    ['(?<!as\s)\ba look\b', 'an evaluation on the test split'],
    ['\bcounts? (?:the )?looks\b', 'evaluations on the test split'],
    ['\bas drawn\b', 'with random augmentation'],
    ['\baveraged weights\b', 'EMA weights'],
    ['\b(?:in|with) the same bits\b', 'bit-identical'],
    ['\bare others(?! (?:that|which|who|of)\b)', 'differ'],
    ['\bkept pictures\b', 'pictures resident on the GPU'],
);

sub sentence {
    my ($file, $line, $text) = @_;
    (my $plain = $text) =~ s/\b(e\.g|i\.e|et al|vs|etc)\./$1/g;
    while ($plain =~ /\G\s*(.+?)(?:(?<=[.!?])["')\]*]*\s+(?=[\p{Lu}*"(\[0-9])|\z)/gs) {
        my ($one, $at) = ($1, $-[1]);
        my $n = grep { /[\p{L}\p{N}]/ } split ' ', $one;
        next if $n <= $most;
        my $lines = substr($plain, 0, $at) =~ tr/\n//;
        my $start = join ' ', (split ' ', $one)[0 .. 7];
        print "$file:", $line + $lines, ": a sentence of $n words, above $most: $start ...\n";
    }
}

sub phrases {
    my ($file, $line, $text) = @_;
    for my $p (@phrases) {
        while ($text =~ /$p->[0]/g) {
            my $lines = substr($text, 0, $-[0]) =~ tr/\n//;
            (my $found = $&) =~ s/\s+/ /g;
            print "$file:", $line + $lines, ": \"$found\": write \"$p->[1]\"\n";
        }
    }
}

# Code as one word, a link as its words; lines stay where they are.
sub words_only {
    my ($text) = @_;
    $text =~ s/(`+)(?:(?!\1).)+?\1/'CODE' . "\n" x ($& =~ tr{\n}{})/gse;
    $text =~ s/!?\[([^][]*)\]\(([^()]*)\)/$1 . "\n" x ($2 =~ tr{\n}{})/gse;
    return $text;
}

sub markdown {
    my ($file, $text) = @_;
    my ($code, $start, $paragraph, $n) = (0, 0, '', 0);
    my $end = sub {
        sentence($file, $start, words_only($paragraph));
        phrases($file, $start, words_only($paragraph));
        $paragraph = '';
    };
    for my $l (split /\n/, "$text\n\n") {
        $n++;
        my $fence = $l =~ /^\s*```/;
        $code = !$code if $fence;
        my $row = !$code && $l =~ /^\s*\|/;
        my $block = $fence || $code || $row || $l =~ /^#|^\s*$/ || ($paragraph eq '' && $l =~ /^    /);
        my $item = !$block && $l =~ s/^\s*(?:[-*>]|\d+\.)\s+//;
        $end->() if $paragraph ne '' && ($block || $item);
        if ($row) {
            for my $cell (split /(?<!\\)\|/, words_only($l)) {
                sentence($file, $n, $cell);
                phrases($file, $n, $cell);
            }
        } elsif (!$block) {
            $start = $n if $paragraph eq '';
            $paragraph .= "$l\n";
        }
    }
    $end->() if $paragraph ne '';
}

# The sentences of a string: a line that begins with a small letter belongs to the one before.
sub literal {
    my ($file, $line, $text) = @_;
    $text =~ s/\\"/"/g;
    $text =~ s/\\[nrtv](?![a-z])/\0/g;
    $text =~ s/\\[nrtv]/ /g;
    $text =~ s/\.%s(?= )/./g;
    $text =~ s{</?(?:p|tr|td|th|li|ul|h\d|div|section|button|label|pre)\b[^<>]*>}{\0}g;
    $text =~ s/<[^<>]*>//g;
    phrases($file, $line, $text);
    for my $part (split /\0/, $text) {
        sentence($file, $line, words_only($part));
    }
}

sub c_code {
    my ($file, $text) = @_;
    my $string = qr/"(?:\\.|[^"\\\n])*"/;
    while ($text =~ m{(/\*.*?\*/|(?://[^\n]*\n\s*)+)|(\x27(?:\\.|[^\x27\\\n])*\x27)
                      |($string(?:\s*(?:[A-Z_][A-Z_0-9a-z]*\s*)?$string)*)}gsx) {
        my ($comment, $chain) = ($1, $3);
        my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
        if (defined $comment) {
            $comment =~ s{^[ \t]*[*/]+[ \t]*}{}gm;
            phrases($file, $line, $comment);
        } elsif (defined $chain && $file !~ m{^tests/}) {
            $chain = substr $chain, 1, -1;
            $chain =~ s/(?<!\\)"\s*"//g;
            $chain =~ s/(?<!\\)"\s*[A-Z_][A-Z_0-9a-z]*\s*"/N/g;
            literal($file, $line, $chain);
        }
    }
}

for my $file (@ARGV) {
    open my $in, '<', $file or next;
    my $text = do { local $/; <$in> };
    if ($file =~ /\.md$/) {
        markdown($file, $text);
    } elsif ($file =~ /\.(?:c|h|cu|cpp)$/) {
        c_code($file, $text);
    } else {
        $text =~ s{^(?!\s*(?:#|//)).*}{}gm; # whole lines of comment
        phrases($file, 1, $text =~ s{^\s*(?:#|//)}{}gmr);
    }
}
EOP

check() {
    text_files | grep -E '\.(md|c|h|cu|cpp|sh|yaml|cmake|in|js)$|(^|/)Makefile$|CMakeLists.txt$' |
        grep -vxE 'tests/lint/test_prose\.sh|tests/data/.*|results/[^/]*/.*' |
        xargs -d '\n' perl "$scratch/prose.pl"
}

lint
long=$(printf 'word %.0s' $(seq 35))
must_find "a sentence of 36 words" docs/planted.md "# A title

First. ${long}word. Last.
"
must_find "a long cell" docs/planted.md "| a | b |
|---|---|
| c | ${long}word |
"
must_find "a long item, over two lines" README.md "- ${long}
  word
"
must_find "a long message" eval/planted.c "const char *s = \"Two. ${long}\"
    \"word\";
"
must_find "a phrase in a document" docs/planted.md "The run goes
on with the next epoch.
"
must_find "a phrase in a comment" core/nn/planted.c "/* The averages are made
 * anew. */
"
must_find "a phrase in a message" train/planted.c 'const char *s = "the least "
    "loss";
'
must_find "a phrase in a script" tests/tool/planted.sh '# The test holds the file against its hash.
'
mkdir -p "$scratch/fine/docs" "$scratch/fine/core"
cat >"$scratch/fine/docs/fine.md" <<END
# $long $long

    $long $long

\`$long $long\` is one word. W${long#w}

There is none. It holds a lock. A way back to the archive. As a look at the plot shows. On the run goes: on it.
END
echo "const char *s = \"$long\"; /* hold on; against */ int anew;" >"$scratch/fine/core/fine.c"
if (cd "$scratch/fine" && check) | grep .; then
    echo "control: fine sentences were found"
    failures=1
fi
finish
