#!/bin/bash
# The simulated device's tests under AddressSanitizer and UndefinedBehaviorSanitizer: minutes.
# SPDX-License-Identifier: MIT
set -eu
. "${SOURCE:?}/tests/sanitize/instrumented.sh"
instrumented asan address,undefined instrumented_long
