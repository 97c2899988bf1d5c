#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs
# The clone is mounted beside its origin, in one share: host handles are equal, file for file. Each opens its own or nothing.
. "$(dirname "$0")/../lib/case.sh"

mkdir -p "$SHARE"
HOST=$SHARE
image_make "$FS" "$TMP/origin.img" 400M
image_mount "$TMP/origin.img" "$TMP/setup"
for i in 1 2 3 4 5; do mkdir "$TMP/setup/d$i"; echo "origin $i" >"$TMP/setup/d$i/f"; done
image_umount "$TMP/setup"
cp --sparse=always "$TMP/origin.img" "$TMP/clone.img"
options=defaults
[[ $FS == xfs ]] && options=nouuid
image_mount "$TMP/clone.img" "$TMP/setup" $options
for i in 1 2 3 4 5; do echo "clone $i" >"$TMP/setup/d$i/f"; done
image_umount "$TMP/setup"
image_mount "$TMP/origin.img" "$SHARE/a"
image_mount "$TMP/clone.img" "$SHARE/b" $options
daemon_start a
m=${MOUNT[a]}
origin=() clone=()
for i in 1 2 3 4 5; do
	expect_file "$m/a/d$i/f" "origin $i"
	expect_file "$m/b/d$i/f" "clone $i"
	origin[i]=$(handle_of "$m/a/d$i/f")
	clone[i]=$(handle_of "$m/b/d$i/f")
	[[ ${origin[i]} != "${clone[i]}" ]] || fail "one handle for two files"
done
for round in running term kill9; do
	[[ $round == running ]] || daemon_restart $round
	for i in 1 2 3 4 5; do
		expect_opens "${origin[i]}" "origin $i"
		expect_same_or_stale "${clone[i]}" "clone $i"
	done
done
step "with the origin gone, and the clone in its place"
daemon_stop
umount "$SHARE/a" "$SHARE/b"
image_mount "$TMP/clone.img" "$SHARE/b" $options
daemon_start a
for i in 1 2 3 4 5; do
	expect_same_or_stale "${origin[i]}" "origin $i"
	expect_same_or_stale "${clone[i]}" "clone $i"
done
daemon_stop
