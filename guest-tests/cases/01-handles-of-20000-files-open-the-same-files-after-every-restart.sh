#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 900
# weight: 200
# Objects of every type and a deep chain, by a guest with Linux 6.12: taken once, opened in the order of their lookups
# and out of it, after each way in which guest, machine, device and share can end and begin again. Before most of the
# checks other files are looked up first, so that a server that numbers what it meets gives their numbers to others.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

share_make 700M
run mkdir "$SHARE/tree" "$SHARE/other"
run "$TOOLS/populate" "$SHARE/tree" $((FULL ? 100000 : 20000))
run "$TOOLS/populate" "$SHARE/other" 300

# Mounted, other files looked up first, 2,000 handles opened in an order of their own.
again() {
	guest_mount g
	guest_do g 'ls -lR /mnt/other /mnt/tree/d0007 >/dev/null'
	handles_check g all --sample=2000 --shuffle=$((++SEED))
}
SEED=0

share_serve a --persist
guest_boot g 6.12 share="${SOCKET[a]}"
guest_mount g
step "taken"
handles_take g all
step "in the order of the lookups, and out of it"
handles_check g all
handles_check g all --sample=2000 --shuffle=99
step "ten times in a row"
handles_check g all --sample=500 --times=10
step "drop_caches"
guest_drop_caches g
handles_check g all --sample=2000
step "umount and mount"
guest_do g 'umount /mnt'
again
step "unplugged, plugged again, the same daemon"
guest_do g 'umount /mnt'
guest_unplug g
guest_plug g "${SOCKET[a]}"
again
step "unplugged with the mount in use, plugged to a new daemon"
guest_do g 'cd /mnt/tree/d0001 && (exec 3<f000; sleep 1000) >/dev/null 2>&1 & sleep 0.5; umount -l /mnt'
guest_unplug g
device_stop a
share_again a
guest_plug g "${SOCKET[a]}"
again
step "the guest reboots in the same machine"
guest_reboot g
again
step "its reset button is pressed"
guest_reboot g reset
again
step "another machine, the same daemon"
guest_kill g
guest_boot g 6.12 share="${SOCKET[a]}"
again
step "another machine, another daemon, without --persist"
guest_stop g
device_stop a
share_serve a
guest_boot g 6.12 share="${SOCKET[a]}"
again
step "the daemon killed, the guest started anew"
share_kill9 a
guest_kill g
share_again a
guest_boot g 6.12 share="${SOCKET[a]}"
again
guest_stop g
share_end a
step "the share moved on its file system, and that mounted elsewhere"
run mv "$SHARE" "$HOST/moved"
image_umount "$HOST"
image_mount "$IMAGE" "$TMP/elsewhere"
SHARE=$TMP/elsewhere/moved
share_serve a
guest_boot g 6.12 share="${SOCKET[a]}"
again
((!FULL)) || handles_check g all --shuffle=100
guest_stop g
share_end a
