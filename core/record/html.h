/* html.h - report.html: a run on one page that needs no other file, no network and no script.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RECORD_HTML_H
#define PRESIZE_RECORD_HTML_H

#include "base/err.h"

/* Writes FOLDER/report.html from what the run folder holds (run.json must be there; metrics.json,
 * metrics.jsonl, params.yaml, predictions.h5 and plots are shown where they are). Whole or not at
 * all. */
int html_report(const char *folder, struct err *err) MUST_USE;

#endif
