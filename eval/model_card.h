/* model_card.h - README.md of an exported model: what Hugging Face reads, figures, how to load it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_MODEL_CARD_H
#define PRESIZE_EVAL_MODEL_CARD_H

#include "export_record.h"
#include "look.h"

/* Writes core/draw/page/model_card.md, filled in, to OUT. L has predictions; FACTS are those of config.json, PART what
 * the predictions are of: "validation". A write error stays in OUT. ERR_NOMEM. */
int model_card_write(FILE *out, const struct look *l, const struct export_record *facts,
                     const char *part, struct err *err) MUST_USE;

#endif
