#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 own
# limit: 120
# With the PRF cut off, all objects of 256 neighbouring inode numbers clash. In one run, over restarts, after the first is
# gone, and with two daemons.
. "$(dirname "$0")/../lib/case.sh"

export HOLDFAST_TEST_PRF_MASK=0
share_make
daemon_start a
m=${MOUNT[a]}
for i in 1 2 3 4 5 6 7 8; do echo "object $i" >"$m/f$i"; done
for i in 1 2 3 4 5 6 7 8; do h[i]=$(handle_of "$m/f$i"); done
(( $(printf '%s\n' "${h[@]}" | sort -u | wc -l) == 8 )) || fail "two objects, one handle"
clashes=$("$HOLDFAST" status --json --shared-dir="$SHARE" --state-dir="$STATE" | grep -o '"clashes": *[0-9]*' | grep -o '[0-9]*$' | sort -n | tail -1)
((${clashes:-0} > 0)) || fail "nothing clashed: the case shows nothing"
all_right() { for i in "$@"; do expect_opens "${h[i]}" "object $i"; done; }
all_right 1 2 3 4 5 6 7 8
drop_caches
all_right 8 7 6 5 4 3 2 1
daemon_restart kill9
all_right 5 1 8 2 7 3 6 4
step "looked up in another order after a restart, each has its handle"
daemon_restart kill9
for i in 8 7 6 5 4 3 2 1; do expect_text "handle of f$i" "${h[i]}" "$(handle_of "$m/f$i")"; done
step "two daemons"
daemon_start b
for i in 3 8 1; do expect_text "handle of f$i at the other" "${h[i]}" "$(handle_of "${MOUNT[b]}/f$i")"; done
echo "object 9" >"$m/f9"; echo "object 10" >"${MOUNT[b]}/f10"
h[9]=$(handle_of "$m/f9") h[10]=$(handle_of "${MOUNT[b]}/f10")
for i in 1 9 10; do
	expect_opens "${h[i]}" "object $i" "${MOUNT[a]}"
	expect_opens "${h[i]}" "object $i" "${MOUNT[b]}"
done
daemon_kill9 b
step "the first of them goes: its nodeid changes hands to nobody"
rm "$m/f1"
expect_stale "${h[1]}"
all_right 2 3 4 5 6 7 8 9 10
daemon_restart kill9
for i in 11 12; do echo "object $i" >"$m/f$i"; h[i]=$(handle_of "$m/f$i"); done
expect_stale "${h[1]}"
(( $(printf '%s\n' "${h[@]}" | sort -u | wc -l) == 12 )) || fail "a handle changed hands"
all_right 2 3 4 5 6 7 8 9 10 11 12
daemon_stop
