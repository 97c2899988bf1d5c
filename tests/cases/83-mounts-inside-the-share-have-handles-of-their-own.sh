#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# ext4 in ext4, xfs, tmpfs, a bind mount of a directory of the share: each persists as far as it can; what was unmounted is stale.
. "$(dirname "$0")/../lib/case.sh"

share_make
mkdir -p "$SHARE/xfs" "$SHARE/tmp" "$SHARE/bind" "$SHARE/d/e"
echo covered >"$SHARE/xfs/covered"
echo one >"$SHARE/d/e/f"
image_make xfs "$TMP/xfs.img" 300M
image_mount "$TMP/xfs.img" "$SHARE/xfs"
mount -t tmpfs tmpfs "$SHARE/tmp"
run mount --bind "$SHARE/d" "$SHARE/bind"
run "$TOOLS/populate" "$SHARE/xfs" 300
echo mem >"$SHARE/tmp/f"
daemon_start a
m=${MOUNT[a]}
catalogue_take
grep -q "bind/e/f" "$CAT" || fail "the bind mount is not walked"
catalogue_check
[[ $(handle_of "$m/d/e/f") != "$(handle_of "$m/bind/e/f")" ]] || fail "one directory visible twice is one node"
drop_caches
catalogue_check
daemon_restart kill9
grep -av $'\ttmp' "$CAT" >"$TMP/persisting"
FROM=$TMP/persisting catalogue_check
grep -a $'\ttmp/f' "$CAT" >"$TMP/tmp-file"
FROM=$TMP/tmp-file catalogue_check --allow-stale
step "unmounted, what lay in it is stale, and what it covered is not it"
inside=$(handle_of "$m/xfs/d0000/f000")
umount "$SHARE/xfs" 2>/dev/null || { daemon_stop; umount "$SHARE/xfs" || fail "umount"; daemon_start a; }
drop_caches
sleep 1.2
is_stale "$inside" || { drop_caches; within 3 is_stale "$inside"; } || fail "it opens: $OPENED"
expect_file "$m/xfs/covered" covered
step "mounted again it is the same"
daemon_stop
image_mount "$TMP/xfs.img" "$SHARE/xfs"
daemon_start a
FROM=$TMP/persisting catalogue_check
expect_opens "$inside" d0000/f000
daemon_stop
umount "$SHARE/bind" "$SHARE/tmp" "$SHARE/xfs"
