#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
. "$(dirname "$0")/../lib/case.sh"

share_make
echo one >"$SHARE/f"
daemon_start a
h=$(handle_of "${MOUNT[a]}/f")
daemon_stop
image_make ext4 "$TMP/small.img" 64M
image_mount "$TMP/small.img" "$TMP/small"
run cp -a "$STATE" "$TMP/small/state"
run mount -o remount,ro "$TMP/small"
daemon_refuses 4 --state-dir="$TMP/small/state"
run mount -o remount,rw "$TMP/small"
STATE=$TMP/small/state
run mount -o remount,ro "$HOST"
daemon_start a
expect_opens "$h" one
! touch "${MOUNT[a]}/new" 2>/dev/null || fail "written to a read-only share"
daemon_stop
run mount -o remount,rw "$HOST"
step "--readonly"
daemon_start a --readonly
expect_opens "$h" one
! touch "${MOUNT[a]}/new" 2>/dev/null || fail "written with --readonly"
! chmod 600 "${MOUNT[a]}/f" 2>/dev/null || fail "chmod with --readonly"
! rm -f "${MOUNT[a]}/f" 2>/dev/null || fail "unlink with --readonly"
daemon_stop
