#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# SIGTERM, SIGINT, SIGHUP; umount from outside; and with files held open. What SIGKILL leaves the next start replaces.
. "$(dirname "$0")/../lib/case.sh"

share_make
# What a shell starts in the background ignores SIGINT.
DAEMON_PREFIX=(env --default-signal=INT)
echo one >"$SHARE/f"
for signal in TERM INT HUP; do
	daemon_start a
	h=$(handle_of "${MOUNT[a]}/f")
	kill -$signal "${PID[a]}"
	within 5 daemon_dead a || fail "SIG$signal does not end it"
	rc=0
	wait "${PID[a]}" || rc=$?
	((rc == 0)) || fail "SIG$signal: exit $rc"
	! is_mounted "${MOUNT[a]}" || fail "SIG$signal: still mounted"
done
daemon_start a
expect_opens "$h" one
umount "${MOUNT[a]}" || fail "umount"
within 5 daemon_dead a || fail "umount does not end it"
wait "${PID[a]}" || fail "exit $? after umount"
daemon_start a
exec 5<"${MOUNT[a]}/f"
kill -TERM "${PID[a]}"
within 10 daemon_dead a || fail "SIGTERM with an open file does not end it"
exec 5<&-
[[ -z $(find "$STATE" -name '*-wal' -size +0) ]] || fail "a WAL is left after a clean stop"
daemon_start a
# shellcheck disable=SC2034 # read by daemon_start
for MOUNT_END in "" / // /. /.//./; do
	step "SIGKILL leaves a mount that is replaced by --mount=DIR$MOUNT_END"
	kill -9 "${PID[a]}"
	wait "${PID[a]}" 2>/dev/null
	is_mounted "${MOUNT[a]}" || fail "no mount is left: nothing is tested"
	daemon_start a
	expect_opens "$h" one
	expect_text "mounts there" 1 "$(grep -cF " ${MOUNT[a]} " /proc/self/mountinfo)"
done
daemon_stop
