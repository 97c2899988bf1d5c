#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 500
# weight: 110
# Linux 6.1 through the short round of restarts; what it took opens under 6.12, and the other way round.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

share_make
run mkdir "$SHARE/tree" "$SHARE/other"
run "$TOOLS/populate" "$SHARE/tree" $((FULL ? 20000 : 2000))
run "$TOOLS/populate" "$SHARE/other" 300

# again FILE [OPTION...]
again() {
	guest_mount g
	guest_do g 'ls -lR /mnt/other >/dev/null'
	handles_check g "$1" --shuffle=$((++SEED)) "${@:2}"
}
SEED=0

share_serve a --persist
guest_boot g 6.1 share="${SOCKET[a]}"
guest_mount g
step "6.1: taken, opened at once, ten times in a row"
handles_take g by61
handles_check g by61
handles_check g by61 --sample=200 --times=10
step "6.1: drop_caches"
guest_drop_caches g
handles_check g by61
step "6.1: umount and mount"
guest_do g 'umount /mnt'
again by61
step "6.1: unplugged, plugged to a new daemon"
guest_do g 'umount /mnt'
guest_unplug g
device_stop a
share_again a
guest_plug g "${SOCKET[a]}"
again by61
step "6.1: the guest reboots in the same machine"
guest_reboot g
again by61
step "6.1: the daemon killed, 6.12 started in place of 6.1"
guest_do g 'sync'
share_kill9 a
guest_kill g
share_again a
guest_boot g 6.12 share="${SOCKET[a]}"
# Linux before 6.6 has no birth times on FUSE.
again by61 --no-btime
step "6.12: taken; 6.1 again, with the same daemon"
handles_take g by612
guest_do g 'cut -f 1,6 /disk/by61 | sort >/tmp/a; cut -f 1,6 /disk/by612 | sort >/tmp/b; cmp /tmp/a /tmp/b'
guest_stop g
guest_boot g 6.1 share="${SOCKET[a]}"
again by612 --no-btime
handles_check g by61
guest_stop g
device_stop a
