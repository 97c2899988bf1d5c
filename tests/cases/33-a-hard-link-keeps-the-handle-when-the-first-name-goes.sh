#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# Removed by the guest, by the host with the daemon running, and by the host with none.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a
m=${MOUNT[a]}
mkdir "$m/d" "$m/e"
for who in guest running stopped rename; do
	echo $who >"$m/d/$who-1"
	run ln "$m/d/$who-1" "$m/e/$who-2"
	run ln "$m/d/$who-1" "$m/d/$who-3"
done
declare -A h=()
for who in guest running stopped rename; do
	h[$who]=$(handle_of "$m/d/$who-1")
	expect_text "one object, one handle" "${h[$who]}" "$(handle_of "$m/e/$who-2")"
done
rm "$m/d/guest-1"
expect_opens "${h[guest]}" guest
drop_caches
expect_opens "${h[guest]}" guest
daemon_restart kill9
expect_opens "${h[guest]}" guest
rm "$m/d/guest-3"
mv "$m/e/guest-2" "$m/d/guest-4"
drop_caches
expect_opens "${h[guest]}" guest
step "the host, with the daemon running"
rm "$SHARE/d/running-1"
echo other >"$SHARE/d/running-1"
drop_caches
expect_opens "${h[running]}" running
step "the host, with no daemon"
daemon_stop
rm "$SHARE/d/stopped-1" "$SHARE/d/stopped-3"
echo other >"$SHARE/d/stopped-1"
daemon_start a
expect_opens "${h[stopped]}" stopped
step "a rename of one name onto another of the same object is nothing"
run mv "$m/d/rename-1" "$m/d/rename-9"
"$TOOLS/renameflags" plain "$m/d/rename-3" "$m/d/rename-9" || fail "rename"
drop_caches
expect_opens "${h[rename]}" rename
rm -f "$m/d/rename-9" "$m/d/rename-3"
expect_opens "${h[rename]}" rename
rm "$m/e/rename-2"
expect_stale "${h[rename]}"
daemon_restart kill9
expect_stale "${h[rename]}"
for who in guest running stopped; do expect_opens "${h[$who]}" $who; done
daemon_stop
