/* arrange.h - the rows of a table sorted and filtered, as --list=HOW asks. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_ARRANGE_H
#define PRESIZE_EVAL_ARRANGE_H

#include "base/field.h"

/* ROWS are arrays with a cell for each of FIELDS. HOW has parts, separated by commas, which are done in their order:
 * COLUMN sorts, the lowest first; -COLUMN the highest first; COLUMN=TEXT keeps rows whose cell contains TEXT (a whole
 * number: is TEXT). Empty cells are last, equal rows keep their order. ERR_USAGE: no such column. ERR_NOMEM. */
int arrange_rows(json_t *rows, const struct field *fields, const char *how,
                 struct err *err) MUST_USE;

#endif
