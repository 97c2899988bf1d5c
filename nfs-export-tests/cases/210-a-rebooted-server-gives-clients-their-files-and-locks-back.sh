#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 90
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always
# A second guest is the client. The plug of the server's guest is pulled and its daemon killed: the client waits, claims
# opens and locks again in the grace period, and goes on. Then the guest reboots by itself.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

share_make
tree_make
server_boot
client_boot
for version in 3 4; do
	nfs_mount client "${version/4/4.2}" 10.99.0.1
	held_start client $version
	held client $version "write first"
	held client $version lock
done
# Under way when the server goes down.
for version in 3 4; do storm_begin client v$version run /v$version/storm-$version $version 0 20 1; done
sleep 2
step "the server's plug is pulled"
# What nfsdcld wrote of its clients is on the disk when the file system's journal is: after 5 s, or now.
guest_do server 'sync /var/lib/nfs/nfsdcld'
# 100 locks are claimed one by one: a loaded machine needs its time.
server_crash $((2 * GRACE))
step "the client goes on"
for version in 3 4; do
	held client $version check
	held client $version "write crash"
	held client $version "dirs crash-$version"
	storm_end client v$version
done
step "others find the client's locks"
nfs_mount server 4.2 10.99.0.1
for version in 3 4; do
	held_start server 4 $version other$version
	held server other$version busy
done
guest_do server 'held do /tmp/heldother3 quit; held do /tmp/heldother4 quit' >/dev/null
# What they held is closed when they have ended.
within 60 guest_try server 'umount /v4 2>/dev/null' || fail "/v4 is busy"
tree_verify 3:first,crash 4:first,crash
for version in 3 4; do list_compare client /v$version/storm-$version "$SHARE/storm-$version"; done
if [[ $GUEST_BACKEND == holdfast ]]; then
	step "the guest reboots, with the same daemon"
	guest_reboot server
	guest_do server 'nfsserver load 10.99.0.1 server' 200
	server_export
	for version in 3 4; do
		held client $version check
		held client $version "write reboot"
	done
	tree_verify 3:first,crash,reboot 4:first,crash,reboot
fi
