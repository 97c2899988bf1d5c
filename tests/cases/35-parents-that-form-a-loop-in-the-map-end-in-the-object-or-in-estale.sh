#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 own
# Rows of different times are mixed: the map says that a lies in b and b in a. Neither a hang nor another object.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a
m=${MOUNT[a]}
mkdir -p "$m/a/b/c"
echo leaf >"$m/a/b/c/leaf"
leaf=$(handle_of "$m/a/b/c/leaf")
declare -A dir=() ino=()
for d in a a/b a/b/c; do dir[$d]=$(handle_of "$m/$d"); ino[$d]=$(stat -c %i "$m/$d"); done
daemon_stop
run cp "$STATE/map.db" "$TMP/old.db"
daemon_start a
run mv "$m/a/b" "$m/b" && run mv "$m/a" "$m/b/c/a"
daemon_stop
changed=$(sqlite3 "$STATE/map.db" "attach '$TMP/old.db' as old;
	select n.id from node n join old.node o on n.id = o.id where n.sealed <> o.sealed") || fail "sqlite3"
(( $(wc -w <<<"$changed") >= 2 )) || fail "no rows changed: $changed"
run cp "$STATE/map.db" "$TMP/new.db"
for mixed in $changed; do
	run cp "$TMP/new.db" "$STATE/map.db"
	run sqlite3 "$STATE/map.db" "attach '$TMP/old.db' as old;
		update node set sealed = (select sealed from old.node where old.node.id = $mixed) where id = $mixed"
	daemon_start a
	started=$SECONDS
	expect_same_or_stale "$leaf" leaf
	for d in "${!dir[@]}"; do
		if handle_open "${dir[$d]}"; then expect_text "$d" "d ${ino[$d]}" "$OPENED"; fi
	done
	((SECONDS - started < 10)) || fail "it took $((SECONDS - started)) s"
	daemon_stop
done
