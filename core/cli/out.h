/* out.h - stdout of a tool: what comes from files reaches a terminal as text, not as commands.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_CLI_OUT_H
#define PRESIZE_CLI_OUT_H

/* From now on control characters that are written to stdout (text.h; line ends and tabs pass) become U+FFFD.
 * Once a process, before anything is written. */
void out_begin(void);

#endif
