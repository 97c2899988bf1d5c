#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Share and state at paths with a space, a newline, odd bytes, and of 4095 bytes: served, found again, and every line of the log is
# one. A byte more than the kernel takes is refused. Without /dev/fuse a mount is refused with what to do, and a device serves.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

SOCKETS=/run
number=0
# path_of DIR LEN: a new path of that many bytes; its directories are there but for the last.
path_of() {
	local at=$1 want=$2 step
	(
		cd "$at" || exit
		while ((${#at} + 202 < want)); do
			step=$(printf '%0199d' 0)
			mkdir -p "$step" && cd "$step" || exit
			at+=/$step
		done
		echo "$at/$(printf "%0$((want - ${#at} - 1))d" "$number")"
	)
}
# make_directory PATH: as its parent may be as long as it likes.
make_directory() { (at=/; IFS=/; for part in ${1#/}; do cd "$at" || exit; [[ -d $part ]] || mkdir "$part"; at=$part; done); }

for path in "$TMP/a b" "$TMP/new"$'\n'"line" "$TMP/odd"$'\x01\xff\\\xe2\x80"%s'"'" long; do
	for what in share state; do
		SHARE=$TMP/plain-share$((++number)) STATE=$TMP/plain-state$number
		[[ $path == long ]] && at=$(path_of "$TMP" 4095) || at=$path-$what
		step "$what: ${#at} bytes, ${at:${#TMP}:30}"
		if [[ $what == share ]]; then SHARE=$at; else STATE=$at; fi
		if [[ $path == long ]]; then make_directory "$at"; else mkdir "$at"; fi
		[[ -d $SHARE ]] || mkdir "$SHARE"
		chmod 755 "$SHARE"
		[[ ! -d $STATE ]] || chmod 700 "$STATE"
		daemon_start a
		echo one >"${MOUNT[a]}/f" || fail "write"
		h=$(handle_of "${MOUNT[a]}/f")
		daemon_kill9
		daemon_start a
		expect_opens "$h" one
		run "$HOLDFAST" status --state-dir="$STATE" >"$TMP/said"
		! grep -av '^state: \|^  [a-z]*: \|^daemon ' "$TMP/said" || fail "a path broke a line of the status"
		"$HOLDFAST" status --json --state-dir="$STATE" | grep -q "\"pid\": ${PID[a]}" || fail "status does not know the daemon"
		! grep -av '^holdfast: \|^=== start' "${LOG[a]}" || fail "a path broke a line of the log"
		! LC_ALL=C grep -aq '[^ -~]' "${LOG[a]}" || fail "a path is in the log as it is"
		daemon_stop
		rm "${LOG[a]}"
		(cd "$SHARE" && [[ -e f ]]) || fail "it is not in the share"
		[[ $what == share ]] || continue
		device_start d
		device_stop d
	done
done

step "longer than the kernel takes"
((++number))
mkdir "$TMP/share" "$TMP/mnt"
long=$(path_of "$TMP" 4096)
make_directory "$long"
expect_exit 3 "$HOLDFAST" --shared-dir="$long" --mount="$TMP/mnt" --state-dir="$TMP/state"
grep -q "share: cannot open.*: File name too long" <<<"$SAID" || fail "not said: $SAID"
expect_exit 4 "$HOLDFAST" --shared-dir="$TMP/share" --mount="$TMP/mnt" --state-dir="$long"
grep -q "File name too long" <<<"$SAID" || fail "not said: $SAID"
expect_exit 10 "$HOLDFAST" --shared-dir="$TMP/share" --mount="$long" --state-dir="$TMP/state"
expect_exit 10 "$HOLDFAST" --shared-dir="$TMP/share" --socket-path="$(path_of "$TMP" 4095)" --state-dir="$TMP/state"

step "no /dev/fuse"
SHARE=$TMP/share STATE=$TMP/state
cat >"$TMP/without" <<'END'
mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 || exit 77
[[ $1 == none ]] || mknod /dev/fuse c 10 "$1"
shift
exec "$@"
END
for node in none 255; do # 255: of no driver
	expect_exit 10 unshare --mount bash "$TMP/without" $node "$HOLDFAST" --shared-dir="$SHARE" --mount="$TMP/mnt" --state-dir="$STATE"
	grep -q "/dev/fuse is missing; load the module with 'modprobe fuse'" <<<"$SAID" || fail "it does not say what to do: $SAID"
	expect_text "error lines" 1 "$(grep -c error <<<"$SAID")"
	! is_mounted "$TMP/mnt" || fail "mounted"
done
DAEMON_PREFIX=(unshare --mount bash "$TMP/without" none)
device_start d
device_stop d
DAEMON_PREFIX=()
daemon_start a
daemon_stop
