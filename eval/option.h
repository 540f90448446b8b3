/* option.h - values of options, from text. A text that is no such value ends the program as misuse (status 2).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_OPTION_H
#define PRESIZE_EVAL_OPTION_H

#include <stdint.h>

uint32_t option_count(const char *option,
                      const char *text); /* a whole number of at least 1; OPTION: for the message */
int option_port(const char *text);       /* 0 to 65535 */
int option_top(const char *text);        /* a count, or "all": INT_MAX */
double option_beta(const char *text);    /* 0 to 1 */
const char *option_part(const char *text); /* train, valid or test; TEXT */

#endif
