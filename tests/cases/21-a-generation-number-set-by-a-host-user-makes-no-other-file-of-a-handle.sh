#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# With FS_IOC_SETVERSION (chattr -v) another file gets the very host handle of a deleted one. The birth time tells them apart.
# And the ioctl does not pass through the mount.
. "$(dirname "$0")/../lib/case.sh"

HOST=$TMP/host SHARE=$TMP/host/share
# With checksums of metadata ext4 refuses to set a generation number.
image_make ext4 "$TMP/image" 200M -O ^metadata_csum
image_mount "$TMP/image" "$HOST"
mkdir "$SHARE"
daemon_start a
m=${MOUNT[a]}
mkdir "$m/d"
echo victim >"$m/d/f"
h=$(handle_of "$m/d/f")
host=$("$TOOLS/catalogue" get "$SHARE/d/f")
generation=$(lsattr -v "$SHARE/d/f" | awk '{ print $1 }')
daemon_stop
rm "$SHARE/d/f"
echo attacker >"$SHARE/d/f"
chattr -v "$generation" "$SHARE/d/f" || fail "chattr -v"
expect_text "host handle" "$host" "$("$TOOLS/catalogue" get "$SHARE/d/f")"
daemon_start a
expect_stale "$h"
ls -l "$m/d" >/dev/null
[[ $(handle_of "$m/d/f") != "$h" ]] || fail "the other file has the same handle"
expect_stale "$h"
! chattr -v 12345 "$m/d/f" 2>/dev/null || fail "FS_IOC_SETVERSION passed"
daemon_stop
