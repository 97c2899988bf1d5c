#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# limit: 240
# weight: 60
# What a handle was given for is logged at once; the server is killed in the middle of lookups and creates. Every handle
# that was ever logged opens its object, every one whose object was removed is stale.
. "$(dirname "$0")/../lib/case.sh"

times=50
((FULL)) && times=250
share_make
daemon_start a
log=$TMP/hammer
for ((i = 1; i <= times; i++)); do
	"$TOOLS/hammer" "${MOUNT[a]}" "$log" $i 2>"$TMP/hammer.err" &
	hammer=$!
	sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
	daemon_kill9
	wait $hammer || fail "hammer: $? $(cat "$TMP/hammer.err")"
	daemon_start a
	if ((i % 10 == 0)); then
		FROM=$log catalogue_check --no-content
		[[ ! -s $log.gone ]] || FROM=$log.gone catalogue_check --no-content --expect-stale
	else
		tail -n 300 "$log" >"$TMP/recent"
		[[ ! -s $TMP/recent ]] || FROM=$TMP/recent catalogue_check --no-content
	fi
done
(( $(wc -l <"$log") > times * 10 )) || fail "next to nothing was done between the kills"
drop_caches
FROM=$log catalogue_check --no-content --shuffle=9
FROM=$log.gone catalogue_check --no-content --expect-stale
daemon_stop
