# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Tests of the native front-end (guest-tests/native/tests), each on a daemon that the test starts. Sourced by cases after
# tests/lib/case.sh.

. "$ROOT/tests/lib/device.sh"

# native PROGRAM TEST...: each test of that program on an empty share and state. BUILD: build or build/asan.
BUILD=build
native() {
	local program=$1 test
	shift
	[[ -x $ROOT/build/native/$program ]] || fail "build/native/$program was not built"
	for test in "$@"; do
		step "$BUILD: $test"
		rm -rf "$STATE"
		find "$SHARE" -mindepth 1 -delete
		"$ROOT/build/native/$program" "$ROOT/$BUILD/holdfast" "$SHARE" "$STATE" "$SOCKETS/sock" "$test" ||
			fail "$BUILD: $program $test: exit $?"
	done
}

# native_both PROGRAM TEST...: the same with ASan and UBSan behind it.
native_both() {
	BUILD=build native "$@"
	BUILD=build/asan native "$@"
}

# native_tsan PROGRAM TEST...: the same with ThreadSanitizer in the daemon, which ends with 66 where it saw a data race. In the
# sandbox there is no place for its reports but stderr.
native_tsan() {
	export TSAN_OPTIONS="exitcode=66:second_deadlock_stack=1"
	BUILD=build/tsan native "$@"
}
