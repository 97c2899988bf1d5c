#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# "handle get" and "handle open" speak of the same handles as name_to_handle_at; the root's is nodeid 1.
. "$(dirname "$0")/../lib/case.sh"

share_make
echo content >"$SHARE/f"
daemon_start a
h=$("$HOLDFAST" handle get "${MOUNT[a]}/f") || fail "handle get"
[[ $h =~ ^[0-9a-fx]+:[0-9a-f]{24}$ ]] || fail "not a handle: $h"
expect_text "hex of both" "${h#*:}" "$(handle_of "${MOUNT[a]}/f" | sed 's/.*://')"
expect_text "handle open" content "$("$HOLDFAST" handle open "$h" "${MOUNT[a]}")"
expect_text "the root" 000000000100000000000000 "$(handle_of "${MOUNT[a]}" | sed "s,.*:,,")"
root=$(handle_of "${MOUNT[a]}")
daemon_restart kill9
run handle_open "$root"
expect_text "the root opens as itself" "d $(stat -c %i "$SHARE")" "$OPENED"
rm "${MOUNT[a]}/f"
expect_exit 11 "$HOLDFAST" handle open "$h" "${MOUNT[a]}"
expect_exit 2 "$HOLDFAST" handle open "nonsense" "${MOUNT[a]}"
daemon_stop
