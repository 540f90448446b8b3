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

int quality_print(FILE *out, const struct look *l, struct err *err)
{
    struct metrics m;

    if (!l->p || l->p->n == 0)
        return 0;
    if (metrics_of(&m, l->p, err) < 0)
        return -1;
    fprintf(out, "%-12s", "metrics");
    if (l->p->classes > 5)
        fprintf(out, "top-5 accuracy %.4f, ", m.top5);
    fprintf(out, "balanced accuracy %.4f, macro F1 %.4f, MCC %.4f\n", m.balanced_accuracy,
            m.macro_f1, m.mcc);
    fprintf(out, "%-12slog loss %.4f nat, Brier score %.4f; best temperature %.2f\n", "",
            m.log_loss, m.brier, m.temperature);
    fprintf(out, "%-12sECE %.4f (95 %% interval %.4f to %.4f)%s\n", "", m.ece, m.ece_low,
            m.ece_high, m.ece_low > 0 ? "" : ", as a calibrated network can have");
    return 0;
}
