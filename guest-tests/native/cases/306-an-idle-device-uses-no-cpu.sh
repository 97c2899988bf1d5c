#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Two seconds, with four queues that were busy just before; also with a long time to look at the ring before a queue sleeps.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native test_requests idle
