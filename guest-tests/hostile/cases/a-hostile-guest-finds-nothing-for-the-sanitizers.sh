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
