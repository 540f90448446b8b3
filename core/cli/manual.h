/* manual.h - a tool's options and keys as its manual pages and as the words that shells complete, from the tables that
 * --help and --keys print. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_CLI_MANUAL_H
#define PRESIZE_CLI_MANUAL_H

#include <argp.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/cli.h"

/* What the hidden option --words KIND prints. Columns are separated by tabs.
 *   options      "--exp", "-e", argument ("NAME", "[N]" where it may be left out), help; those that are not hidden
 *   keys         name, default, range, help
 *   experiments, datasets  the names that --exp and prep take, a line each
 *   man          the page of section 1, in man(7)
 *   man-keys     the page of section 5, of a tool with keys
 * ERR_INPUT: no such KIND. */
int manual_words(FILE *file, const char *kind, const struct argp *argp,
                 const struct cli_common *common, struct err *err) MUST_USE;

#endif
