#!/bin/bash
# The parts that read what others wrote, under AddressSanitizer and UndefinedBehaviorSanitizer.
# SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/instrumented.sh"
instrumented asan address,undefined instrumented
