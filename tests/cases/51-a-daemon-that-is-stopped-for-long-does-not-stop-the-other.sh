#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# SIGSTOP of one of two daemons, in the middle of work.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a
daemon_start b
"$TOOLS/hammer" "${MOUNT[a]}" "$TMP/hammer" 1 2>/dev/null &
hammer=$!
sleep 0.3
kill -STOP "${PID[a]}"
sleep 0.2
touch "$TMP/started"
for i in 1 2 3 4 5 6 7 8 9 10; do
	timeout 5 bash -c "echo 'b $i' >'${MOUNT[b]}/b$i'" || fail "the other daemon is stuck"
	expect_opens "$(handle_of "${MOUNT[b]}/b$i")" "b $i" "${MOUNT[b]}"
done
kill -CONT "${PID[a]}"
for i in 1 2 3 4 5 6 7 8 9 10; do
	expect_opens "$(handle_of "${MOUNT[a]}/b$i")" "b $i" "${MOUNT[a]}"
done
kill $hammer
wait $hammer 2>/dev/null
FROM=$TMP/hammer catalogue_check --no-content --allow-stale
daemon_stop a
daemon_stop b
