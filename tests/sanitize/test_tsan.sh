#!/bin/bash
# The pool and the prefetching stream under ThreadSanitizer. SPDX-License-Identifier: MIT
set -eu
. "$(dirname "$0")/instrumented.sh"
instrumented tsan thread instrumented
