# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# File systems in image files. Sourced by case.sh.

# image_make FS FILE SIZE [mkfs option...]
image_make() {
	local fs=$1 file=$2 size=$3
	shift 3
	rm -f "$file"
	truncate -s "$size" "$file" || fail "image: $file"
	case $fs in
	ext4) mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1 "$@" "$file" ;;
	xfs) mkfs.xfs -q -f "$@" "$file" ;;
	btrfs) mkfs.btrfs -q -f "$@" "$file" ;;
	*) fail "no mkfs for $fs" ;;
	esac >"$TMP/mkfs.log" 2>&1 || { cat "$TMP/mkfs.log"; fail "mkfs of $fs"; }
}

# loop_attach FILE: prints the device. Lanes race for the first free one: try again.
loop_attach() {
	local try device
	for try in 1 2 3 4 5 6 7 8 9 10; do
		device=$(losetup --find --show "$1" 2>/dev/null) && { echo "$device"; return 0; }
		sleep "0.$try"
	done
	return 1
}

# image_mount FILE DIR [OPTIONS]: the loop device goes with the mount.
image_mount() {
	local device rc=0
	mkdir -p "$2"
	device=$(loop_attach "$1") || fail "no loop device for $1"
	mount -o "${3:-defaults}" "$device" "$2" || rc=$?
	losetup -d "$device" # now only the mount holds it
	((rc == 0)) || fail "mount of $1 at $2"
}

image_umount() { within 10 umount "$1" 2>/dev/null || fail "umount of $1: $(umount "$1" 2>&1)"; }

# share_make [SIZE]: a directory "share" on $FS, as $SHARE. "own": the machine's own file system.
# The share is a directory of the image and not its root, so that there is an outside.
share_make() {
	if [[ $FS == own ]]; then
		HOST=$TMP/host
		mkdir -p "$HOST/share"
	else
		HOST=$TMP/host IMAGE=$TMP/image
		case $FS in
		ext4) image_make ext4 "$IMAGE" "${1:-400M}" -N 150000 ;;
		*) image_make "$FS" "$IMAGE" "${1:-400M}" ;;
		esac
		image_mount "$IMAGE" "$HOST"
		mkdir "$HOST/share"
	fi
	SHARE=$HOST/share
}

# What share_make mounted, at the same place, as a device of another number: what takes the numbers that become free
# is the loop device of another file, and some anonymous ones for btrfs.
share_remount() {
	local device i
	[[ $FS == own ]] && return
	device=$(findmnt -no SOURCE "$HOST")
	image_umount "$HOST"
	truncate -s 1M "$TMP/spacer"
	losetup "$device" "$TMP/spacer" 2>/dev/null
	for i in 1 2 3 4; do
		mkdir -p "$TMP/spacer-$i"
		mount -t tmpfs tmpfs "$TMP/spacer-$i"
	done
	image_mount "$IMAGE" "$HOST"
	losetup -d "$device" 2>/dev/null
	umount "$TMP"/spacer-[1-4]
}

drop_caches() {

	sync -f "$HOST" 2>/dev/null
	# One pass leaves what the entries below still held.
	for _ in 1 2 3; do echo 3 >/proc/sys/vm/drop_caches; done
}
