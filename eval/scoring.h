/* scoring.h - a run's network on a part of its set or on another one, with its labels.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_SCORING_H
#define PRESIZE_EVAL_SCORING_H

#include <jansson.h>

#include "base/path.h"
#include "data/augment.h"
#include "request.h"
#include "run/predictions.h"
#include "run/run.h"
#include "run/score.h"

struct scored {
    json_t *facts;              /* as in score.json */
    struct score_record record; /* of facts */
    struct predictions *p;
    uint32_t errors;
    char folder[PATH_LEN]; /* where the predictions lie */
};
struct scoring {
    struct scored plain, tta; /* tta.p NULL: not asked for */
    unsigned
        looks; /* of this run at test pictures of that set, these included; 0: no test pictures */
};

/* Predictions that lie below RUN and were made by the same weights, device and way are taken, others
 * made and written to RUN/scores/SET/PART/. The processes of r->team all call it, and rank 0 writes. ERR_INPUT: one of
 * them scores something else; ERR_FORMAT, ERR_CHECKSUM, ... */
int scoring_get(struct scoring *out, const struct request *r, const struct run_entry *run,
                struct err *err) MUST_USE;
/* ERR_INPUT when the RUN has no augmentation: there would be nothing to average. */
int scoring_check_tta(const struct augment_options *o, const char *run, struct err *err) MUST_USE;
void scoring_free(struct scoring *s); /* all zero is fine */

#endif
