#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# Of the same type and of another, by the guest and by the host, many times: the handle of each is its own for ever.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a
m=${MOUNT[a]}
handles=()
for ((i = 0; i < 30; i++)); do
	echo "life $i" >"$m/new$i"
	handles[i]=$(handle_of "$m/new$i")
	if ((i % 2)); then run mv -f "$m/new$i" "$m/name"; else run mv -f "$SHARE/new$i" "$SHARE/name"; fi
	expect_same_or_stale "${handles[i]}" "life $i"
	((i % 10)) || daemon_restart kill9
done
ls -l "$m" >/dev/null
expect_opens "${handles[29]}" "life 29"
drop_caches
for ((i = 0; i < 29; i++)); do expect_stale "${handles[i]}"; done
step "another type"
rm "$SHARE/name"; mkdir "$SHARE/name"; echo below >"$SHARE/name/f"
drop_caches
expect_stale "${handles[29]}"
dir=$(handle_of "$m/name")
rm -r "$SHARE/name"; ln -s /etc/passwd "$SHARE/name"
drop_caches
expect_stale "$dir"
expect_stale "${handles[29]}"
daemon_stop
