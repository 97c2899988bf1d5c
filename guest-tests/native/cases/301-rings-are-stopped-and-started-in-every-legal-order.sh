#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# All orders of the six messages that start a ring; disabled and enabled; RESET_DEVICE; locks that are got meanwhile.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native_both test_rings orders reset waiting again
