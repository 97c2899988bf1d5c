#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 300
# weight: 60
# Programs in the guest look up, create and delete and note every handle that they were given; the daemon dies at any
# moment. What they noted opens in the next guest, what they had deleted is stale.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

# What the guest had deleted is stale; on a slow machine a round may have come to an end before anything was.
deleted=0
gone_check() {
	local count
	count=$(guest_do g "wc -l </disk/$1")
	deleted=$((deleted + count))
	((count == 0)) || handles_check g "$1" --expect-stale
}

share_make
rounds=$((FULL ? 20 : 3))
for ((round = 1; round <= rounds; round++)); do
	share_serve a
	guest_boot g 6.12 share="${SOCKET[a]}"
	guest_mount g
	((round == 1)) || handles_check g "seen$((round - 1))" --shuffle=$round
	((round == 1)) || gone_check "seen$((round - 1)).gone"
	guest_do g "mkdir -p /mnt/work; for i in 1 2; do hammer /mnt/work /disk/log$round-\$i $round\$i >/dev/null 2>&1 & done"
	sleep "$((3 + RANDOM % 2)).$((RANDOM % 10))"
	share_kill9 a
	# Their requests wait for ever, what they have noted is on the disk.
	guest_do g "cat /disk/log$round-? >/disk/seen$round; cat /disk/log$round-?.gone >/disk/seen$round.gone; sync -f /disk/seen$round"
	echo "    round $round: $(guest_do g "wc -l </disk/seen$round") seen, $(guest_do g "wc -l </disk/seen$round.gone") deleted"
	guest_kill g
done
share_serve a
guest_boot g 6.12 share="${SOCKET[a]}"
guest_mount g
for ((round = 1; round <= rounds; round++)); do handles_check g seen$round --shuffle=$round; done
((deleted)) || fail "nothing was deleted in any round"
guest_stop g
share_end a
