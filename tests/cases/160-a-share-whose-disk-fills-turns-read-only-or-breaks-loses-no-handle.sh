#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs
# weight: 15
# The client gets the host's errno, the files around it stay as they are, the map stays whole, and all handles open: at once where
# the disk still reads, after the repair where it did not.
. "$(dirname "$0")/../lib/case.sh"

# says ERRNO-TEXT COMMAND...: it fails with that.
says() {
	local want=$1 said
	shift
	said=$("$@" 2>&1) && fail "it went well: $*"
	grep -qE "$want" <<<"$said" || fail "'$said' instead of '$want': $*"
}
put() { dd if=/dev/zero of="$1" bs=64k count="$2" "${@:3}" status=none; }
whole() {
	daemon_alive a || fail "the daemon ended: $1"
	run "$HOLDFAST" verify --shared-dir="$SHARE" --state-dir="$STATE"
}
same() {
	local l
	step "$1"
	drop_caches
	catalogue_check --shuffle=1
	run cmp "$TMP/big" "${MOUNT[a]}/big"
}
# What an administrator does once the disk works again.
repair() {
	step "repaired"
	daemon_stop
	image_umount "$HOST"
	image_mount "$TMP/disk/disk" "$HOST"
	daemon_start a
}
late=() # HANDLE=CONTENT of files made late

HOLD=$TMP/hold HOST=$TMP/host SHARE=$TMP/host/share
mkdir "$TMP/disk"
if [[ $FS == ext4 ]]; then image_make ext4 "$TMP/image" 24M -N 2000; else image_make xfs "$TMP/image" 300M; fi
"$TOOLS/slowdisk" "$TMP/image" "$TMP/disk" "$HOLD" &
disk=$!
within 10 test -e "$TMP/disk/disk" || fail "the disk is not there"
image_mount "$TMP/disk/disk" "$HOST"
mkdir "$SHARE"
run "$TOOLS/populate" "$SHARE" 400
head -c 300000 /dev/urandom >"$TMP/big"
cp "$TMP/big" "$SHARE/big"
[[ $FS == ext4 ]] || run fallocate -l 180M "$HOST/reserve"
daemon_start a
m=${MOUNT[a]}
catalogue_take

step "full"
mkdir "$m/late"
says "No space left on device" put "$m/ballast" 8000
says "No space left on device" put "$m/big" 40 seek=5 conv=notrunc,fsync
truncate -s 300000 "$m/big" && dd if="$TMP/big" of="$m/big" bs=4k conv=notrunc status=none 2>/dev/null
for ((i = 0; i < 3000; i++)); do
	{ echo "late $i" >"$m/late/f$i"; } 2>"$TMP/said" || break
	((i % 8)) || late+=("$(handle_of "$m/late/f$i")=late $i")
done
((i < 3000)) && grep -q "No space left on device" "$TMP/said" || fail "3000 files on a full disk"
rm -f "$m/late/f$i"
says "No space left on device" bash -c 'i=0; while mkdir "$1/late/d$i"; do ((++i)); done; exit 1' mkdirs "$m"
whole full
same "full, and every handle opens"
step "full, seen by a client that writes later"
daemon_restart term
daemon_stop
daemon_start a --writeback
says "No space left on device" put "$m/late/later" 400 conv=fsync
daemon_kill9
daemon_start a
same "full, after a kill"
rm "$m/ballast" "$m/late/later"
within 10 put "$m/late/room" 4 conv=fsync || fail "no room, although the ballast is gone"

step "read-only"
for ((i = 0; i < 20; i++)); do echo "unseen $i" >"$SHARE/late/unseen$i" || fail "no room"; done
within 10 mount -o remount,ro "$HOST" || fail "cannot be made read-only"
for what in "touch $m/new" "mkdir $m/new" "rm $m/big" "truncate -s 0 $m/big" "chmod 600 $m/big" "mv $m/big $m/other" "ln $m/big $m/other"; do
	# shellcheck disable=SC2086 # words
	says "Read-only file system" $what
done
same "read-only, and every handle opens"
for ((i = 0; i < 20; i++)); do
	expect_file "$m/late/unseen$i" "unseen $i"
	late+=("$(handle_of "$m/late/unseen$i")=unseen $i")
done
whole read-only
run mount -o remount,rw "$HOST"
echo again >"$m/new" || fail "not written again"
daemon_restart kill9
same "written again"

step "reads fail"
drop_caches
: >"$HOLD.read-fails"
for l in "${late[@]}"; do
	handle_open "${l%%=*}" || continue
	OPENED=$(tail -n +2 <<<"$OPENED")
	[[ -z $OPENED || $OPENED == "${l#*=}" ]] || fail "wrong content: '$OPENED' instead of '${l#*=}'"
done
says "Input/output error" cat "$m/big"
daemon_alive a || fail "the daemon ended"
find "$m" -type f -exec cat {} + >/dev/null 2>"$TMP/said"
grep -q "Input/output error" "$TMP/said" || fail "nothing failed: $(head -n 3 "$TMP/said")"
step "a scan of what cannot be read takes no row for that of a deleted file"
rm "$HOLD.read-fails"
drop_caches
ls -l "$SHARE" >/dev/null 2>&1 # so much of it can be read all the same
: >"$HOLD.read-fails"
"$HOLDFAST" rebuild --shared-dir="$SHARE" --state-dir="$STATE" >"$TMP/said" 2>&1
rc=$?
((rc == 1)) || fail "exit $rc of a rebuild that could not look at everything: $(cat "$TMP/said")"
grep -q "scan.*Input/output error" "$TMP/said" || fail "the scan met no error: $(cat "$TMP/said")"
rm "$HOLD.read-fails"
if ls "$SHARE" >/dev/null; then daemon_restart kill9; else repair; fi # xfs may have shut down
same "mended, and every handle opens"
whole "reads failed"

step "writes fail"
echo kept >"$m/kept" && sync "$m/kept" || fail "sync"
kept=$(handle_of "$m/kept")
: >"$HOLD.write-fails"
says "Input/output error|Read-only file system" put "$m/lost" 4 conv=fsync
for ((i = 0; i < 20; i++)); do echo x >"$m/late/lost$i"; sync "$m/late"; done 2>/dev/null
says "Input/output error|Read-only file system" bash -c 'echo x >"$1" && sync "$1" && mkdir "$1.d" && sync "$1.d"' write "$m/lost2"
daemon_alive a || fail "the daemon ended"
rm "$HOLD.write-fails"
repair
rm -rf "$SHARE"/late/lost* "$SHARE"/lost*
same "repaired, and every handle opens"
expect_opens "$kept" kept
whole "writes failed"
daemon_stop
image_umount "$HOST"
image_umount "$TMP/disk"
wait "$disk" || fail "slowdisk: exit $?"
