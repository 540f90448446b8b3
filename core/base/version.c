/* version.c - the lines of --version --verbose.
 * SPDX-License-Identifier: MIT */
#include "base/version.h"

#include <gnu/libc-version.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <utf8proc.h>
#include <yaml.h>

#include "base/isa.h"

const char presize_version[] = PRESIZE_VERSION;

void version_library(FILE *file, const char *name, const char *version)
{
    fprintf(file, "  %s %s\n", name, version);
}

/* The instruction sets of the processor, the one in use first. */
static void say_isas(FILE *file)
{
    struct err err = {0};
    enum isa used, isa;

    if (isa_choose(&used, NULL, &err) < 0)
        return; /* $PRESIZE_ISA is wrong, which cli_parse() says */
    fprintf(file, "processor: uses %s; it has", isa_name(used));
    for (int i = 0; isa_choices[i + 1]; i++)
        if (isa_choose(&isa, isa_choices[i + 1], &err) == 0)
            fprintf(file, " %s", isa_name(isa));
    fputc('\n', file);
}

void version_print(FILE *file, const char *tool, const struct version_layer *layers)
{
    fprintf(file, "%s (presize) %s\n", tool, presize_version);
    fprintf(file, "compiler: %s\n",
#ifdef __clang__
            __VERSION__
#else
            "gcc " __VERSION__
#endif
    );
    say_isas(file);
    fputs("libraries:\n", file);
    version_library(file, "glibc", gnu_get_libc_version());
    version_library(file, "jansson", jansson_version_str());
    version_library(file, "libyaml", yaml_get_version_string());
    version_library(file, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
    version_library(file, "utf8proc", utf8proc_version());
    for (; layers && layers->say; layers++)
        layers->say(file);
}
