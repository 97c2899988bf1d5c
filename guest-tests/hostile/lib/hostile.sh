# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# The hostile cases against a device. Sourced by cases after case.sh and device.sh.

HOSTILE=$ROOT/build/native/hostile
# Freed memory that ASan keeps to find its use is not growth; so little of it is enough here.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:quarantine_size_mb=8:thread_local_quarantine_size_kb=16
GROWTH=16384

# hostile_run NAME [OPTION|PATTERN...]: against device NAME; the names of failed cases are said.
hostile_run() {
	local name=$1 rc=0
	shift
	"$HOSTILE" --pid="${INSIDE[$name]}" --log="${LOG[$name]}" --growth="$GROWTH" "$@" >"$TMP/hostile-$name.out" 2>&1 || rc=$?
	cat "$TMP/hostile-$name.out"
	if ((rc)); then
		fail "hostile cases against $name (exit $rc): $(grep FAIL "$TMP/hostile-$name.out" | cut -c1-300)"
	fi
	! grep -q 'runtime error:\|AddressSanitizer' "${LOG[$name]}" || fail "a sanitizer has found something"
}
