/* convert.h - 16-bit floating-point numbers widened, exactly. Private to tensorfile.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_CONVERT_H
#define PRESIZE_TENSORFILE_CONVERT_H

#include <stdint.h>

float float_of_f16(uint16_t half);  /* IEEE 754 binary16 */
float float_of_bf16(uint16_t half); /* the upper half of a binary32 */

#endif
