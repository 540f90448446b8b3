/* end.h - what follows a sum, for the *_isa.c files of this folder. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CONV_END_H
#define PRESIZE_BACKEND_CPU_CONV_END_H

#include "backend/cpu/conv/pack.h"
#include "backend/cpu/simd.h"

/* Of VL channels from CHANNEL on; zeros where there are none. */
INLINE vf scale_of(const struct put_to *to, int channel)
{
    return to->scale ? load_v(to->scale + channel) : (vf){0};
}

INLINE vf bias_of(const struct put_to *to, int channel)
{
    return to->scale ? load_v(to->bias + channel) : (vf){0};
}

/* To element AT of the target. TO is a copy of the caller's: its members stay in registers. */
INLINE void end_sum(const struct put_to *to, size_t at, vf sum, vf scale, vf bias, enum dtype t)
{
    if (to->scale)
        sum = sum * scale + bias;
    if (to->residual)
        sum += load_typed(to->residual, at, t);
    store_typed(to->target, at, to->relu ? relu_v(sum) : sum, t);
}

#endif
