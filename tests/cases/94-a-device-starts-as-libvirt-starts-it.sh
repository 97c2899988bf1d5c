#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Nothing but what libvirt passes, a listening or connected socket as a descriptor, and what it asks before.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

share_make
echo one >"$SHARE/f"
step "--print-capabilities"
run "$HOLDFAST" --print-capabilities >"$TMP/caps"
expect_text "capabilities" '{"type":"fs","features":["separate-options"]}' "$(tr -d ' \n' <"$TMP/caps")"

# No --state-dir: it is found from the share. /var/lib is the case's own.
STATE=
libvirt=(--shared-dir "$SHARE" --cache always --sandbox namespace --xattr --thread-pool-size=16 --rlimit-nofile=4096
	--log-level debug)
step "a socket that listens"
device_launch a "$TOOLS/unixsock" listen "$SOCKETS/sock-a" "$HOLDFAST" --fd=@FD "${libvirt[@]}"
[[ $(find /var/lib/holdfast -name key | wc -l) == 1 ]] || fail "no state"
expect_text "limit of descriptors" 4096 "$(awk '/Max open files/ { print $4 }' "/proc/${INSIDE[a]}/limits")"
run "$HOLDFAST" status --shared-dir="$SHARE" | grep -q "on socket" || fail "status"
began=${EPOCHREALTIME/./}
kill -TERM "${PID[a]}"
within 5 daemon_dead a || fail "it does not end"
((${EPOCHREALTIME/./} - began < 1000000)) || fail "SIGTERM took more than a second"
wait "${PID[a]}" || fail "exit $? on SIGTERM"
unset "PID[a]"
[[ -S $SOCKETS/sock-a ]] || fail "it removed a socket that it has not made"
rm "$SOCKETS/sock-a"

step "with ids of a user namespace"
device_launch a "$TOOLS/unixsock" listen "$SOCKETS/sock-a" "$HOLDFAST" --fd=@FD "${libvirt[@]}" --uid-map=:0:0:1000: --gid-map=:0:0:1000:
expect_text "uid_map" "0 0 1000" "$(awk '{ print $1, $2, $3 }' "/proc/${INSIDE[a]}/uid_map")"
expect_text "gid_map" "0 0 1000" "$(awk '{ print $1, $2, $3 }' "/proc/${INSIDE[a]}/gid_map")"
kill -TERM "${PID[a]}" && wait "${PID[a]}" || fail "exit $?"
unset "PID[a]"
rm "$SOCKETS/sock-a"

step "a socket that is connected, and hung up: the end"
STATE=$TMP/state
device_start b --persist
device_launch a "$TOOLS/unixsock" connect "${SOCKET[b]}" "$HOLDFAST" --fd=@FD --shared-dir="$SHARE"
device_stop b
SOCKET[a]=
device_ends a 0

step "other descriptors are refused"
expect_exit 10 "$HOLDFAST" --fd=77 --shared-dir="$SHARE"
expect_exit 10 "$HOLDFAST" --fd=0 --shared-dir="$SHARE"
device_refuses 2 --fd=x
