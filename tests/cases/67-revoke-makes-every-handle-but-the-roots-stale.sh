#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# In running daemons too, and for good; what is looked up afterwards has new handles that persist.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/populate" "$SHARE" 300
daemon_start a
catalogue_take
root=$(handle_of "${MOUNT[a]}")
run cp "$STATE/map.db" "$TMP/old-map.db" && cp "$STATE/map.db-wal" "$TMP/old-map.db-wal" 2>/dev/null
grep -av $'\t\\.$' "$CAT" >"$TMP/old"
run "$HOLDFAST" revoke --yes --shared-dir="$SHARE" --state-dir="$STATE"
drop_caches
sleep 1
FROM=$TMP/old catalogue_check --expect-stale
umount -l "${MOUNT[a]}" 2>/dev/null
within 10 daemon_dead a || daemon_kill9
unset "PID[a]"
daemon_start a
FROM=$TMP/old catalogue_check --expect-stale
run handle_open "$root"
catalogue_take "$TMP/new"
daemon_restart kill9
FROM=$TMP/new catalogue_check
FROM=$TMP/old catalogue_check --expect-stale
step "the map of before brings nothing back"
daemon_stop
rm -f "$STATE"/map.db*
run cp "$TMP/old-map.db" "$STATE/map.db"
daemon_start a
FROM=$TMP/old catalogue_check --expect-stale
FROM=$TMP/new catalogue_check
daemon_stop
