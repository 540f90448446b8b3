/* planted.h - kernels with one mistake each, for the emulation to find. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_PLANTED_H
#define PRESIZE_TESTS_PLANTED_H

#ifdef __cplusplus
extern "C" {
#endif

int planted_none(float *x);
int planted_divergent_barrier(float *x);  /* half the threads leave before it */
int planted_unexpected_barrier(float *x); /* launched as one without */
int planted_unwritten(float *x);          /* reads shared memory nobody wrote */
int planted_two_writers(float *x);        /* all threads write one place of it */
int planted_beyond(float *x);             /* 64 values are x's: the 65th is written */
int planted_misaligned(float *x);         /* four values at once, one place off */

#ifdef __cplusplus
}
#endif

#endif
