#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 300
# weight: 30
# Two daemons on one export, one of them with the helper, both written to and asked for handles while the key is rotated again
# and again; rotate-key and daemons are killed with -9 at random moments. Sealed handles of before the rotation still open.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/keys.sh"

times=3
((FULL)) && times=20
share_make
run "$TOOLS/populate" "$SHARE" 1000
daemon_start a --xattr
daemon_start b --xattr --key-helper
catalogue_take
file=$(find "$SHARE" -type f | head -n 1)
sealed() { getfattr --only-values -n trusted.holdfast.handle "$1${file#"$SHARE"}" | od -An -v -tx1 | tr -d ' \n'; }
touch "$TMP/hammer-a" "$TMP/hammer-b"
rotate() { "$HOLDFAST" rotate-key --state-dir="$STATE"; }
for ((i = 1; i <= times; i++)); do
	"$TOOLS/hammer" "${MOUNT[a]}" "$TMP/hammer-a" "1$i" 2>>"$TMP/hammer.err" & ha=$!
	"$TOOLS/hammer" "${MOUNT[b]}" "$TMP/hammer-b" "2$i" 2>>"$TMP/hammer.err" & hb=$!
	sleep "0.0$((RANDOM % 10))"
	rotate >>"$TMP/rotate" 2>&1 & r=$!
	sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
	case $((i % 3)) in
	0) kill -9 $r 2>/dev/null ;;
	1) daemon_kill9 a ;;
	2) daemon_kill9 b ;;
	esac
	case $((i % 3)) in
	1) daemon_start a --xattr ;;
	2) daemon_start b --xattr --key-helper ;;
	esac
	drop_caches
	ON=a catalogue_check --no-content --shuffle=$i
	ON=b catalogue_check --no-content --shuffle=$i
	kill $ha $hb 2>/dev/null
	wait $ha $hb $r 2>/dev/null
	# Half of the rotations are to come: fewer than there are retired keys.
	((i == (times + 1) / 2)) && sealed_file=$(sealed "${MOUNT[a]}")
	# Of what was killed at once there is nothing to be asked for.
	tail -n 300 "$TMP/hammer-a" >"$TMP/recent"
	[[ ! -s $TMP/recent ]] || FROM=$TMP/recent ON=b catalogue_check --no-content
	tail -n 300 "$TMP/hammer-b" >"$TMP/recent"
	[[ ! -s $TMP/recent ]] || FROM=$TMP/recent ON=a catalogue_check --no-content
done
[[ ! -s $TMP/hammer.err ]] || { cat "$TMP/hammer.err"; fail "hammer"; }
step "what was killed goes on, and comes to its end"
run rotate
(($(sealing_key) >= 2)) || fail "no rotation at all"
"$HOLDFAST" status --json --state-dir="$STATE" | grep -q '"resealing": true' && fail "not all is sealed anew"
# The first two bytes of what is sealed: version and id of the key.
key=$(printf '%02X' "$(sealing_key)")
others=$(sqlite3 -readonly "$STATE/map.db" "SELECT count(*) FROM (SELECT sealed FROM node UNION ALL SELECT sealed FROM alias
	UNION ALL SELECT sealed FROM place) WHERE substr(hex(sealed),3,2)<>'$key'")
expect_text "rows sealed with another key than $key" 0 "$others"
step "sealed handles of before open, and those of now are the new key's"
now=$(sealed "${MOUNT[b]}")
[[ ${sealed_file:-} ]] || fail "no sealed handle"
[[ $sealed_file != "$now" ]] || fail "the sealed handle is the same after a rotation"
run "$HOLDFAST" inspect --shared-dir="$SHARE" --state-dir="$STATE" "$sealed_file" >"$TMP/inspected"
grep -q "^path: ${file#"$SHARE"/}$" "$TMP/inspected" || { cat "$TMP/inspected"; fail "the old sealed handle does not open"; }
expect_text "key of a sealed handle" "${key,,}" "${now:2:2}"
cat "$TMP/hammer-a" "$TMP/hammer-b" >"$TMP/all"
drop_caches
FROM=$TMP/all ON=a catalogue_check --no-content --shuffle=1
FROM=$TMP/all ON=b catalogue_check --no-content --shuffle=2
daemon_stop a
daemon_stop b
step "no daemon: the command does it; killed in the middle, the next start does"
run rotate >"$TMP/rotate"
grep -q "everything is sealed" "$TMP/rotate" || fail "rotate-key without a daemon"
for ((i = 1; i <= times; i++)); do
	rotate >/dev/null & r=$!
	sleep "0.0$((RANDOM % 6))"
	kill -9 $r 2>/dev/null
	wait $r 2>/dev/null
done
daemon_start a --xattr
FROM=$TMP/all catalogue_check --no-content --shuffle=3
run rotate >/dev/null
catalogue_check --no-content
expect_text "status of the key" ok "$("$HOLDFAST" status --json --state-dir="$STATE" | grep -o '"key": "[a-z ]*"' | cut -d'"' -f4)"
daemon_stop a
