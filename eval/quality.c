/* quality.c - metrics as lines and as JSON. SPDX-License-Identifier: MIT */
#include "quality.h"

#include "run/metrics.h"

int quality_add(json_t *all, const struct look *l, struct err *err)
{
    struct metrics m;

    if (l->p && l->p->n > 0 && metrics_of(&m, l->p, err) < 0)
        return -1;
    if (json_object_set_new(all, "metrics", l->p && l->p->n > 0 ? metrics_json(&m) : json_null()) <
        0)
        return err_set(err, ERR_NOMEM, "metrics");
    return 0;
}

/* ", LABEL VALUE", which is the N-th; three of them a line. */
static void print_metric(FILE *out, const struct metrics *m, enum monitor which, int n)
{
    double low, high;

    if (n > 0 && n % 3 == 0)
        fprintf(out, ",\n%-12s", "");
    else if (n > 0)
        fputs(", ", out);
    fprintf(out, "%s %.4f", monitor_rows[which].label, metrics_value(m, which));
    if (metrics_interval(&low, &high, m, which))
        fprintf(out, " (95 %% interval %.4f to %.4f%s)", low, high,
                low > 0 ? "" : ", as a calibrated network can have");
}

int quality_print(FILE *out, const struct look *l, struct err *err)
{
    struct metrics m;
    int n = 0;

    if (!l->p || l->p->n == 0)
        return 0;
    if (metrics_of(&m, l->p, err) < 0)
        return -1;
    fprintf(out, "%-12s", "metrics");
    for (int i = MONITORS_ALWAYS; i < MONITORS; i++)
        if (metrics_says((enum monitor)i, l->p->classes))
            print_metric(out, &m, (enum monitor)i, n++);
    fprintf(out, "\n%-12sbest temperature %.2f\n", "", m.temperature);
    return 0;
}
