#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# One second, with four queues that were busy just before.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native test_requests idle
