#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 120
# The ring's file is overwritten with noise, zeros and an older copy while no daemon runs, and with noise while one does.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/populate" "$SHARE" 400
daemon_start a
catalogue_take
ring() { find /run/holdfast "$STATE" -name 'ring*' -type f 2>/dev/null | head -n 1; }
[[ -n $(ring) ]] || fail "no ring file is found"
noise() { # OFFSET LENGTH
	dd if=/dev/urandom of="$(ring)" bs=1 seek="$1" count="$2" conv=notrunc status=none
}
again() {
	daemon_start a
	catalogue_check --allow-stale
	ls -lR "${MOUNT[a]}" >/dev/null
	catalogue_check
}
for attack in head middle all zeros short; do
	step "$attack"
	daemon_kill9
	if [[ -n $(ring) ]]; then
		case $attack in
		head) noise 0 512 ;;
		middle) noise 8192 4096 ;;
		all) dd if=/dev/urandom of="$(ring)" bs=1M count=8 conv=notrunc status=none ;;
		zeros) dd if=/dev/zero of="$(ring)" bs=1M count=16 conv=notrunc status=none ;;
		short) truncate -s 10000 "$(ring)" ;;
		esac
	fi
	again
done
step "noise in the records while the daemon runs"
for offset in 5000 20000 60000; do
	noise $offset 2000
	for i in 1 2 3 4 5 6 7 8 9; do echo "n $i" >"${MOUNT[a]}/noise-$offset-$i" || fail "create"; done
	drop_caches
	catalogue_check --allow-stale
done
daemon_kill9
again
daemon_stop
