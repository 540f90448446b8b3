/* host_train.h - a small network in training over the simulated device (sim.h), for the tests of the CUDA
 * backend's host side. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_CUDA_HOST_TRAIN_H
#define PRESIZE_TESTS_CUDA_HOST_TRAIN_H

#include "ops.h"
#include "sim.h"

enum {
    PICTURES = 4,
    SIDE = 16,
    CHANNELS = 16,
    KINDS = 5,
    STEPS = 9,
    BATCHES = 4,
    PIXELS = 40 * 56 * 3
};

extern struct sim *sim;
extern const struct backend *cuda;

struct net {
    struct op_list *l;
    int loss;
};
/* One convolution, norm, pools, a linear layer; PARTS: runs whose gradients make a step. */
struct net host_net(enum dtype t, int parts);

/* Step S; from the fourth on batches are shown again. KEPT: the device has them all, nothing is shown. */
struct step host_step(struct picture pictures[PICTURES], int s, bool kept);
extern const struct picture_set host_set;
extern enum host_reading {
    READ_WELL,
    READ_OTHERS,
    READ_FAILS
} host_reading; /* how its pictures are read */

struct way {
    bool keep;  /* the pictures stay on the device */
    bool eager; /* no graphs */
    bool tuned; /* the fastest convolutions */
    int parts;  /* runs that make a step; 0: one */
    enum {
        AHEAD_NOT,
        AHEAD,
        AHEAD_WRONG,
        AHEAD_OTHERS
    } ahead; /* the next batch is named: not, right, another is, with another's pixels */
};

extern char host_steps[256]; /* what the backend said of its runs, in the last training */

/* STEPS steps on K without reading results in between; parameters into OUT. 0, or -1. */
int host_train(const struct backend *k, enum dtype t, struct way way, float *out[4],
               struct err *err);

struct parameters {
    float values[4][2 * CHANNELS * KINDS + CHANNELS * 27];
    float *at[4];
};

struct parameters *parameters_new(void);
double distance(const struct parameters *a, const struct parameters *b);
void must(int rc, const struct err *err); /* RC is 0, and there was no fault */
/* Whether training WAY in type T, with WHAT planted, ends with the bits of WANT and without a fault; *GRAPHS
 * were launched. */
bool host_same_bits(const struct parameters *want, enum dtype t, struct way way,
                    enum sim_plant what, long *graphs);

/* Opens the plug-in, then runs the N tests; a program's status. */
int host_main(const struct CMUnitTest *tests, size_t n);

#endif
