/* cams.h - class activation maps of a run's pictures, as pictures.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_CAMS_H
#define PRESIZE_EXPERIMENT_CAMS_H

#include "data/shard.h"
#include "experiment/cam.h"

/* PICTURES, presized, with their maps set as for infer_run(): OUT (n, side, side, 3) is where C's network looked for
 * class CLASSES[i] of picture I, laid over its centre square. ERR_NOMEM, and the errors of a step (backend.h). */
int cams_lay(uint8_t *out, int side, struct cam *c, const struct picture *pictures, int n,
             const int *classes, struct err *err) MUST_USE;

/* ERR_UNSUPPORTED: T reads something else than the centre square. */
int cams_check(const struct trained *t, struct err *err) MUST_USE;

/* A run's network, to look at pictures of shards. */
struct cams;
/* Of the network of T, borrowed. ERR_UNSUPPORTED as above, ERR_NOMEM. */
int cams_new(struct cams **out, const struct trained *t, struct err *err) MUST_USE;
/* Opens the run in FOLDER as trained_open() does. ERR_INPUT, ERR_FORMAT, ... : the weights are not there, or cannot be
 * used here. */
int cams_open(struct cams **out, const char *folder, const char *which, char *const *words,
              int n_words, struct err *err) MUST_USE;
void cams_close(struct cams *c); /* NULL is fine */
/* The picture of RANK with its map of CLASS as JPEG, SIDE px. *jpeg: SIZE bytes, owned by the caller. */
int cams_jpeg(uint8_t **jpeg, size_t *size, struct cams *c, const struct shard_set *shards,
              uint32_t rank, int class, int side, struct err *err) MUST_USE;

/* The member `cam` of struct report_sources (draw/report.h), whose cam_of is a struct cams_source. */
struct cams_source {
    struct cams *cams;
    const struct shard_set *shards;
};
int cams_for_report(void *of, uint8_t **jpeg, size_t *size, uint32_t rank, int class,
                    struct err *err) MUST_USE;

#endif
