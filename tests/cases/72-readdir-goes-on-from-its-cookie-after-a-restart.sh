#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
. "$(dirname "$0")/../lib/case.sh"

share_make
mkdir "$SHARE/d"
for ((i = 0; i < 3000; i++)); do : >"$SHARE/d/entry-$i"; done
for how in term kill9; do
	daemon_start a
	"$TOOLS/dircookie" first "${MOUNT[a]}/d" 1000 >"$TMP/first" || fail "first"
	cookie=$(tail -n 1 "$TMP/first")
	sed -i '$d' "$TMP/first"
	daemon_restart $how
	"$TOOLS/dircookie" rest "${MOUNT[a]}/d" "$cookie" >"$TMP/rest" || fail "rest"
	daemon_stop
	expect_text "names in all" 3002 "$(cat "$TMP/first" "$TMP/rest" | wc -l)"
	expect_text "different names" 3002 "$(sort -u "$TMP/first" "$TMP/rest" | wc -l)"
done
