#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# A disk that is not mounted: the path is known, but another directory is there. Exit code 8; `adopt` says yes.
. "$(dirname "$0")/../lib/case.sh"

share_make
echo one >"$SHARE/f"
daemon_start a
h=$(handle_of "${MOUNT[a]}/f")
daemon_stop
run mv "$SHARE" "$HOST/away"
mkdir "$SHARE"
echo impostor >"$SHARE/f"
daemon_refuses 8 --state-dir="$STATE"
grep -q adopt <<<"$SAID" || fail "it does not name adopt"
step "the right one again"
run mv "$SHARE" "$HOST/impostor" && run mv "$HOST/away" "$SHARE"
daemon_start a
expect_opens "$h" one
daemon_stop
step "adopted"
run mv "$SHARE" "$HOST/away" && run mv "$HOST/impostor" "$SHARE"
run "$HOLDFAST" adopt --shared-dir="$SHARE" --state-dir="$STATE"
daemon_start a
expect_stale "$h"
expect_opens "$(handle_of "${MOUNT[a]}/f")" impostor
daemon_stop
