#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 300
# weight: 45
# An incremental backup whose catalogue has handles, over reboots and new daemons; and the handles of fanotify's events (Linux
# 6.1 cannot watch by handle on virtio-fs), opened after the daemon was replaced and after the next boot.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

share_make
mkdir -p "$SHARE/data/"{a,b,c}/d "$SHARE/watched/d"
for i in $(seq 100); do
	for d in a a/d b b/d c c/d; do echo "$d/$i" >"$SHARE/data/$d/file $i"; done
done

# backup WANT: a run says this, and the store has the contents of all files and no other.
backup() {
	guest_says g "$1" 'backup /mnt/data /disk/catalogue /disk/store && sync'
	expect_text "contents in the store" "$(find "$SHARE/data" -type f -exec cat {} + | sort | sha256sum)" \
		"$(guest_do g 'cat /disk/store/* | sort' | sha256sum)"
}

share_serve a --persist
guest_boot g 6.12 share="${SOCKET[a]}"
guest_mount g
step "first backup"
guest_do g 'mkdir /disk/store'
backup 'same=0 changed=0 moved=0 new=600 gone=0'
backup 'same=600 changed=0 moved=0 new=0 gone=0'

step "watched, at work"
guest_do g 'fanwatch /tmp/events /mnt/watched /mnt/watched/d >/tmp/fanwatch 2>&1 & echo $! >/tmp/pid
	for i in 1 2 3 4 5 6 7 8 9 10; do grep -qs ready /tmp/events && exit 0; sleep 0.3; done; cat /tmp/fanwatch; exit 1'
guest_do g 'cd /mnt/watched; for i in 1 2 3 4 5 6 7 8 9; do echo watched/$i >$i; echo watched/d/below$i >d/below$i; done
	echo watched/d/moved >moving; mv moving d/moved; mkdir new; chmod 700 d/below3; echo x >gone; rm gone'
guest_do g 'sleep 0.5; kill $(cat /tmp/pid); sleep 0.5; tail -n +2 /tmp/events | sort -u >/disk/events; sync; [ ! -s /tmp/fanwatch ]'

# events_open: the object of each event that has still its name opens by the event's handle; the directory too.
events_open() {
	local handle place name files=0 directories=0 stale=0 want type ino rc
	while IFS=$'\t' read -r handle place name; do
		want=$(cd "$SHARE/watched" && find . -name "$name" | sed 's,^\.,watched,')
		rc=0
		guest_try g "catalogue open /mnt $handle >/tmp/out; rc=\$?; cat /tmp/out; exit \$rc" >"$TMP/opened" || rc=$?
		if [[ $name == gone || $name == moving ]]; then
			((rc == 11 || rc == 0)) || fail "event of $name: $rc"
			[[ $name != gone || $rc == 11 ]] || fail "what was deleted opens"
			stale=$((stale + (rc == 11)))
			continue
		fi
		((rc == 0)) || fail "event of $name does not open: $rc"
		read -r type ino <"$TMP/opened"
		expect_text "inode of the event of $name" "$(stat -c %i "$SHARE/$want")" "$ino"
		if [[ $type == f ]]; then
			expect_text "content of the event of $name" "$want" "$(tail -n +2 "$TMP/opened")"
			files=$((files + 1))
		else
			directories=$((directories + 1))
		fi
		expect_text "directory of the event of $name" "d $(stat -c %i "$SHARE/$(dirname "$want")")" \
			"$(guest_do g "catalogue open /mnt $place")"
	done < <(guest_do g 'cat /disk/events')
	echo "    events: $files of files, $directories of directories opened their objects, $stale of a deleted one were stale"
	((files >= 19 && directories >= 1 && stale >= 1)) || fail "too few events"
}
events_open

step "unplugged, changed by the host, plugged to a new daemon"
guest_do g 'umount /mnt'
guest_unplug g
device_stop a
for i in $(seq 10); do
	echo "changed $i" >>"$SHARE/data/a/file $i"
	mv "$SHARE/data/b/file $i" "$SHARE/data/c/d/from b $i"
	rm "$SHARE/data/c/file $i"
	echo "new $i" >"$SHARE/data/c/new $i"
done
mv "$SHARE/data/a/d" "$SHARE/data/a/e"
share_again a
guest_plug g "${SOCKET[a]}"
guest_mount g
events_open
backup 'same=470 changed=10 moved=110 new=10 gone=10'
backup 'same=600 changed=0 moved=0 new=0 gone=0'

step "the daemon killed, another machine"
share_kill9 a
guest_kill g
mv "$SHARE/data/a/file 11" "$SHARE/data/a/file 12"
share_again a
guest_boot g 6.12 share="${SOCKET[a]}"
guest_mount g
backup 'same=598 changed=0 moved=1 new=0 gone=1'
events_open
guest_stop g
device_stop a
