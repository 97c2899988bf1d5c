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
export TSAN_OPTIONS="suppressions=$ROOT/tests/tsan.suppressions:log_path=$TMP/tsan:exitcode=66:second_deadlock_stack=1"
BUILD=build/tsan native test_stress two_queues
for report in "$TMP"/tsan.*; do
	[[ -e $report ]] || continue
	cat "$report"
	fail "ThreadSanitizer has found something"
done
