/* convert.c - 16-bit floating-point numbers widened, exactly.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/convert.h"

#include <math.h>
#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

float float_of_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    uint32_t mantissa = half & 1023;

    if (exponent == 31) /* infinity, NaN */
        return float_of_bits(sign | 0x7f800000U | mantissa << 13);
    if (exponent == 0) { /* zero and what lies below 2^-14: mantissa 2^-24 */
        float value = ldexpf((float)mantissa, -24);

        return sign ? -value : value;
    }
    return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

float float_of_bf16(uint16_t half)
{
    return float_of_bits((uint32_t)half << 16);
}
