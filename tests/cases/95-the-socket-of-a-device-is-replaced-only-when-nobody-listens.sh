#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# And it has the mode and group that were asked for, and is gone with the device.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

share_make
step "one that was left behind"
run "$TOOLS/unixsock" stale "$SOCKETS/sock-a"
device_start a
expect_text "mode and group" "600 root" "$(stat -c '%a %G' "${SOCKET[a]}")"
step "one in use: refused, and not disturbed"
device_refuses 10 --socket-path="${SOCKET[a]}"
grep -q "another process listens" <<<"$SAID" || fail "not said"
daemon_alive a && [[ -S ${SOCKET[a]} ]] || fail "the first was disturbed"
run "$HOLDFAST" status --json --state-dir="$STATE" | grep -q '"connections": 0' || fail "the first saw a connection"
step "one that another has taken the place of is left there"
rm "${SOCKET[a]}"
run "$TOOLS/unixsock" stale "${SOCKET[a]}"
kill -TERM "${PID[a]}" && wait "${PID[a]}" || fail "exit $?"
unset "PID[a]"
[[ -S ${SOCKET[a]} ]] || fail "it removed the socket of another"
step "one that is being replaced by another at this moment"
SOCKETS=/run/sockets
mkdir $SOCKETS
run "$TOOLS/unixsock" stale "$SOCKETS/sock-a"
before=$(stat -c %i "$SOCKETS/sock-a")
exec {lock}<$SOCKETS
run flock -x $lock
(sleep 0.7 && [[ $(stat -c %i "$SOCKETS/sock-a") == "$before" ]] && : >"$TMP/untouched"; flock -u $lock) & watch=$!
device_start a
wait $watch
[[ -e $TMP/untouched ]] || fail "it did not wait for who has the lock"
step "and although the lock is held for ever"
exec {lock}>&-
kill -9 "${PID[a]}"
wait "${PID[a]}" 2>/dev/null
exec {lock}<$SOCKETS
run flock -x $lock
device_start a
device_stop a
exec {lock}>&-
SOCKETS=/run SOCKET[a]=/run/sock-a
step "what is no socket"
rm "${SOCKET[a]}"
echo precious >"${SOCKET[a]}"
device_refuses 10 --socket-path="${SOCKET[a]}"
expect_file "${SOCKET[a]}" precious
rm "${SOCKET[a]}"
step "a group"
device_start a --socket-group=daemon --sandbox=none
expect_text "mode and group" "660 daemon" "$(stat -c '%a %G' "${SOCKET[a]}")"
device_stop a
device_refuses 10 --socket-path="$SOCKETS/sock-a" --socket-group=no-such-group
[[ ! -e $SOCKETS/sock-a ]] || fail "a socket was left"
step "a path that is too long, or leads nowhere"
device_refuses 10 --socket-path="$SOCKETS/$(printf 'x%.0s' {1..120})"
grep -q "107 bytes" <<<"$SAID" || fail "the limit is not said"
device_refuses 10 --socket-path="/run/none/sock"
step "killed, its socket is replaced"
device_start a
kill -9 "${PID[a]}"
wait "${PID[a]}" 2>/dev/null
[[ -S ${SOCKET[a]} ]] || fail "who is killed cannot remove its socket"
device_start a
device_stop a
