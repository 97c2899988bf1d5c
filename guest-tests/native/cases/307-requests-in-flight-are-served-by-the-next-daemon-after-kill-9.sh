#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# By the record of INFLIGHT_SHMFD, twelve times in a row, each request exactly once; none of them to rings that began
# anew on the connection that it came by.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native_both test_death inflight anew
