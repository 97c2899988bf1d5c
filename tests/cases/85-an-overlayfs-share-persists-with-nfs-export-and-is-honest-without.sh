#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
. "$(dirname "$0")/../lib/case.sh"

share_make
mkdir -p "$HOST/lower" "$HOST/upper" "$HOST/work" "$HOST/upper2" "$HOST/work2" "$TMP/merged" "$TMP/plain"
run "$TOOLS/populate" "$HOST/lower" 300
run mount -t overlay -o "lowerdir=$HOST/lower,upperdir=$HOST/upper,workdir=$HOST/work,index=on,nfs_export=on" overlay "$TMP/merged"
run mount -t overlay -o "lowerdir=$HOST/lower,upperdir=$HOST/upper2,workdir=$HOST/work2,index=off,nfs_export=off" overlay "$TMP/plain"
SHARE=$TMP/merged
daemon_start a
catalogue_take
catalogue_check
drop_caches
catalogue_check
echo changed >"${MOUNT[a]}/d0000/f000"
h=$(handle_of "${MOUNT[a]}/d0000/f000")
daemon_restart kill9
expect_opens "$h" changed
# The directory was copied up with its file: its birth time as overlayfs shows it is the copy's.
grep -av $'d0000/f000\\|second-name\\|\td0000$' "$CAT" >"$TMP/rest"
FROM=$TMP/rest catalogue_check --allow-stale
daemon_stop
step "without nfs_export it is served, and says that handles do not persist"
SHARE=$TMP/plain STATE=$TMP/state-plain
daemon_start a
expect_file "${MOUNT[a]}/d0000/f001" d0000/f001
echo new >"${MOUNT[a]}/new"
catalogue_take "$TMP/plain.cat"
FROM=$TMP/plain.cat catalogue_check
daemon_said | grep -qi "persist\|no file handles" || fail "it does not say so"
daemon_restart kill9
FROM=$TMP/plain.cat catalogue_check --allow-stale --attributes --no-content
daemon_stop
daemon_refuses 9 --state-dir="$STATE" --inode-file-handles=mandatory
umount "$TMP/merged" "$TMP/plain"
