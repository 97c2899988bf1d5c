#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# A running daemon is made to call keyctl(2) in the place of one of its own calls, as machine code of an attacker would.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

[[ $(uname -m) == x86_64 ]] || skip "the number of keyctl(2) is that of x86_64"
KEYCTL=250
share_make
echo one >"$SHARE/f"

# force PID: the next statx(2) of one of its threads, which a request causes, is a keyctl(2).
force() {
	"$TOOLS/forcecall" "$1" $KEYCTL >"$TMP/forced" &
	local forcer=$!
	within 10 grep -q ready "$TMP/forced" || fail "forcecall is not ready"
	timeout 10 stat "${MOUNT[a]}/f" "${MOUNT[a]}/g$RANDOM" >/dev/null 2>&1
	wait "$forcer" || fail "forcecall: exit $?"
}

# ended MODE CODE
ended() {
	local rc=0
	within 10 daemon_dead a || fail "--seccomp=$1: it lives on"
	wait "${PID[a]}" || rc=$?
	expect_text "exit of --seccomp=$1" "$2" $rc
	umount -l "${MOUNT[a]}"
	unset "PID[a]"
}

step "kill, the default"
daemon_start a
force "${PID[a]}"
ended kill $((128 + 31))
step "trap"
daemon_start a --seccomp=trap
force "${PID[a]}"
ended trap 13
daemon_said | grep -q "error: seccomp: keyctl (system call $KEYCTL) is not on the list" || fail "not named"
expect_text "lines" 1 "$(daemon_said | grep -c "error: seccomp")"
for mode in log none; do
	step "$mode"
	daemon_start a --seccomp=$mode
	force "${PID[a]}"
	expect_file "${MOUNT[a]}/f" one
	daemon_stop
done
step "of a device, the process outside says so"
export FORCECALL=$TOOLS/forcecall FORBIDDEN=$KEYCTL
"$ROOT/build/native/test_death" "$HOLDFAST" "$SHARE" "$STATE" "$SOCKETS/sock" forbidden 2>"$TMP/said" || fail "test_death: $(<"$TMP/said")"
grep -q "error: the daemon was killed by signal 31: a system call that is not on the list; --seccomp=trap names it" "$TMP/said" ||
	fail "said: $(<"$TMP/said")"
step "and of another end"
device_start b
kill -KILL "${INSIDE[b]}"
rc=0; wait "${PID[b]}" || rc=$?
((rc == 1)) || fail "exit $rc"
daemon_said b | grep -q "killed by signal 9" || fail "nothing said"
unset "PID[b]"
