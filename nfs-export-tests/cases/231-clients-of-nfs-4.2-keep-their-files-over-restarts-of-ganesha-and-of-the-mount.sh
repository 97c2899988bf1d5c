#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 70
# matrix: KERNEL=6.1,6.12
# A guest's kernel is a client, by v4.2, of nfs-ganesha on this machine over a mount with --mount-uuid. It holds files, locks,
# directories and its working one while Ganesha is restarted, the mount's daemon is, both are, and st_dev is another one.
KERNEL=${KERNEL:-6.1}
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"
GANESHA_NFSV4='Grace_Period = 10; Lease_Lifetime = 10;'
. "$ROOT/nfs-export-tests/lib/ganesha.sh"
own_network "$0"

device_number() { stat -c %d "${MOUNT[a]}"; }

# Of the files that a failure names, by the mount on this machine.
nfs_handles() {
	local name handle
	for name in $(grep -oE 'd[0-9]{3}(/f[0-9]{3})?' <<<"$1" | sort -u | head -n 3); do
		handle=$("$HOLDFAST" handle get "${MOUNT[a]}/$name")
		echo "--- handle of $name: $handle"
		timeout 10 "$HOLDFAST" inspect "$handle" --shared-dir="$SHARE" --state-dir="$STATE"
	done
}

# all_held TAG: everything is what it was, and takes what is done to it.
tags=
all_held() {
	held client 4 check
	held client 4 "dirs $1"
	held client 4 "write $1"
	tags+=${tags:+,}$1
	tree_verify 4:$tags
}

share_make
tree_make
daemon_start a --mount-uuid
ganesha_start
# This machine is 10.0.2.2 in the guest.
GUEST_ARGS=(-initrd "$GUEST_BUILD/$KERNEL/initramfs-nfs" -netdev "user,id=net"
	-device "virtio-net-pci,netdev=net,addr=0x12")
guest_boot client "$KERNEL"
guest_do client 'nfsserver load 10.0.2.15 client' 200
# A client that reads by READ_PLUS, as that of 6.12 does by v4.2, gets no byte of any file from Ganesha 4.3, whatever is exported.
version=4.2 && [[ $KERNEL == 6.1 ]] || version=4.1
nfs_mount client $version 10.0.2.2 /e
held_start client 4
held client 4 lock
all_held first
step "ganesha killed and restarted, under load"
# What was in flight when it was killed may be done twice.
storm_begin client a run /v4/storm-a 4 0 15 1
sleep 2
ganesha_stop KILL
ganesha_start
all_held ganesha
storm_end client a
step "the mount's daemon killed and replaced while ganesha is stopped"
ganesha_stop
daemon_restart kill9
ganesha_start
guest_drop client
all_held daemon
step "the mount's daemon killed under ganesha, and both replaced: another st_dev, other files first"
before=$(device_number)
# While the old mount is there its loop device is, too, and the next one is another.
{ kill -9 "${PID[a]}" && wait "${PID[a]}"; } 2>/dev/null
ganesha_stop KILL
daemon_start a --mount-uuid
[[ $(device_number) != "$before" ]] || fail "st_dev is the same, $before: nothing would be shown"
ls -lR "${MOUNT[a]}"/d01* >/dev/null
ganesha_start
guest_drop client
all_held both
step "others on this machine find the client's locks, and get them when it gives them back"
# host COMMAND: to files that are held through the mount itself.
host() {
	SAID=$("$NFS_BIN/held" "do" /run/held-host "$1") || fail "what is held on this machine, $1: $SAID"
	echo "    this machine, $1: $SAID"
}
run "$NFS_BIN/held" hold "${MOUNT[a]}" /run/held-host $TREE_DIRS $TREE_FILES $TREE_HELD 4
host busy
held client 4 unlock
host lock
# To a client of 6.12 Ganesha says that so that it is EIO, whatever is exported.
[[ $KERNEL == 6.12 ]] || held client 4 busy
"$NFS_BIN/held" "do" /run/held-host quit >/dev/null
list_compare client /v4/storm-a "$SHARE/storm-a"
step "the share revoked: stale, and nothing else"
ganesha_stop
run "$HOLDFAST" revoke --yes --shared-dir="$SHARE" --state-dir="$STATE"
daemon_restart kill9
ganesha_start
guest_drop client
held_says client 4 check
[[ $SAID == "ok=0 "*" wrong=0"* ]] || fail "after revoke: $SAID"
