#!/bin/bash
# test_nvcc.sh for all architectures. SPDX-License-Identifier: MIT
ARCHITECTURES="75 80 86 89 90 100 120" exec bash "$SOURCE/tests/cuda/test_nvcc.sh"
