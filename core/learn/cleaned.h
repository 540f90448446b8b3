/* cleaned.h - what a run keeps of labels that are not those of the shards: its copy of the table of data.clean, and the
 * list of labels that data.plant made wrong. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_CLEANED_H
#define PRESIZE_LEARN_CLEANED_H

#include "learn/session.h"

/* FOLDER/clean.csv, the same bytes as the table that was read, and FOLDER/planted.csv (path,right,planted), each where
 * there is cause. Written before the keys: a run that can be opened has them. ERR_IO, ERR_NOMEM. */
int cleaned_write(const struct session *s, const char *folder, struct err *err) MUST_USE;

#endif
