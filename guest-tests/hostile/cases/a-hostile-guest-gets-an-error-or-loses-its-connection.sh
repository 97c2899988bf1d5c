#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 400
# weight: 90
# Whatever it sends: an error, a bare completion, or the end of its connection with one line; the next is served by the same process.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/hostile/lib/hostile.sh"

hostile_all namespace
