/* selftest_private.h - what the parts of the self-test share. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_SELFTEST_SELFTEST_PRIVATE_H
#define PRESIZE_SELFTEST_SELFTEST_PRIVATE_H

#include <jansson.h>

#include "backend/backend.h"
#include "nn/network.h"
#include "selftest/selftest.h"

struct selftest {
    struct exec_options exec; /* of the one under test */
    struct device under;      /* test */
    struct device cpu, ref;
    struct device eager; /* the one under test, without CUDA graphs; be is NULL where it has none */
    bool quick;
    FILE *out, *page; /* the same text */
    json_t *checks;
    int passed, failed, left_out;
};

enum verdict { PASSED, FAILED, LEFT_OUT };

/* One line of the page, one object in the JSON. FACTS is taken over; NULL: none. */
void selftest_check(struct selftest *t, enum verdict verdict, const char *name, json_t *facts,
                    const char *format, ...) PRINTF_LIKE(5, 6);
/* The same as LEFT_OUT where the cause is that a device cannot, FAILED otherwise; clears ERR. */
void selftest_error(struct selftest *t, const char *name, struct err *err);

/* The device whose numbers TYPE is held against: the cpu's, and ref's where that is the one under test or
 * has no such type. */
struct device *selftest_partner(struct selftest *t, enum dtype type);
bool selftest_has(const struct selftest *t, enum dtype type); /* the device under test */
/* That device opened once more, with no parameters yet. */
int selftest_open(struct device *d, const struct selftest *t, struct err *err) MUST_USE;

/* N pictures of SIDE x SIDE noise with the draws of a training epoch in MODE, to SIZE; borrowed pixels
 * at PIXELS, 3 SIDE SIDE bytes. */
void selftest_pictures(struct picture *pictures, uint8_t *pixels, int n, int mode, int side,
                       int size, int classes);

void selftest_ops(struct selftest *t);     /* every op of three networks, alone */
void selftest_augment(struct selftest *t); /* the cpu's bits */
void selftest_repeats(struct selftest *t); /* the same bits twice */
void selftest_graphs(struct selftest *t);  /* the same bits with CUDA graphs and without */
void selftest_overflow(
    struct selftest *t); /* fp16: a step with an infinite gradient changes nothing */
void selftest_curve(struct selftest *t); /* losses of 20 steps */
void selftest_rates(struct selftest *t); /* images/s of the five networks */

#endif
