#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 180
# weight: 10
# The helper is killed in the middle of work, of a mount and of a device: one line, exit code 5, and every handle that was
# given out opens in the next daemon. A helper that is stopped stops nothing for good.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/tests/lib/keys.sh"

# ended NAME: with 5 within 15 seconds.
ended() {
	local rc=0
	within 15 daemon_dead "$1" || fail "daemon $1 goes on without its helper"
	wait "${PID[$1]}" || rc=$?
	((rc == 5)) || fail "daemon $1 ended with $rc instead of 5"
	expect_text "lines about the helper" 1 "$(daemon_said "$1" | grep -c 'the key helper has ended')"
	unset "PID[$1]"
}

share_make
run "$TOOLS/populate" "$SHARE" 500
times=3
((FULL)) && times=20
touch "$TMP/hammer-a"
for ((i = 1; i <= times; i++)); do
	daemon_start a --key-helper
	helper=$(helper_of)
	"$TOOLS/hammer" "${MOUNT[a]}" "$TMP/hammer-a" "$i" 2>/dev/null & h=$!
	sleep "0.$((RANDOM % 5))"
	kill -9 "$helper"
	ended a
	wait $h 2>/dev/null # the mount has gone with the daemon
	umount -l "${MOUNT[a]}" 2>/dev/null
	daemon_start a --key-helper
	# What was given out last; at the end all of it, which is tens of thousands in the long round.
	tail -n 2000 "$TMP/hammer-a" >"$TMP/recent"
	FROM=$TMP/recent catalogue_check --no-content
	((i < times)) || FROM=$TMP/hammer-a catalogue_check --no-content
	daemon_stop a
done
step "a device"
device_start d --key-helper
kill -9 "$(helper_of)"
ended d
step "stopped for a while"
daemon_start a --key-helper
catalogue_take
helper=$(helper_of)
kill -STOP "$helper"
drop_caches
catalogue_check & check=$!
sleep 1.5
kill -CONT "$helper"
wait $check || fail "handles after the helper was stopped"
daemon_stop a
[[ ! -e /proc/$helper ]] || fail "the helper outlives its daemon"
