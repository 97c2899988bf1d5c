#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Lost, damaged, readable or foreign key: 5. Corrupt map: 6. Newer schema: 7. Nothing is lost by the refusal.
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
