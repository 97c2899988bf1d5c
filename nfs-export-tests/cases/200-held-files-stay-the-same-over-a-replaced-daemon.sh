#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 60
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always NFS_CLIENT=near,far
# The guest exports its share by NFS; clients of v3 and v4.2 hold files and directories. The quiet server is stopped, its daemon
# killed and replaced, other files are looked up first: the held ones are the same, and what is written to them lands in them.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

share_make
tree_make
nfs_boot
step "two clients hold $TREE_HELD files each"
for version in $VERSIONS; do
	nfs_mount $CLIENT "${version/4/4.2}"
	held_start $CLIENT $version
done
for version in $VERSIONS; do held $CLIENT $version "write first"; done
tags=first
for round in 1 2; do
	step "the daemon killed and replaced, round $round"
	server_quiet
	device_replace kill9
	guest_mount server share /srv
	share_lookups
	server_start
	caches_drop
	step "the held files"
	for version in $VERSIONS; do
		held $CLIENT $version check
		held $CLIENT $version "dirs round-$round-$version"
		held $CLIENT $version "write round-$round"
	done
	tags+=,round-$round
	# shellcheck disable=SC2046,SC2086 # a set for each version
	tree_verify $(printf "%s:$tags " $VERSIONS)
done
