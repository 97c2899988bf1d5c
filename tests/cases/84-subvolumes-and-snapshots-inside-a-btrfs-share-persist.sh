#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: btrfs
. "$(dirname "$0")/../lib/case.sh"

share_make
btrfs subvolume create "$SHARE/sub" >/dev/null
run "$TOOLS/populate" "$SHARE/sub" 500
btrfs subvolume snapshot "$SHARE/sub" "$SHARE/snap" >/dev/null
btrfs subvolume snapshot -r "$SHARE/sub" "$SHARE/sub/readonly" >/dev/null
run "$TOOLS/populate" "$SHARE" 300
daemon_start a
catalogue_take
(($(cut -f1 "$CAT" | sort | uniq -d | wc -l) <= 30 * 3)) || fail "objects share handles"
for pass in term kill9; do
	drop_caches
	catalogue_check --shuffle=1
	daemon_restart $pass
	catalogue_check --shuffle=2
done
daemon_stop
image_umount "$HOST"
image_mount "$IMAGE" "$HOST"
daemon_start a
catalogue_check --shuffle=3
daemon_stop
