/* table.c - the table of epochs (fastprogress, ConsoleMasterBar.write).
 * SPDX-License-Identifier: MIT */
#include "table.h"

#include <string.h>

#include "base/clock.h"

static const char *const columns[] = {"epoch", "train_loss", "valid_loss", "error_rate", "time"};
enum { N_COLUMNS = sizeof columns / sizeof *columns, NARROWEST = 8, GAP = 2 };

static int width(int column)
{
    int n = (int)strlen(columns[column]);

    return (n < NARROWEST ? NARROWEST : n) + GAP;
}

void table_header(FILE *out)
{
    for (int i = 0; i < N_COLUMNS; i++)
        fprintf(out, "%-*s ", width(i) - 1, columns[i]);
    fputc('\n', out);
    fflush(out);
}

void table_print(FILE *out, const struct table_row *row)
{
    char cell[64];

    fprintf(out, "%-*d ", width(0) - 1, row->epoch);
    snprintf(cell, sizeof cell, "%.6f", row->train_loss);
    fprintf(out, "%-*s ", width(1) - 1, cell);
    snprintf(cell, sizeof cell, "%.6f", row->valid_loss);
    fprintf(out, "%-*s ", width(2) - 1, cell);
    snprintf(cell, sizeof cell, "%.6f", row->error_rate);
    fprintf(out, "%-*s ", width(3) - 1, cell);
    clock_duration(row->seconds, cell, sizeof cell);
    fprintf(out, "%-*s\n", width(4), cell);
    fflush(out);
}
