/* sim.h - a simulated device: the entry points of cudart, cuBLAS and cuDNN that the CUDA backend calls.
 *
 * For tests of the host side only, linked in place of the real libraries with the kernels as host code
 * into a plug-in of their own (libpresize_cuda_sim.so, opened through $PRESIZE_PLUGIN). Device memory
 * cannot be touched by the host and starts poisoned; streams run late, in an order drawn from a seed,
 * and as little as a wait asks for; accesses of two streams that nothing orders are found whatever
 * order was run. What the real libraries would let pass and must not happen is a fault: the first one
 * is kept, and ends the process with status 86 unless it is cleared. What breaks a capture is no fault:
 * it is reported as CUDA does.
 *
 * Never a statement about a real device. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_CUDA_SIM_H
#define PRESIZE_TESTS_CUDA_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_plant { /* mistakes of the host side, made for it by leaving out what it asks for */
                 PLANT_NONE,
                 PLANT_NO_WAIT, /* a stream does not wait for an event */
                 PLANT_NO_SYNC, /* the host does not wait for an event: a pinned slot is reused too early */
                 PLANT_STRIDE,    /* a tensor's strides are those of another layout */
                 PLANT_LEAK,      /* a buffer is not freed */
                 PLANT_GROUPS,    /* a filter of half the channels: two groups */
                 PLANT_WORKSPACE, /* a convolution gets less workspace than it asked for */
                 PLANT_STALE,     /* the first graph is launched in place of every other */
                 PLANT_NO_UPLOAD  /* once a graph was launched, nothing is uploaded */
};

/* Exported by the plug-in under the name "sim"; tests set it between uses of the backend. */
struct sim {
    uint64_t seed;        /* $SIM_SEED */
    enum sim_plant plant; /* $SIM_PLANT, a number */
    long fail_at;         /* $SIM_FAIL: this call fails, counted from 1; 0: none */
    long calls;           /* so far */
    long hang_at; /* $SIM_HANG: this collective of the process never ends, from 1; 0: none */
    /* $SIM_FAIL_KERNEL=KERNEL:N: the Nth launch of it goes wrong when it runs, and from */
    char kernel[64];
    long kernel_at; /* then on every call fails; of NCCL's functions: the Nth call fails */
    bool broken;
    size_t memory;        /* $SIM_MEMORY, bytes of the device; 0: as much as is asked for */
    int devices;          /* $SIM_DEVICES, 1 */
    int capability;       /* $SIM_CAPABILITY, 80 */
    size_t used, buffers; /* bytes and number of what is allocated */
    bool no_capture;      /* $SIM_NO_CAPTURE: what is put on a stream breaks its capture */
    long graphs;          /* launched so far */
    int fastest;          /* $SIM_FASTEST, -1: convolutions of this engine take half the time */
    long convolutions;    /* put on a stream so far */
    char fault[512];      /* the first one; "" */
};

#endif
