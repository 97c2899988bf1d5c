#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 btrfs
# By ".." there is no way from a bind mount to where its files lie too: state, key and mount point are looked for in the share by file
# system and path. What is bound from beside the share is in order, as is a share that is bound itself.
. "$(dirname "$0")/../lib/case.sh"

share_make
mkdir -p "$SHARE/var lib" "$HOST/beside" "$TMP/bound here" "$TMP/beside" "$TMP/share" "$TMP/mnt-a" "$HOST/share-not"
echo one >"$SHARE/f"
run mount --bind "$SHARE/var lib" "$TMP/bound here"
run mount --bind "$HOST/beside" "$TMP/beside"
run "$HOLDFAST" make-key "$TMP/key" >/dev/null

nothing_in_share() { [[ -z $(find "$SHARE" -name key -o -name map.db -o -name rotated -o -name holdfast) ]] || fail "there is state in the share"; }

step "a state directory, given or found"
daemon_refuses 2 --state-dir="$TMP/bound here/s"
mkdir -m 700 "$TMP/bound here/s"
daemon_refuses 2 --state-dir="$TMP/bound here/s"
[[ $SAID == *"must not lie in each other"* ]] || fail "said: $SAID"
mkdir "$SHARE/lib"
run mount --bind "$SHARE/lib" /var/lib
daemon_refuses 2
umount /var/lib
nothing_in_share

step "a key file"
cp -p "$TMP/key" "$TMP/bound here/key"
daemon_refuses 2 --state-dir="$STATE" --key-file="$TMP/bound here/key"
[[ $SAID == *"lies in the shared directory"* ]] || fail "said: $SAID"
rm "$TMP/bound here/key"
daemon_start a --key-file="$TMP/key"
daemon_stop
expect_exit 2 "$HOLDFAST" rotate-key --state-dir="$STATE" --key-file="$TMP/key" --output="$TMP/bound here/rotated"
[[ $SAID == *"lies in the shared directory"* ]] || fail "said: $SAID"
nothing_in_share

step "a mount point"
mkdir "$TMP/bound here/m"
expect_exit 2 "$HOLDFAST" --shared-dir="$SHARE" --state-dir="$STATE" --key-file="$TMP/key" --mount="$TMP/bound here/m"

step "the other way round: what is bound into the share"
mkdir "$SHARE/in" "$HOST/beside/in"
run mount --bind "$HOST/beside" "$SHARE/in"
daemon_refuses 2 --state-dir="$HOST/beside/in/s"
daemon_refuses 2 --state-dir="$TMP/beside/s"
umount "$SHARE/in"

step "the share in the state directory"
mkdir -p "$HOST/outer/share"
chmod 700 "$HOST/outer"
run mount --bind "$HOST/outer/share" "$TMP/share"
SHARE=$TMP/share daemon_refuses 2 --state-dir="$HOST/outer"
umount "$TMP/share"

step "in order: beside the share, with a name that begins as the share's does, a share that is bound, another file system in it"
mount -t tmpfs tmpfs "$SHARE/in"
run mount --bind "$HOST/share-not" "$TMP/bound here"
for STATE in "$TMP/beside/s" "$TMP/bound here/s" "$HOST/beside/t"; do
	daemon_start a
	expect_file "${MOUNT[a]}/f" one
	daemon_stop
done
umount "$SHARE/in"
run mount --bind "$SHARE" "$TMP/share"
SHARE=$TMP/share STATE=$TMP/beside/u
daemon_start a
expect_file "${MOUNT[a]}/f" one
daemon_stop
step "a subvolume is a directory of its file system, whichever device it shows"
[[ $FS == btrfs ]] || exit 0
SHARE=$HOST/share
run btrfs -q subvolume create "$SHARE/sub"
mkdir "$TMP/sub"
run mount -o subvol=share/sub "$(findmnt -no SOURCE --first-only "$HOST" | sed 's/\[.*//')" "$TMP/sub"
daemon_refuses 2 --state-dir="$TMP/sub/s"
[[ ! -e $SHARE/sub/s/key ]] || fail "a key in the share"
