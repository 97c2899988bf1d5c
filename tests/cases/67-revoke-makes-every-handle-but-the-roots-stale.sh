#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# In running daemons too, and for good; what is looked up afterwards has new handles that persist.
. "$(dirname "$0")/../lib/case.sh"

take_new() { catalogue_take "$TMP/new" && grep -av $'\t\\.$' "$TMP/new" >"$TMP/newold"; }
# After a revoke nobody can use the mount any more.
mount_anew() {
	umount -l "${MOUNT[a]}" 2>/dev/null
	within 10 daemon_dead a || daemon_kill9
	unset "PID[a]"
	daemon_start a
}

share_make
run "$TOOLS/populate" "$SHARE" 300
daemon_start a
catalogue_take
root=$(handle_of "${MOUNT[a]}")
run cp "$STATE/map.db" "$TMP/old-map.db" && cp "$STATE/map.db-wal" "$TMP/old-map.db-wal" 2>/dev/null
grep -av $'\t\\.$' "$CAT" >"$TMP/old"
run "$HOLDFAST" revoke --yes --shared-dir="$SHARE" --state-dir="$STATE"
# Before the daemon has served a request since, and has told the map.
run "$HOLDFAST" verify --shared-dir="$SHARE" --state-dir="$STATE"
run "$HOLDFAST" rotate-key --shared-dir="$SHARE" --state-dir="$STATE"
drop_caches
sleep 1
FROM=$TMP/old catalogue_check --expect-stale
mount_anew
FROM=$TMP/old catalogue_check --expect-stale
run handle_open "$root"
take_new
daemon_restart kill9
FROM=$TMP/new catalogue_check
FROM=$TMP/old catalogue_check --expect-stale
step "revoke, verify and rotate while no daemon runs"
daemon_stop
run "$HOLDFAST" revoke --yes --state-dir="$STATE"
run "$HOLDFAST" status --json --state-dir="$STATE" >"$TMP/json"
grep -q '"map": "revoked"' "$TMP/json" || fail "status: $(cat "$TMP/json")"
for word in verify rotate-key verify; do run "$HOLDFAST" $word --shared-dir="$SHARE" --state-dir="$STATE"; done
daemon_start a
FROM=$TMP/newold catalogue_check --expect-stale
take_new
step "a revoke whose key may not be on the disk holds all the same"
rc=0
strace -f -o /dev/null -e trace=fsync -e inject=fsync:error=EIO:when=2 \
	"$HOLDFAST" revoke --yes --shared-dir="$SHARE" --state-dir="$STATE" || rc=$?
[[ $rc == 4 ]] || fail "exit $rc"
drop_caches
sleep 1
FROM=$TMP/newold catalogue_check --expect-stale
mount_anew
take_new
step "the map of before brings nothing back"
daemon_stop
rm -f "$STATE"/map.db*
run cp "$TMP/old-map.db" "$STATE/map.db"
daemon_start a
FROM=$TMP/old catalogue_check --expect-stale
FROM=$TMP/new catalogue_check
daemon_stop
