#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 own
# limit: 400
# weight: 40
# Both are written to; now the one and now the other is killed with -9. What one gave out opens in the other at once.
. "$(dirname "$0")/../lib/case.sh"

times=20
((FULL)) && times=200
# All that was noted so far, by both daemons; then it goes, or the disk would be full before the end.
check_all() {
	cat "$TMP/hammer-a" "$TMP/hammer-b" >"$TMP/all"
	drop_caches
	FROM=$TMP/all ON=a catalogue_check --no-content --shuffle=1
	FROM=$TMP/all ON=b catalogue_check --no-content --shuffle=2
	cat "$TMP"/hammer-?.gone >"$TMP/all-gone"
	FROM=$TMP/all-gone ON=b catalogue_check --no-content --expect-stale
	find "${MOUNT[a]}" -name 'keep-*' -delete
	truncate -s 0 "$TMP"/hammer-? "$TMP"/hammer-?.gone
}

share_make
daemon_start a
daemon_start b
for i in 1 2 3 4 5 6 7 8 9 10; do
	echo "a $i" >"${MOUNT[a]}/a$i"
	expect_opens "$(handle_of "${MOUNT[a]}/a$i")" "a $i" "${MOUNT[b]}"
	echo "b $i" >"${MOUNT[b]}/b$i"
	expect_opens "$(handle_of "${MOUNT[b]}/b$i")" "b $i" "${MOUNT[a]}"
done
touch "$TMP/hammer-a" "$TMP/hammer-b"
for ((i = 1; i <= times; i++)); do
	"$TOOLS/hammer" "${MOUNT[a]}" "$TMP/hammer-a" "1$i" 2>>"$TMP/hammer.err" & ha=$!
	"$TOOLS/hammer" "${MOUNT[b]}" "$TMP/hammer-b" "2$i" 2>>"$TMP/hammer.err" & hb=$!
	# A loaded machine may take longer than that to begin.
	within 20 test -s "$TMP/hammer-a" -a -s "$TMP/hammer-b" || fail "nothing was written"
	sleep "0.1$((RANDOM % 10))"
	if ((RANDOM % 2)); then victim=a other=b; else victim=b other=a; fi
	daemon_kill9 $victim
	tail -n 200 "$TMP/hammer-$victim" >"$TMP/recent"
	FROM=$TMP/recent ON=$other catalogue_check --no-content
	daemon_start $victim
	kill $ha $hb 2>/dev/null
	wait $ha $hb 2>/dev/null
	FROM=$TMP/recent ON=$victim catalogue_check --no-content
	[[ ! -s $TMP/hammer.err ]] || { cat "$TMP/hammer.err"; fail "hammer"; }
	((i % 20)) || check_all
done
daemon_stop a
echo later >"${MOUNT[b]}/later"
h=$(handle_of "${MOUNT[b]}/later")
daemon_stop b
daemon_start a
expect_opens "$h" later
daemon_stop
