#!/bin/bash
# The whole of test_train_remote.sh: caches that lost or changed blocks, servers that drop, change or lack files, a server
# that is gone. SPDX-License-Identifier: MIT
LONG=1 exec bash "$SOURCE/tests/tool/test_train_remote.sh"
