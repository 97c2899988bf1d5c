#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
. "$(dirname "$0")/../lib/case.sh"

mkdir "$SHARE"
HOST=$SHARE
mount -t tmpfs tmpfs "$SHARE"
run "$TOOLS/populate" "$SHARE" 300
daemon_start a
catalogue_take
catalogue_check
daemon_restart kill9
catalogue_check --allow-stale
daemon_stop
umount "$SHARE"
mount -t tmpfs tmpfs "$SHARE"
mkdir "$SHARE/d0000"
for ((i = 0; i < 300; i++)); do echo "other $i" >"$SHARE/d0000/f$(printf %03d "$i")"; done
rc=0
SAID=$(timeout 5 "$HOLDFAST" --shared-dir="$SHARE" --mount="$TMP/mnt-a" --state-dir="$STATE" 2>&1) || rc=$?
case $rc in
8) echo "another root: refused. $SAID" ;;
*)
	umount -l "$TMP/mnt-a" 2>/dev/null
	daemon_start a
	grep -av $'\t\\.$' "$CAT" >"$TMP/old"
	FROM=$TMP/old catalogue_check --expect-stale
	daemon_stop
	;;
esac
