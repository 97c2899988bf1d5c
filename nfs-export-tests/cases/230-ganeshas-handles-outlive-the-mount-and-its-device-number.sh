#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 40
# nfs-ganesha over a mount with --mount-uuid: it is restarted, the mount's daemon is killed and replaced, both, st_dev is
# another one: the handles of a client open what they opened. Without the option they are stale then, and never wrong.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/nfs-export-tests/lib/ganesha.sh"
own_network "$0"

device_number() { stat -c %d "${MOUNT[a]}"; }

tree_verify() {
	local said
	said=$("$NFS_BIN/held" verify "$SHARE" $TREE_DIRS $TREE_FILES $TREE_HELD "$@") || fail "on the host: $said"
	echo "    on the host: $said"
}

share_make
run "$NFS_BIN/held" make "$SHARE" $TREE_DIRS $TREE_FILES
daemon_start a --mount-uuid
ganesha_start
far_start 3
far_ok write first
step "ganesha restarted"
ganesha_stop KILL
ganesha_start
far_ok check
far_ok write ganesha
step "the mount's daemon killed and replaced, ganesha restarted: another st_dev, other files first"
before=$(device_number)
ganesha_stop
# While the old mount is there its loop device is, too, and the next one is another.
{ kill -9 "${PID[a]}" && wait "${PID[a]}"; } 2>/dev/null
daemon_start a --mount-uuid
[[ $(device_number) != "$before" ]] || fail "st_dev is the same, $before: nothing would be shown"
ls -lR "${MOUNT[a]}"/d01* >/dev/null
ganesha_start
far_ok check
far_ok write both
tree_verify 3:first,ganesha,both
step "the share revoked: stale, and nothing else"
ganesha_stop
run "$HOLDFAST" revoke --yes --shared-dir="$SHARE" --state-dir="$STATE"
daemon_restart kill9
ganesha_start
far check
[[ $SAID == "ok=0 stale=$TREE_HELD error=0 wrong=0" ]] || fail "after revoke: $SAID"
step "without --mount-uuid"
far_stop
ganesha_stop
daemon_stop
daemon_start a
before=$(device_number)
ganesha_start
far_start 3
ganesha_stop
daemon_kill9
# It takes the number that has become free.
mkdir "$TMP/other" && mount -t tmpfs tmpfs "$TMP/other"
daemon_start a
[[ $(device_number) != "$before" ]] || fail "st_dev is the same, $before: nothing would be shown"
ganesha_start
far check
[[ $SAID == "ok=0 stale=$TREE_HELD error=0 wrong=0" ]] || fail "without --mount-uuid: $SAID"
far_stop
ganesha_stop
daemon_stop
[[ -z $(losetup -n -O BACK-FILE -l | grep -F "$STATE") ]] || fail "a loop device was left"
