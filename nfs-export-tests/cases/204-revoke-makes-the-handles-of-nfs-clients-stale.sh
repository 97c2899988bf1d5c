#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 60
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always NFS_CLIENT=near,far
# Every handle but the root's is refused at its next request; when server and clients have mounted anew, all is well.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

share_make
tree_make
nfs_boot
for version in 3 4; do
	nfs_mount $CLIENT "${version/4/4.2}"
	held_start $CLIENT $version
	held $CLIENT $version "write before"
done
step "revoke"
run "$HOLDFAST" revoke --yes --shared-dir="$SHARE" --state-dir="$STATE"
sleep 2
caches_drop
for version in 3 4; do
	held_says $CLIENT $version check
	[[ $SAID == "ok=0 stale=$TREE_HELD error=0 wrong=0"* ]] || nfs_failed $CLIENT $version "after revoke: $SAID"
	guest_do $CLIENT "ls /v$version >/dev/null"
done
tree_verify 3:before 4:before
step "mounted anew"
for version in 3 4; do
	guest_try $CLIENT "held do /tmp/held$version quit" >/dev/null
	guest_do $CLIENT "i=0; while pidof held >/dev/null && [ \$i -lt 50 ] && ! umount /v$version 2>/dev/null; do sleep 0.2; i=\$((i + 1)); done; rm /tmp/held$version; ! mountpoint -q /v$version || umount /v$version" 60
done
server_quiet
server_export
for version in 3 4; do
	nfs_mount $CLIENT "${version/4/4.2}"
	held_start $CLIENT $version
	held $CLIENT $version "write after"
done
tree_verify 3:before,after 4:before,after
