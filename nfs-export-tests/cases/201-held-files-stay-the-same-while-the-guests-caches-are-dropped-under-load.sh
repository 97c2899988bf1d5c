#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 60
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always NFS_CLIENT=near,far
# A guest forgets dentries and inodes whenever it likes, and asks again by nodeid alone: under load, again and again.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

ROUNDS=6 && ((FULL)) && ROUNDS=60
share_make
tree_make
nfs_boot
tags=
for version in 3 4; do
	nfs_mount $CLIENT "${version/4/4.2}"
	held_start $CLIENT $version
	storm_begin $CLIENT v$version run /v$version/storm-$version $version 0 $((6 * ROUNDS))
done
for ((round = 1; round <= ROUNDS; round++)); do
	step "caches dropped, round $round"
	caches_drop
	for version in 3 4; do held $CLIENT $version check; done
	caches_drop
	for version in 3 4; do held $CLIENT $version "write round-$round"; done
	tags+=${tags:+,}round-$round
	for version in 3 4; do held $CLIENT $version "dirs round-$round-$version"; done
done
for version in 3 4; do storm_end $CLIENT v$version; done
tree_verify 3:$tags 4:$tags
step "how many of the decodes were of nodes that were still warm"
timeout 10 "$HOLDFAST" status --shared-dir="$SHARE" --state-dir="$STATE" | grep -E 'found:|answers:'
for version in 3 4; do list_compare $CLIENT /v$version/storm-$version "$SHARE/storm-$version"; done
