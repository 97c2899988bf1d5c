#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 120
# weight: 10
# Of a mount, of a device in its sandbox, and with the helper: all memory of the live processes is read as root. Not in the
# log at its most talkative, nor in status, inspect, verify, map and ring.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/tests/lib/keys.sh"

# work: handles, sealed handles, a rotation, so that keys are used in every way.
work() {
	catalogue_take
	getfattr -e hex -n trusted.holdfast.handle "${MOUNT[a]}/file-1" >>"$TMP/said" 2>&1
	run "$HOLDFAST" rotate-key --state-dir="$STATE" >>"$TMP/said"
	drop_caches
	catalogue_check
}

# asked: whatever the commands tell.
asked() {
	"$HOLDFAST" status --json --state-dir="$STATE" >>"$TMP/said" || fail "status"
	"$HOLDFAST" status --state-dir="$STATE" >>"$TMP/said" || fail "status"
	"$HOLDFAST" verify --state-dir="$STATE" >>"$TMP/said" || fail "verify"
	"$HOLDFAST" inspect --log-level=debug --shared-dir="$SHARE" --state-dir="$STATE" \
		"$(handle_of "${MOUNT[a]}/file-1")" >>"$TMP/said" 2>&1 || fail "inspect"
}

nowhere() {
	run "$TOOLS/keyscan" file "$STATE/key" "$TMP"/log-* "$TMP/said" "$STATE"/map.db* /run/holdfast/*/ring
	local pid
	for pid in /proc/[0-9]*; do
		pid=${pid#/proc/}
		[[ " $* $$ " == *" $pid "* || ! -r /proc/$pid/maps || ! -s /proc/$pid/maps ]] && continue
		[[ $(readlink "/proc/$pid/exe") == "$HOLDFAST" ]] || continue
		keys_not_in_memory "$pid" "$STATE/key" all
	done
}

share_make
for i in 1 2 3 4 5; do echo "$i" >"$SHARE/file-$i"; done
step "a mount"
daemon_start a --log-level=debug --xattr
work
asked
keys_in_memory "${PID[a]}" "$STATE/key" nodeid
keys_in_memory "${PID[a]}" "$STATE/key" sealing
nowhere "${PID[a]}"
step "does the search find what is there?"
run "$TOOLS/keyscan" file "$STATE/key" "$TMP/said"
cat "$STATE/key" >"$TMP/copy"
"$TOOLS/keyscan" file "$STATE/key" "$TMP/copy" && fail "keyscan finds no keys in a key file"
xxd -p "$STATE/key" 2>/dev/null | tr -d '\n' >"$TMP/copy" || od -An -v -tx1 "$STATE/key" | tr -d ' \n' >"$TMP/copy"
"$TOOLS/keyscan" file "$STATE/key" "$TMP/copy" && fail "keyscan finds no keys in hex"
step "its core, as a debugger takes it, which leaves out what says so"
if command -v gcore >/dev/null; then
	run gcore -o "$TMP/core" "${PID[a]}" >/dev/null 2>&1
	run "$TOOLS/keyscan" file "$STATE/key" "$TMP/core.${PID[a]}"
	rm -f "$TMP/core.${PID[a]}"
fi
step "the kernel makes no core of it"
kill -SEGV "${PID[a]}"
wait "${PID[a]}" 2>/dev/null
rc=$?
((rc == 139)) || fail "killed by SIGSEGV it ended with $rc"
umount -l "${MOUNT[a]}"
unset "PID[a]"
[[ -z $(find "$TMP" "$PWD" -maxdepth 1 -name 'core*' -newer "$TMP/copy") ]] || fail "there is a core"

step "a mount with the helper: the sealing keys are its alone"
daemon_start a --log-level=debug --xattr --key-helper
work
asked
helper=$(helper_of)
keys_in_memory "${PID[a]}" "$STATE/key" nodeid
keys_not_in_memory "${PID[a]}" "$STATE/key" sealing
keys_in_memory "$helper" "$STATE/key" sealing
grep -q '^Seccomp:.2' "/proc/$helper/status" || fail "the helper has no filter of system calls"
grep -q '^NoNewPrivs:.1' "/proc/$helper/status" || fail "the helper can gain privileges"
grep -q '^CapEff:.0*$' "/proc/$helper/status" || fail "the helper has capabilities"
grep -q '^CapBnd:.0*$' "/proc/$helper/status" || fail "the helper can get capabilities"
expect_text "descriptors of the helper" 2 "$(find "/proc/$helper/fd" -type l | wc -l)"
grep -q 'Max core file size *1 *1 ' "/proc/$helper/limits" || fail "the helper may make a core"
nowhere "${PID[a]}" "$helper"
daemon_stop
within 5 test ! -e "/proc/$helper" || fail "the helper outlives its daemon"

step "a device in its sandbox, without and with the helper"
device_start d --log-level=debug
keys_in_memory "${INSIDE[d]}" "$STATE/key" nodeid
keys_in_memory "${INSIDE[d]}" "$STATE/key" sealing
nowhere "${INSIDE[d]}"
device_stop d
device_start d --log-level=debug --key-helper
helper=$(helper_of)
keys_in_memory "${INSIDE[d]}" "$STATE/key" nodeid
keys_not_in_memory "${INSIDE[d]}" "$STATE/key" sealing
keys_in_memory "$helper" "$STATE/key" sealing
nowhere "${INSIDE[d]}" "$helper"
kill -9 "${PID[d]}"
within 5 test ! -e "/proc/$helper" || fail "the helper outlives its device"
wait "${PID[d]}" 2>/dev/null
unset "PID[d]"
