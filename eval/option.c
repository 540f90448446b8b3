/* option.c - see option.h. SPDX-License-Identifier: MIT */
#include "option.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

uint32_t option_count(const char *option, const char *text)
{
    return (uint32_t)cli_number("eval", option, text, 1, 1000000000);
}

int option_port(const char *text)
{
    return (int)cli_number("eval", "--serve", text, 0, 65535);
}

int option_top(const char *text)
{
    if (strcmp(text, "all") == 0)
        return INT_MAX;
    return (int)option_count("--top", text);
}

double option_beta(const char *text)
{
    char *end;
    double beta = strtod(text, &end);

    if (*end || !*text || !(beta >= 0 && beta <= 1))
        die_usage("eval", "--beta=%s: expected a number from 0 to 1", text);
    return beta;
}

const char *option_part(const char *text)
{
    if (strcmp(text, "train") != 0 && strcmp(text, "valid") != 0 && strcmp(text, "test") != 0)
        die_usage("eval", "--split %s: expected train, valid or test", text);
    return text;
}
