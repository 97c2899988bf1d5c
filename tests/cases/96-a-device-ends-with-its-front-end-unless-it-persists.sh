#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# A hang-up is the end, with 0; what is no message is the end, with 1 and one line; with --persist the next is served.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

share_make

for mode in namespace none; do
	step "$mode: a hang-up"
	device_start a --sandbox=$mode
	"$TOOLS/unixsock" hold "${SOCKET[a]}" </dev/null >/dev/null || fail "no connection"
	device_ends a 0
	step "$mode: bad input"
	device_start a --sandbox=$mode
	run "$TOOLS/unixsock" junk "${SOCKET[a]}" >/dev/null
	device_ends a 1
	expect_text "lines" 1 "$(daemon_said a | sed '1,/serving/d' | grep -c .)"
	step "$mode: --persist"
	device_start a --sandbox=$mode --persist
	for i in 1 2 3; do
		run "$TOOLS/unixsock" junk "${SOCKET[a]}" >/dev/null
		"$TOOLS/unixsock" hold "${SOCKET[a]}" </dev/null >/dev/null || fail "connection $i"
	done
	daemon_alive a || fail "it has ended"
	step "$mode: --persist, and for a while no descriptor for a front-end"
	run prlimit --pid "${INSIDE[a]}" --nofile=3:
	"$TOOLS/unixsock" junk "${SOCKET[a]}" >/dev/null & front=$!
	within 5 eval 'daemon_said a | grep -q "cannot be let in: Too many open files"' || fail "nothing said"
	sleep 0.3
	daemon_alive a || fail "it has ended"
	kill -0 $front || fail "the front-end was sent away"
	run prlimit --pid "${INSIDE[a]}" --nofile=1024:
	wait $front || fail "the front-end was not served"
	run prlimit --pid "${INSIDE[a]}" --nofile=3:
	"$TOOLS/unixsock" junk "${SOCKET[a]}" >/dev/null & front=$!
	sleep 0.3
	device_stop a
	wait $front
done
for signal in INT HUP; do
	device_start a
	kill -$signal "${PID[a]}"
	device_ends a 0
done
