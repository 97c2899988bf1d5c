#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 120
# The state lies on a small file system that fills while handles are given out. Work goes on, and so do all handles; with
# room again nothing is missing after a kill -9.
. "$(dirname "$0")/../lib/case.sh"

share_make
image_make ext4 "$TMP/small.img" 24M
image_mount "$TMP/small.img" "$TMP/small"
STATE=$TMP/small/state
run "$TOOLS/populate" "$SHARE" 2000
daemon_start a
catalogue_take
step "full"
dd if=/dev/zero of="$TMP/small/ballast" bs=64k status=none 2>/dev/null
dd if=/dev/zero of="$TMP/small/ballast2" bs=1 status=none 2>/dev/null
catalogue_check --shuffle=1
for ((i = 0; i < 300; i++)); do echo "f $i" >"${MOUNT[a]}/late$i" || fail "create on a full state disk"; done
for ((i = 0; i < 300; i += 50)); do late[i]=$(handle_of "${MOUNT[a]}/late$i"); done
drop_caches
catalogue_check --shuffle=2
for ((i = 0; i < 300; i += 50)); do expect_opens "${late[i]}" "f $i"; done
daemon_alive a || fail "the daemon ended"
step "room again"
rm "$TMP/small/ballast" "$TMP/small/ballast2"
sleep 2
daemon_restart kill9
catalogue_check --shuffle=3
for ((i = 0; i < 300; i += 50)); do expect_opens "${late[i]}" "f $i"; done
daemon_stop
step "no room for a first run: one clear line and exit code 4"
dd if=/dev/zero of="$TMP/small/ballast" bs=64k status=none 2>/dev/null
dd if=/dev/zero of="$TMP/small/ballast2" bs=1 status=none 2>/dev/null
mkdir "$HOST/share3"
SHARE=$HOST/share3 daemon_refuses 4 --state-dir="$TMP/small/state3"
# One that is there already may have got as far as its lock, and no further.
rm "$TMP/small/ballast2"
mkdir "$TMP/small/state4"
for name in lock export.new; do : >"$TMP/small/state4/$name"; done
dd if=/dev/zero of="$TMP/small/ballast2" bs=1 status=none 2>/dev/null
SHARE=$HOST/share3 daemon_refuses 4 --state-dir="$TMP/small/state4"
rm "$TMP/small/ballast" "$TMP/small/ballast2"
SHARE=$HOST/share3 STATE=$TMP/small/state4 daemon_start a
daemon_stop
