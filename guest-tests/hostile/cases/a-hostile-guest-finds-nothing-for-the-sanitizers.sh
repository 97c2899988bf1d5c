#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 600
# weight: 110
# The same cases on the build with ASan and UBSan.
export HOLDFAST_BUILD=build/asan
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/hostile/lib/hostile.sh"

# Its allocator keeps more.
GROWTH=131072
hostile_all namespace

# Leaks can be looked for where there is neither sandbox nor filter, which the search would need more of.
step "what is left at the end"
share_make
export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=1
device_start l --persist --sandbox=none --seccomp=none --posix-lock --security-label
hostile_run l record message node fh object wire size
run kill -TERM "${PID[l]}"
device_ends l 0
