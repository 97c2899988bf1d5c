#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 90
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always
# Two guests create, write, truncate, rename, link and remove at random, each against a model of its own and both in one
# directory, over v3 and v4.2, while the server's caches are dropped: both see at the end what the host has.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

STEPS=800 && ((FULL)) && STEPS=20000
share_make
server_boot
client_boot
for guest in server client; do
	for version in 3 4; do
		nfs_mount $guest "${version/4/4.2}" 10.99.0.1
		storm_begin $guest $guest-v$version run /v$version/storm-$guest-$version $version$STEPS $STEPS
	done
	storm_begin $guest $guest-shared share /v3/storm-shared "${#guest}$STEPS" $STEPS
done
for _ in 1 2 3 4 5 6; do
	sleep 2
	guest_drop server
done
for guest in server client; do
	for version in 3 4; do storm_end $guest $guest-v$version 600; done
	storm_end $guest $guest-shared 600
done
step "compared"
for guest in server client; do guest_do $guest 'sync; echo 3 >/proc/sys/vm/drop_caches'; done
# What the kernels may believe without asking ends after a minute at most, of a directory that others change.
sleep 3
for guest in server client; do
	for version in 3 4; do
		guest_do $guest "umount /v$version"
		nfs_mount $guest "${version/4/4.2}" 10.99.0.1
		list_compare $guest /v$version "$SHARE"
	done
done
