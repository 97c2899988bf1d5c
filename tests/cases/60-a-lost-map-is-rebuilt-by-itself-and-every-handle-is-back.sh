#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs
# limit: 120
# weight: 20
# ENOMEM ("try again") until the rebuild has ended, never ESTALE; afterwards none stale, none wrong.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/populate" "$SHARE" 5000
daemon_start a
catalogue_take
daemon_stop
rm -f "$STATE"/map.db*
daemon_start a
catalogue_check --shuffle=1
catalogue_check --shuffle=2
step "with the ring lost as well, after a kill -9"
daemon_kill9
rm -f "$STATE"/map.db* ; rm -rf /run/holdfast
daemon_start a
catalogue_check --shuffle=3
daemon_stop
step "by the command, with no daemon and with one"
rm -f "$STATE"/map.db*
run "$HOLDFAST" rebuild --shared-dir="$SHARE" --state-dir="$STATE"
daemon_start a
catalogue_check --shuffle=4
run "$HOLDFAST" rebuild --shared-dir="$SHARE" --state-dir="$STATE"
catalogue_check --shuffle=5
run "$HOLDFAST" verify --shared-dir="$SHARE" --state-dir="$STATE"
daemon_stop
