#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs
# The image is rolled back to an older copy while no daemon runs, and other files take the inode numbers. No handle of before
# opens one of them, and files from before the copy keep theirs.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a
m=${MOUNT[a]}
mkdir "$m/d"
for i in 1 2 3; do echo "old $i" >"$m/d/old$i"; done
catalogue_take "$TMP/old"
daemon_stop
image_umount "$HOST"
cp --sparse=always "$IMAGE" "$TMP/before"
image_mount "$IMAGE" "$HOST"
daemon_start a
for i in 1 2 3 4 5 6 7 8; do echo "lost $i" >"$m/d/lost$i"; lost[i]=$(handle_of "$m/d/lost$i"); done
daemon_stop
image_umount "$HOST"
cp --sparse=always "$TMP/before" "$IMAGE"
image_mount "$IMAGE" "$HOST"
for i in 1 2 3 4 5 6 7 8; do echo "another $i" >"$SHARE/d/lost$i"; done
daemon_start a
for i in 1 2 3 4 5 6 7 8; do expect_stale "${lost[i]}"; done
FROM=$TMP/old catalogue_check
ls -l "$m/d" >/dev/null
for i in 1 2 3 4 5 6 7 8; do
	expect_stale "${lost[i]}"
	expect_opens "$(handle_of "$m/d/lost$i")" "another $i"
done
daemon_stop
