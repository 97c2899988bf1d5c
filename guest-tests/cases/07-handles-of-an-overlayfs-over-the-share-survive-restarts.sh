#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 300
# weight: 60
# overlayfs in the guest with index=on,nfs_export=on: the share as its lower layer, and as its upper one. What is
# copied up keeps its handle. Handles of the overlay survive new daemons and reboots (xino=on: inode numbers of its
# directories, too, so that these can be compared).
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

share_make
mkdir "$SHARE/lower" "$SHARE/upper" "$SHARE/work"
run "$TOOLS/populate" "$SHARE/lower" 500

# overlay_mount NAME LOWER UPPER WORK: at /NAME in the guest; it must have what was asked for.
overlay_mount() {
	guest_do g "mkdir -p /$1 $3 $4 && mount -t overlay -o index=on,nfs_export=on,xino=on,lowerdir=$2,upperdir=$3,workdir=$4 overlay /$1 &&
		grep ' /$1 overlay ' /proc/mounts | grep index=on | grep nfs_export=on | grep -q xino=on || { dmesg | grep -i overlayfs; exit 1; }"
}
overlays_mount() {
	guest_mount g
	overlay_mount below /mnt/lower /disk/upper /disk/work
	overlay_mount above /disk/lower /mnt/upper /mnt/work
}
overlays_check() {
	MNT=/below handles_check g below --no-btime --shuffle=$((++SEED))
	MNT=/above handles_check g above --no-btime --shuffle=$((++SEED))
	MNT=/above handles_check g later --no-btime --shuffle=$((++SEED))
}
SEED=0

# trusted.overlay.* is the upper layer's.
share_serve a --persist --xattr --modcaps=+sys_admin
guest_boot g 6.12 share="${SOCKET[a]}"
guest_do g 'mkdir /disk/lower && populate /disk/lower 500'
overlays_mount
step "taken, copied up, changed, created"
handles_take g below /below
handles_take g above /above
MNT=/below handles_check g below
MNT=/above handles_check g above
for overlay in below above; do
	guest_do g "cd /$overlay && for i in 1 2 3 4 5 6 7 8 9; do chmod 600 d0001/f00\$i; mv d0001/f01\$i d0002/moved\$i; done
		rm d0003/f00* && mkdir -p new/d && for i in 1 2 3 4 5 6 7 8 9; do echo new/d/\$i >new/d/\$i; done && sync"
	guest_do g "grep -v d0003.f00 /disk/$overlay >/disk/kept; grep d0003.f00 /disk/$overlay >/disk/$overlay.gone; mv /disk/kept /disk/$overlay"
done
[[ $(cat "$SHARE/upper/new/d/7") == new/d/7 ]] || fail "the share is not the upper layer"
expect_text "attributes of a whiteout" "character special file 0 0" "$(stat -c '%F %t %T' "$SHARE/upper/d0003/f001")"
handles_take g later /above/new
overlays_check
for overlay in below above; do MNT=/$overlay handles_check g $overlay.gone --expect-stale; done
step "drop_caches"
guest_drop_caches g
overlays_check
step "mounted anew with a new daemon"
guest_do g 'umount /below /above /mnt'
guest_unplug g
device_stop a
share_again a
guest_plug g "${SOCKET[a]}"
overlays_mount
overlays_check
step "the daemon killed, the guest started anew"
guest_do g sync
share_kill9 a
guest_kill g
share_again a
guest_boot g 6.12 share="${SOCKET[a]}"
overlays_mount
overlays_check
for overlay in below above; do MNT=/$overlay handles_check g $overlay.gone --expect-stale; done
guest_stop g
device_stop a
