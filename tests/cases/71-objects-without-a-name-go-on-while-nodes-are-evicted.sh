#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 own
# limit: 120
# Unlinked but open files, O_TMPFILE, a removed directory as cwd: held over a walk of far more objects than there are nodes.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/populate" "$SHARE" 6000
daemon_start a --max-nodes=1000
m=${MOUNT[a]}
echo "unlinked" >"$m/unlinked"
mkdir "$m/cwd"
exec 3<>"$m/unlinked"
rm "$m/unlinked"
"$TOOLS/nameless" "$m" "$TMP/go" >"$TMP/nameless.out" 2>&1 &
nameless=$!
within 10 test -e "$TMP/go.ready" || fail "nameless: $(cat "$TMP/nameless.out")"
cd "$m/cwd" || fail cd
rmdir "$m/cwd"
for pass in 1 2; do
	ls -lR "$m" >/dev/null
	drop_caches
	expect_text "pass $pass: the unlinked file" unlinked "$(cat /proc/self/fd/3)"
	stat . >/dev/null || fail "cwd is gone"
	! touch here 2>/dev/null || fail "created in a removed directory"
done
echo more >&3 || fail "write"
touch "$TMP/go"
wait $nameless || fail "nameless: $(cat "$TMP/nameless.out")"
cd /
exec 3>&-
daemon_stop
