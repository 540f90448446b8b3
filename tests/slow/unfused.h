/* unfused.h - a planted mistake for test_arm64.sh's control: vfmaq_f32() rounds the product, too.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_UNFUSED_H
#define PRESIZE_TESTS_UNFUSED_H

#include <arm_neon.h>

static inline float32x4_t unfused(float32x4_t c, float32x4_t a, float32x4_t b)
{
    float32x4_t product = vmulq_f32(a, b);

    __asm__("" : "+w"(product)); /* not to be contracted */
    return vaddq_f32(c, product);
}
#define vfmaq_f32 unfused

#endif
