/* pipeline.h - pictures from their files to what a shard stores, by threads, and out in order.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_PREP_PIPELINE_H
#define PRESIZE_PREP_PIPELINE_H

#include <pthread.h>
#include <signal.h>

#include "data/shard_write.h"
#include "notes.h"
#include "prep.h"

enum { PIPELINE_WORKERS = 256 };

enum making_state { MAKING_EMPTY, MAKING_READ, MAKING_CLAIMED, MAKING_DONE };

struct making { /* one picture on its way from a reader through a worker to the writer */
    enum making_state state;
    char *file; /* its bytes, from reader to worker */
    size_t file_size;
    struct note note;         /* ->text is not set */
    struct err err;           /* where note.failed */
    uint8_t *pixels, *packed; /* packed: but with storage raw */
    size_t capacity, packed_capacity;
    struct shard_pixels out;
    char format[8], warning[200];
};

/* Start from all zero but what is above the threads, and the initializers of the lock and the conditions. */
struct pipeline {
    const struct prep *p;
    const struct shard_writer *writer; /* of the order; outlives the pipeline */
    const uint32_t *make;              /* where in the order the N pictures are; borrowed */
    uint32_t n;

    struct making *slots;
    uint32_t n_slots;
    int workers, readers;
    pthread_t threads[PIPELINE_WORKERS], reading[PIPELINE_WORKERS];

    pthread_mutex_t lock; /* guards what follows and slots[].state */
    pthread_cond_t room, read, ready;
    uint32_t to_read, next, taken; /* claimed by readers, by workers; released */
    bool stop;
    bool check_only; /* pictures are decoded, to find those that cannot be, and no more */
};

int pipeline_start(struct pipeline *l, struct err *err) MUST_USE;
/* Picture I < n; in order, each once, by one thread. NULL: *STOP was set. */
struct making *pipeline_wait(struct pipeline *l, uint32_t i, const volatile sig_atomic_t *stop);
void pipeline_release(struct pipeline *l, struct making *s);
void pipeline_only_check(struct pipeline *l);
void pipeline_finish(struct pipeline *l); /* joins all threads, also of one that was not started */

#endif
