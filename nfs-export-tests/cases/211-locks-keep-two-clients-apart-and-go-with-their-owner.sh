#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 90
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always
# Of two clients one has the lock, over v3 and v4.2 alike, also after the daemon was replaced; when its owner goes, by
# its own end or with its whole machine, the other one gets it.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

TREE_HELD=20
share_make
tree_make
server_boot
client_boot
nfs_mount server 4.2 10.99.0.1
for version in 3 4; do
	nfs_mount client "${version/4/4.2}" 10.99.0.1
	held_start client $version
	held client $version lock
	held_start server 4 $version other$version
	held server other$version busy
done
step "the owner ends"
for version in 3 4; do
	guest_try client "held do /tmp/held$version quit; rm /tmp/held$version" >/dev/null
	within 30 guest_try server "held do /tmp/heldother$version lock" >/dev/null
	held server other$version lock
	held server other$version unlock
	held_start client $version
	held client $version lock
	held server other$version busy
done
step "the owner's machine ends"
guest_kill client
# v4: when its lease is over. v3: when it is up again and says so.
within 90 guest_try server "held do /tmp/heldother4 lock" >/dev/null
held server other4 lock
held server other3 busy
client_boot
within 60 guest_try server "held do /tmp/heldother3 lock" >/dev/null
held server other3 lock
step "the daemon is replaced"
# Clients of v4 have their locks back then. Those of v3 are told of a server that went down (case 210), not of an nfsd that
# was stopped: that is lockd's way, whatever is exported.
guest_try server "held do /tmp/heldother3 quit; held do /tmp/heldother4 unlock" >/dev/null
nfs_mount client 4.2 10.99.0.1
held_start client 4
held client 4 lock
held server other4 busy
server_quiet
device_replace kill9
server_export
held client 4 check
held server other4 busy
held client 4 unlock
held server other4 lock
held client 4 busy
