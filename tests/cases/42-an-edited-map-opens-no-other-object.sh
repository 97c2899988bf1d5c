#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 120
# Rows swapped, sealed bytes of another row, bits turned, an older copy, rows of another export, a map of another export.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/populate" "$SHARE" 400
daemon_start a
catalogue_take "$TMP/first"
daemon_stop
run cp -r "$STATE" "$TMP/state-old"
daemon_start a
m=${MOUNT[a]}
for i in 1 2 3 4 5; do echo "later $i" >"$m/later$i"; mv "$m/d0000/f00$i" "$m/moved$i"; done
catalogue_take
daemon_stop
run cp -r "$STATE" "$TMP/state-good"

# never_wrong WHAT: start on the map as it is, check everything, put the good state back.
never_wrong() {
	step "$1"
	daemon_start a
	catalogue_check --allow-stale --shuffle=3
	run "$TOOLS/forge" "${MOUNT[a]}" "$CAT" 2000 7
	# What is looked up anew is right again.
	ls -lR "${MOUNT[a]}" >/dev/null
	catalogue_check
	daemon_stop
	rm -r "$STATE"
	run cp -r "$TMP/state-good" "$STATE"
}
sql() { run sqlite3 "$STATE/map.db" "$1"; }

sql "create table t as select id, sealed, row_number() over (order by id) n from node;
	update node set sealed = (select b.sealed from t a join t b on b.n = (a.n % (select count(*) from t)) + 1
		where a.id = node.id); drop table t"
never_wrong "every row has the next one's bytes"
sql "update node set sealed = substr(sealed, 1, length(sealed) - 3)"
never_wrong "every row is cut short"
sql "update node set sealed = sealed || x'00'"
never_wrong "every row is longer"
sql "update node set sealed = x'0100' || substr(sealed, 3)"
never_wrong "another key id"
sql "delete from node where id % 3 = 0"
never_wrong "a third of the rows is gone"
run cp "$TMP/state-old/map.db" "$STATE/map.db"
never_wrong "an older copy of the map"
share=$SHARE
SHARE=$HOST/share2 STATE=$TMP/state-other
mkdir "$SHARE"
run "$TOOLS/populate" "$SHARE" 400
daemon_start b
catalogue_take "$TMP/other" b
daemon_stop b
SHARE=$share STATE=$TMP/state
run sqlite3 "$STATE/map.db" "attach '$TMP/state-other/map.db' as other;
	create table t as select id, row_number() over (order by id) n from node;
	create table u as select sealed, row_number() over (order by id) n from other.node;
	update node set sealed = coalesce((select sealed from t join u using (n) where t.id = node.id), sealed);
	insert or ignore into node select * from other.node; drop table t; drop table u"
never_wrong "rows of another export"
step "the map of another export: refused with 6"
rm -f "$STATE"/map.db*
run cp "$TMP/state-other/map.db" "$STATE/map.db"
daemon_refuses 6 --state-dir="$STATE"
