#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 240
# Lookups and reads of what is not in memory, syncs, deletions by FORGET, on a disk that answers nothing: what needs no disk is
# answered, and the disk's own when it goes on.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

export HOLD=$TMP/hold
mkdir "$SHARE" "$TMP/disk" "$TMP/content" "$TMP/content/cold"
head -c 1M /dev/urandom >"$TMP/content/data"
# Extents that are far from each other: who deletes these must read where they are.
for name in big1 big2; do
	for ((i = 0; i < 200; i++)); do
		dd if=/dev/zero of="$TMP/content/$name" bs=4k count=1 seek=$((2 * i)) conv=notrunc status=none
	done
done
for name in file cold/file cold/other f{0..63}; do echo content >"$TMP/content/$name"; done
image_make ext4 "$TMP/fresh" 64M -d "$TMP/content"

# on_disk BUILD TEST: with nothing of it in memory.
on_disk() {
	local disk
	cp "$TMP/fresh" "$TMP/image"
	"$TOOLS/slowdisk" "$TMP/image" "$TMP/disk" "$HOLD" &
	disk=$!
	within 10 test -e "$TMP/disk/disk" || fail "the disk is not there"
	image_mount "$TMP/disk/disk" "$SHARE"
	rm -rf "$STATE"
	step "$1: $2"
	"$ROOT/build/native/test_waits" "$ROOT/$1/holdfast" "$SHARE" "$STATE" "$SOCKETS/sock" "$2" || fail "$1: exit $?"
	image_umount "$SHARE"
	image_umount "$TMP/disk"
	wait "$disk" || fail "slowdisk: exit $?"
}
on_disk build disk
on_disk build deleted
on_disk build/asan disk
