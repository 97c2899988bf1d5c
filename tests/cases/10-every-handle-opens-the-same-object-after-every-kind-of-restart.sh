#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# limit: 300
# weight: 90
# Each object of a large tree, of every type: the same inode, birth time and content after caches were dropped, a
# clean restart, a kill -9, another st_dev, the share elsewhere and the state elsewhere.
. "$(dirname "$0")/../lib/case.sh"

count=5000 content=1
[[ $FS == ext4 ]] && count=100000 content=20
share_make 700M
run "$TOOLS/populate" "$SHARE" $count
daemon_start a
catalogue_take "$CAT" a $content
step "drop_caches"
drop_caches
catalogue_check --shuffle=1 --sample=20000
step "SIGTERM and start"
daemon_restart term
catalogue_check --shuffle=2 --sample=20000
step "kill -9 and start"
daemon_restart kill9
catalogue_check --shuffle=3
if [[ $FS != own ]]; then
	step "the image mounted again, as another st_dev"
	before=$(stat -c %d "$SHARE")
	daemon_stop
	share_remount
	[[ $(stat -c %d "$SHARE") != "$before" ]] || fail "st_dev is the same"
	daemon_start a
	catalogue_check --shuffle=4 --sample=20000
fi
step "the share bind-mounted elsewhere"
daemon_stop
mkdir "$TMP/bound"
run mount --bind "$SHARE" "$TMP/bound"
SHARE=$TMP/bound daemon_start a
catalogue_check --sample=5000
daemon_stop
umount "$TMP/bound"
step "the share moved on its file system, the state moved"
run mv "$SHARE" "$HOST/moved"
run mv "$STATE" "$TMP/state2"
SHARE=$HOST/moved STATE=$TMP/state2
daemon_start a
catalogue_check --sample=5000
daemon_stop
