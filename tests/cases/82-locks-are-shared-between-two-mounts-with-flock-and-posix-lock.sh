#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
. "$(dirname "$0")/../lib/case.sh"

share_make
echo x >"$SHARE/f"
daemon_start a --flock --posix-lock
daemon_start b --flock --posix-lock
exec 5<>"${MOUNT[a]}/f"
run flock -n -x 5
! flock -n -x "${MOUNT[b]}/f" true || fail "both hold the lock"
! flock -n -x "$SHARE/f" true || fail "the host holds it as well"
(sleep 0.7; flock -u 5) &
unlocker=$!
started=$(date +%s%N)
run timeout 10 flock -x "${MOUNT[b]}/f" true
((($(date +%s%N) - started) > 400000000)) || fail "it did not wait"
wait $unlocker
step "a holder that was killed holds nothing"
run flock -n -x 5
daemon_kill9 a
run timeout 5 flock -x "${MOUNT[b]}/f" true
exec 5<&-
daemon_stop b
