#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Every opcode, with arguments that make sense and that do not; FORGET and INTERRUPT come back with length 0.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native_both test_requests lengths
