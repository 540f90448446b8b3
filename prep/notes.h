/* notes.h - what is noted of each picture while it is made: told at once, or kept until rank 0 tells it for all.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_PREP_NOTES_H
#define PRESIZE_PREP_NOTES_H

#include "data/duplicate.h"
#include "prep.h"

struct note { /* of one picture */
    bool failed, cut, more, alpha;
    int orientation, side; /* side: the short one, as decoded */
    struct duplicate_item id;
    const char *text; /* why it failed; else the decoder's warning, or ""; borrowed */
};

struct notes { /* of all; of one thread */
    const struct prep *p;
    bool skips; /* a picture that failed is left out */
    uint32_t bad;
    uint32_t *kept;             /* of each class */
    int *sides;                 /* of each item: short side as decoded, 0: left out */
    struct duplicate_item *ids; /* of each item */
    struct remarks *remarks;    /* the listing's, to which those about pixels come */
    /* One of several processes: its notes in the order of its pictures, and where those that failed are in the order of
     * all. */
    char *packed;
    size_t size, room;
    uint32_t *places, n_places;
};

int notes_begin(struct notes *n, const struct prep *p, bool skips, struct err *err) MUST_USE;
void notes_free(struct notes *n);
/* Tells and counts the note of ITEM. */
void notes_tell(struct notes *n, uint32_t item, const struct note *note);
/* Keeps it, of the picture at PLACE in the order. ERR_NOMEM. */
int notes_keep(struct notes *n, uint32_t place, const struct note *note, struct err *err) MUST_USE;
/* The next of those that were kept, from *AT on, which moves behind it; END is behind the last. ERR_FORMAT. */
int notes_next(struct note *out, const char **at, const char *end, struct err *err) MUST_USE;

#endif
