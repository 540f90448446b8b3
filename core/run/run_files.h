/* run_files.h - what a finished run, or a score of one, consists of: the SHA-256 of each file in its folder.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_RUN_FILES_H
#define PRESIZE_RUN_RUN_FILES_H

#include <jansson.h>

#include "base/err.h"

/* *out = {"path below FOLDER": "sha256"}, each folder's sorted bytewise, owned by the caller: every file but hidden
 * ones and those that change later: what the list is written into (run.json, score.json), log.txt, pictures of what
 * is in others (plots/, report.html), what eval adds (scores/, looks.jsonl). ERR_IO, ERR_NOMEM. */
int run_files(json_t **out, const char *folder, struct err *err) MUST_USE;

#endif
