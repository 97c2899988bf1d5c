#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: fuse vfat nfs
# It is served, and its handles open the same object or nothing. FUSE: another holdfast. NFS: what NFS_SHARE ("host:/directory", to be
# written to) names.
. "$(dirname "$0")/../lib/case.sh"

known() { grep -qw "$1" /proc/filesystems || modprobe "$1" 2>/dev/null; }
HOST=$TMP/host
mkdir "$HOST"
case $FS in
fuse)
	mkdir "$TMP/below"
	SHARE=$TMP/below STATE=$TMP/state-below daemon_start below
	HOST=${MOUNT[below]}
	;;
vfat)
	known vfat || skip "this kernel has no vfat"
	command -v mkfs.vfat >/dev/null || skip "there is no mkfs.vfat here"
	truncate -s 32M "$TMP/image" && run mkfs.vfat "$TMP/image" >/dev/null
	image_mount "$TMP/image" "$HOST"
	;;
nfs)
	[[ -n ${NFS_SHARE:-} ]] || skip "NFS_SHARE names no export"
	run mount -t nfs "$NFS_SHARE" "$HOST"
	;;
esac
SHARE=$HOST/share
rm -rf "$SHARE"
mkdir -p "$SHARE/d"
for i in {1..50}; do echo "file $i" >"$SHARE/d/f$i"; done
daemon_start a
m=${MOUNT[a]}
daemon_said | grep -q "handles do not persist" || fail "it does not say so"
expect_file "$m/d/f1" "file 1"
echo new >"$m/new" && mv "$m/new" "$m/d/moved" || fail "write"
expect_file "$SHARE/d/moved" new
catalogue_take
catalogue_check
status=$(run "$HOLDFAST" status --json --state-dir="$STATE")
grep -q '"persistent": false' <<<"$status" || fail "status says otherwise: $status"
step "what takes the place of a deleted file is another"
old=$(handle_of "$m/d/f1")
rm "$m/d/f1"
echo other >"$m/d/f1"
expect_stale "$old"
grep -av $'d/f1\\(\t\\|$\\)' "$CAT" >"$TMP/rest"
step "after a restart: the same or nothing"
for how in term kill9; do
	for i in 2 3 4; do rm "$m/d/f$i" && echo "other $i" >"$m/d/f$i"; done
	daemon_restart $how
	FROM=$TMP/rest catalogue_check --allow-stale
	expect_file "$m/d/f5" "file 5"
	! handle_open "$old" || fail "the handle of a deleted file opens: $OPENED"
done
daemon_stop
step "--inode-file-handles=mandatory"
daemon_refuses 9 --state-dir="$STATE" --inode-file-handles=mandatory
grep -q "has no handles that persist" <<<"$SAID" || fail "not said: $SAID"
[[ $FS != fuse ]] || daemon_stop below
