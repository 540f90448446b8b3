/* report.h - report.html: a run on one page that needs no other file and no network.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_REPORT_H
#define PRESIZE_DRAW_REPORT_H

#include <jansson.h>

#include "data/shard.h"
#include "draw/page.h"

/* What the run folder does not hold. All borrowed; all zero is fine. */
struct report_sources {
    const struct shard_set *shards; /* the run's; NULL: a page without pictures */
    const char *no_shards;          /* why, in words */
    const json_t *momentum;         /* [[epoch, momentum], ...]; NULL: not known */
    const json_t *verify; /* rows [link, result, what] of --verify; NULL: it was not done */
    /* Where the network looked for CLASS in the picture of RANK, as JPEG of THUMB_SIDE px (owned by the caller); NULL:
     * the page has no such maps. 0, or -1 with ERR: this one cannot be had. */
    int (*cam)(void *cam_of, uint8_t **jpeg, size_t *size, uint32_t rank, int class,
               struct err *err);
    void *cam_of;
    struct page_served *served; /* the page is printed there; NULL: it is the file */
};

/* Writes FOLDER/report.html, or the page that is served, from what the run folder holds (run.json must be there; all
 * else is shown where it is, and where it is not, the page says so). Whole or not at all. ERR_INPUT, ERR_FORMAT,
 * ERR_IO, ERR_FULL, ERR_NOMEM. */
int report_write(const char *folder, const struct report_sources *from, struct err *err) MUST_USE;

#endif
