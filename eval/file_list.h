/* file_list.h - the pictures that --predict is given: files, folders, and a list on stdin.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_FILE_LIST_H
#define PRESIZE_EVAL_FILE_LIST_H

#include "request.h"

struct file_list { /* start from all zero */
    char **files;
    size_t n, room;
    int failed; /* words that gave no file, each with a line on stderr */
};

/* The words of R in their order: a file is itself; a folder its pictures and those of the folders below it, sorted
 * bytewise, hidden ones and what is no picture left out (which is said); "-" the lines of stdin. ERR_NOMEM. */
int file_list_read(struct file_list *l, const struct request *r, struct err *err) MUST_USE;
void file_list_free(struct file_list *l);

#endif
