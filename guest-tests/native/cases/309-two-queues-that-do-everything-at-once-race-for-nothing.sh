#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 240
# weight: 30
# The stress of two queues with the daemon as it is, and with ThreadSanitizer in it: no data race.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native test_stress two_queues
native_tsan test_stress two_queues
