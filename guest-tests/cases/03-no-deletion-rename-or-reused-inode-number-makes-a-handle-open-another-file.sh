#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 400
# weight: 110
# Deleted and renamed by guest and host, while a daemon runs and while none does; the inode numbers of what was deleted are
# used again at once. Deleted is stale for good, renamed is the same, over restarts of all kinds.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

share_make
for tree in stay gone-guest gone-host gone-cold moved-guest moved-host moved-cold; do
	run mkdir "$SHARE/$tree"
	run "$TOOLS/populate" "$SHARE/$tree" 200 40 >/dev/null
done
run mkdir "$SHARE/places"

# inodes_reused OLD NEW: how many numbers of the objects that were below OLD (in the lists of `inodes_list`) are below NEW.
inodes_list() { (cd "$SHARE" && find "$1" -printf '%i\n') | sort -u >"$TMP/inodes-$1"; }
expect_reused() {
	local n
	n=$(comm -12 "$TMP/inodes-$1" "$TMP/inodes-$2" | wc -l)
	echo "    $n inode numbers of $1 are used again in $2"
	((n >= 100)) || fail "only $n inode numbers of $1 are used again"
}
for tree in gone-guest gone-host gone-cold; do inodes_list $tree; done

# pick TREE: the catalogue's part below TREE.
pick() { guest_do g "awk -F '\t' '\$6 == \"$1\" || index(\$6, \"$1/\") == 1' /disk/all >/disk/$1 && [ -s /disk/$1 ]"; }

SEED=0 STALE=() SAME=(stay gone-guest gone-host gone-cold moved-guest moved-host moved-cold)
deleted() {
	local tree kept=()
	STALE+=("$1")
	for tree in "${SAME[@]}"; do [[ $tree == "$1" ]] || kept+=("$tree"); done
	SAME=("${kept[@]}")
}

# verify: every part is as it should be.
verify() {
	local tree
	for tree in "${SAME[@]}"; do handles_check g "$tree" --shuffle=$((++SEED)); done
	for tree in "${STALE[@]}"; do handles_check g "$tree" --shuffle=$((++SEED)) --expect-stale; done
}

# Files of a tree exchange their names, others go to another directory, a directory gets another parent and name, and others
# stand where they were. $1: the root of the share as it is seen; $2: the tree.
renames() {
	cat <<END
set -e; cd $1/$2
mv d0000/f000 x; mv d0000/f001 d0000/f000; mv x d0000/f001
mv d0000/f002 ../places/$2-f002; mv d0001/f002 d0000/f002
echo new >new; mv d0000/f003 ../places/$2-f003; mv new d0000/f003
mv d0001 ../places/$2-d0001; mkdir d0001; echo other >d0001/f000
mv deep/level0/level1 ../places/$2-level1
mkdir deep/level0/level1; echo other >deep/level0/level1/leaf
END
}

share_serve a --persist
guest_boot g 6.12 share="${SOCKET[a]}"
guest_mount g
handles_take g all
for tree in "${SAME[@]}"; do pick "$tree"; done
verify

step "deleted by the guest, its numbers used again by the guest"
guest_do g 'rm -r /mnt/gone-guest && sync && mkdir /mnt/new1 && populate /mnt/new1 300 40'
deleted gone-guest
inodes_list new1
expect_reused gone-guest new1
verify
step "deleted by the host, its numbers used again by the host"
run rm -r "$SHARE/gone-host"
deleted gone-host
sleep 1.5
# The daemon sees that they have gone and lets their inodes go.
verify
run mkdir "$SHARE/new2"
run "$TOOLS/populate" "$SHARE/new2" 300 40
inodes_list new2
expect_reused gone-host new2
guest_do g 'ls -lR /mnt/new2 >/dev/null'
verify
step "renamed by the guest, and by the host"
guest_do g "$(renames /mnt moved-guest)"
verify
run bash -c "$(renames "$SHARE" moved-host)"
sleep 1.5
verify
guest_do g 'catalogue take /mnt /disk/later'
step "deleted and renamed by the host while no daemon runs, the guest waiting"
guest_do g 'umount /mnt'
guest_unplug g
device_stop a
run rm -r "$SHARE/gone-cold"
run mkdir "$SHARE/new3"
run "$TOOLS/populate" "$SHARE/new3" 300 40
deleted gone-cold
inodes_list new3
expect_reused gone-cold new3
run bash -c "$(renames "$SHARE" moved-cold)"
share_again a
guest_plug g "${SOCKET[a]}"
guest_mount g
guest_do g 'ls -lR /mnt/new3 >/dev/null'
verify
step "the guest reboots"
guest_reboot g
guest_mount g
verify
step "the daemon is killed, the guest started anew"
share_kill9 a
guest_kill g
share_again a
guest_boot g 6.12 share="${SOCKET[a]}"
guest_mount g
verify
guest_do g "awk -F '\t' 'index(\$6, \"gone-cold\") != 1' /disk/later >/disk/later2"
handles_check g later2
guest_stop g
device_stop a
