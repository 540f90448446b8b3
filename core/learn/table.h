/* table.h - the table of epochs, as fastprogress prints it on a console.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_TABLE_H
#define PRESIZE_LEARN_TABLE_H

#include <stdio.h>

struct table_row {
    int epoch; /* of the phase, from 0 */
    double train_loss, valid_loss, error_rate, seconds;
    const char *monitored; /* name of a further column before the time; NULL: none */
    double value;          /* in it */
};

/* Column names, one line; MONITORED as in the rows. Names and values are padded to at least 8 characters and 2
 * spaces. */
void table_header(FILE *out, const char *monitored);
void table_print(FILE *out, const struct table_row *row);

#endif
