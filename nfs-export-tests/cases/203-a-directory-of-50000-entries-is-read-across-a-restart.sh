#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 1200
# weight: 90
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always NFS_CLIENT=near,far
# Two readers stand in the middle of it when the daemon is killed and replaced, and the host makes and removes entries
# meanwhile: each entry that was there all the time comes exactly once.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

HELD_SECONDS=400
share_make
tree_make 50000
nfs_boot
for version in 3 4; do
	nfs_mount $CLIENT "${version/4/4.2}"
	held_start $CLIENT $version
	held $CLIENT $version "begin $((version * 7000))"
done
server_quiet
device_replace kill9
step "the host changes what is not looked at"
for ((i = 49000; i < 50000; i++)); do printf '%s\0' "$SHARE/big/e$i"; done | xargs -0 rm
for ((i = 0; i < 500; i++)); do printf '%s\0' "$SHARE/big/new$i"; done | xargs -0 touch
server_export
caches_drop
step "and on"
for version in 3 4; do held $CLIENT $version "rest 49000"; done
