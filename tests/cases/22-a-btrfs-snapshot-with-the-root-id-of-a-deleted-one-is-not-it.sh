#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: btrfs
# Host handle, inode number and birth time are all equal; the subvolume's UUID is not.
. "$(dirname "$0")/../lib/case.sh"

share_make
run mount -o remount,commit=1 "$HOST" # or the cleaner sleeps for half a minute
btrfs subvolume create "$SHARE/origin" >/dev/null
echo "first life" >"$SHARE/origin/f"
daemon_start a
m=${MOUNT[a]}
origin=$(handle_of "$m/origin/f")
btrfs subvolume snapshot "$SHARE/origin" "$SHARE/snap" >/dev/null
id=$(btrfs inspect-internal rootid "$SHARE/snap")
snap=$(handle_of "$m/snap/f")
snapdir=$(handle_of "$m/snap")
[[ $snap != "$origin" ]] || fail "the file in the snapshot has the handle of its origin"
echo "second life" >"$SHARE/snap/f"
expect_opens "$snap" "second life"
expect_opens "$origin" "first life"
daemon_restart kill9
expect_opens "$snap" "second life"
daemon_stop
btrfs subvolume delete "$SHARE/snap" >/dev/null || fail "delete"
btrfs subvolume sync "$HOST" >/dev/null
image_umount "$HOST"
image_mount "$IMAGE" "$HOST"
btrfs subvolume snapshot "$SHARE/origin" "$SHARE/snap" >/dev/null
expect_text "root id" "$id" "$(btrfs inspect-internal rootid "$SHARE/snap")"
echo "third life" >"$SHARE/snap/f"
daemon_start a
expect_stale "$snap"
expect_stale "$snapdir"
expect_opens "$origin" "first life"
expect_opens "$(handle_of "$m/snap/f")" "third life"
expect_stale "$snap"
daemon_stop
