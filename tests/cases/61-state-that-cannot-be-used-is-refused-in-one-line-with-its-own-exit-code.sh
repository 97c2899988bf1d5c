#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Lost, damaged or readable key: 5. Corrupt map, or a foreign key beside it: 6. Newer schema: 7. Nothing is lost by the refusal.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

share_make
run "$TOOLS/populate" "$SHARE" 200
daemon_start a
catalogue_take
[[ $(stat -c %a "$STATE/key") == 600 ]] || fail "the key's mode is $(stat -c %a "$STATE/key")"
[[ $(stat -c %a "$STATE/map.db") == 600 ]] || fail "the map's mode is $(stat -c %a "$STATE/map.db")"
daemon_said | grep -q "$STATE" || fail "the first run does not say where the state is"
daemon_stop
run cp -a "$STATE" "$TMP/good"
restore() { rm -rf "$STATE"; run cp -a "$TMP/good" "$STATE"; }
still_good() { restore; daemon_start a; catalogue_check; daemon_stop; }
refused() { step "$1: $2"; daemon_refuses "$1" --state-dir="$STATE"; }

rm "$STATE/key"; refused 5 "the key is lost"
[[ ! -e $STATE/key ]] || fail "a refusal made a new key"
still_good
truncate -s 20 "$STATE/key"; refused 5 "the key is cut short"; still_good
printf 'x' | dd of="$STATE/key" bs=1 seek=40 conv=notrunc status=none; refused 5 "a byte of the key is another"; still_good
chmod 644 "$STATE/key"; refused 5 "the key is open to others"; still_good
head -c 300000 /dev/urandom >"$STATE/map.db"; refused 6 "the map is noise"; still_good
: >"$STATE/map.db-wal"; dd if=/dev/urandom of="$STATE/map.db" bs=1 seek=100 count=4000 conv=notrunc status=none
refused 6 "the map's first page is noise"; still_good
sqlite3 "$STATE/map.db" "pragma user_version = 99" || fail "sqlite3"
refused 7 "the map has a newer schema"
expect_text "the schema after the refusal" 99 "$(sqlite3 "$STATE/map.db" 'pragma user_version')"
still_good
step "--new-key where there is a key: refused if it is good, or if that cannot be said"
daemon_refuses 2 --state-dir="$STATE" --new-key
head -c 300000 /dev/urandom >"$STATE/map.db"
daemon_refuses 6 --state-dir="$STATE" --new-key
restore
sqlite3 "$STATE/map.db" "pragma user_version = 99" || fail "sqlite3"
daemon_refuses 7 --state-dir="$STATE" --new-key
still_good
run "$HOLDFAST" make-key "$TMP/other" >/dev/null
for mode in namespace chroot none; do
	step "--new-key where the key is another export's: $mode"
	restore
	cp -p "$TMP/other" "$STATE/key"
	device_start d --sandbox=$mode --new-key
	daemon_said d | grep -q "is stale for good" || fail "not said what that costs"
	device_stop d
	cmp -s "$TMP/other" "$STATE"/key.lost-* || fail "the key that was there is not kept"
	step "--new-key where the key is good: $mode"
	device_refuses 2 --sandbox=$mode --socket-path="$SOCKETS/sock-d" --new-key
done
step "a key of another export: the ring stays with those who serve, and what it holds"
restore
daemon_start a
ring=$(find /run/holdfast "$STATE" -name ring -type f | head -n 1)
was=$(stat -c %i "$ring")
for serves in yes no; do
	cp -p "$TMP/other" "$STATE/key"
	daemon_refuses 6 --state-dir="$STATE"
	expect_text "the ring after the refusal" "$was" "$(stat -c %i "$ring")"
	cp -p "$TMP/good/key" "$STATE/key"
	[[ $serves == no ]] || daemon_kill9
done
daemon_start a
expect_text "the ring that is used again" "$was" "$(stat -c %i "$ring")"
daemon_stop
step "a damaged ring is moved aside, but for those who serve by it"
rm -f "$ring.damaged"
restore
daemon_start a
head -c 64 /dev/zero | tr '\0' x | dd of="$ring" conv=notrunc status=none
daemon_refuses 4 --state-dir="$STATE"
[[ ! -e $ring.damaged ]] || fail "the ring of a daemon that serves was moved aside"
daemon_stop
daemon_start a
[[ -e $ring.damaged ]] || fail "the damaged ring is not kept"
daemon_stop
step "--new-key killed in the middle leaves no key that is from before a revoke"
for at in 1 2 3 4 5; do
	restore
	rm -f "$ring"
	run "$HOLDFAST" revoke --yes --shared-dir="$SHARE" --state-dir="$STATE" >/dev/null
	daemon_start a
	daemon_stop
	cp -p "$TMP/good/key" "$STATE/key"
	rm -f "$ring" # the host was down
	daemon_refuses 5 --state-dir="$STATE"
	mkdir -p "$TMP/mnt-killed"
	rc=0
	timeout 8 strace -f -o /dev/null -e trace=renameat2 -e inject=renameat2:signal=KILL:when=$at \
		"$HOLDFAST" --shared-dir="$SHARE" --mount="$TMP/mnt-killed" --state-dir="$STATE" --new-key 2>/dev/null || rc=$?
	umount -l "$TMP/mnt-killed" 2>/dev/null
	# It was through before that many, and serves.
	((rc == 137)) || break
	rm -f "$ring"
	daemon_refuses 5 --state-dir="$STATE"
	daemon_start a --new-key
	daemon_stop
done
((at > 2)) || fail "it was killed at no rename"
restore
step "--new-key starts over, and says what that costs"
rm "$STATE/key"
daemon_start a --new-key
daemon_said | grep -qi handle || fail "it does not say what a new key costs"
catalogue_check --expect-stale --sample=50 2>/dev/null || true
run ls -lR "${MOUNT[a]}" >/dev/null
root=$(handle_of "${MOUNT[a]}")
run handle_open "$root"
daemon_stop
