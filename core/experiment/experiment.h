/* experiment.h - every module's keys joined into one struct; extends, overrides, the resolved copy.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_EXPERIMENT_H
#define PRESIZE_EXPERIMENT_EXPERIMENT_H

#include "backend/backend.h"
#include "base/hash.h"
#include "data/augment.h"
#include "data/split.h"
#include "nn/network.h"
#include "nn/recipe.h"

struct experiment {
    char name[128];              /* of the file, "" for none */
    char title[256];             /* key title: the question the experiment asks */
    int64_t seed;
    struct data_options data;
    struct model_options model;
    struct augment_options augment;
    struct train_options train;
    struct optim_options optim;
    struct exec_options exec;
    char *given;                 /* text of the experiment file, owned */
};

/* Reads experiments/NAME.yaml (or FILE.yaml), its `extends` chain (at most 8), then the N words
 * KEY=VALUE. ERR_INPUT: missing (with the near names), a loop in extends, whatever keys_apply says; an error in the words
 * has kind ERR_INPUT and msg starting "command line". Release with experiment_free(). */
int experiment_read(struct experiment **out, const char *name, char *const *words, int n,
                    struct err *err) MUST_USE;
void experiment_free(struct experiment *e); /* NULL is fine */

/* resolved.yaml (every key, nested) and params.yaml (flat). */
int experiment_write(const struct experiment *e, const char *folder, struct err *err) MUST_USE;
/* SHA-256 over every key that may change a bit: not exec.threads, exec.prefetch, names, title. */
int experiment_sha256(const struct experiment *e, char hex[SHA256_HEX], struct err *err) MUST_USE;
/* experiments/README.md: every key of every module (train --keys). */
void experiment_document(FILE *file);

#endif
