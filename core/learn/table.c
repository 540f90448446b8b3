/* table.c - the table of epochs (fastprogress, ConsoleMasterBar.write).
 * SPDX-License-Identifier: MIT */
#include "learn/table.h"

#include <string.h>

#include "base/clock.h"

enum { NARROWEST = 8, GAP = 2 };

static void put(FILE *out, const char *column, const char *text)
{
    const int n = (int)strlen(column);

    fprintf(out, "%-*s ", (n < NARROWEST ? NARROWEST : n) + GAP - 1, text);
}

static void put_number(FILE *out, const char *column, double value)
{
    char cell[64];

    snprintf(cell, sizeof cell, "%.6f", value);
    put(out, column, cell);
}

void table_header(FILE *out, const char *monitored)
{
    static const char *const columns[] = {"epoch", "train_loss", "valid_loss", "error_rate"};

    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        put(out, columns[i], columns[i]);
    if (monitored)
        put(out, monitored, monitored);
    put(out, "time", "time");
    fputc('\n', out);
    fflush(out);
}

void table_print(FILE *out, const struct table_row *row)
{
    char cell[64];

    snprintf(cell, sizeof cell, "%d", row->epoch);
    put(out, "epoch", cell);
    put_number(out, "train_loss", row->train_loss);
    put_number(out, "valid_loss", row->valid_loss);
    put_number(out, "error_rate", row->error_rate);
    if (row->monitored)
        put_number(out, row->monitored, row->value);
    clock_duration(row->seconds, cell, sizeof cell);
    put(out, "time", cell);
    fputc('\n', out);
    fflush(out);
}
