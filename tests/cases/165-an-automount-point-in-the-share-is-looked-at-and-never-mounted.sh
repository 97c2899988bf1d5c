#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own ext4
# A direct autofs mount whose automounter (this case) answers nobody: who walks into it waits for ever. Its requests come through a
# pipe, and there must be none.
. "$(dirname "$0")/../lib/case.sh"

share_make
mkdir "$SHARE/auto" "$SHARE/d"
echo one >"$SHARE/d/f"
mkfifo "$TMP/pipe"
cat "$TMP/pipe" >"$TMP/asked" &
exec {asks}>"$TMP/pipe"
# In a process group of its own: members of the automounter's never trigger it.
setsid --wait mount -i -t autofs -o "fd=$asks,minproto=5,maxproto=5,direct" automount "$SHARE/auto" 2>"$TMP/said" ||
	skip "no autofs here: $(cat "$TMP/said")"
asked() { stat -c %s "$TMP/asked"; }
# quick COMMAND...: it ends within five seconds, and well.
quick() { timeout -s KILL 5 "$@" >/dev/null || fail "exit $?: $*"; }

for options in "" "--xattr --posix-acl"; do
	step "options: $options"
	# shellcheck disable=SC2086 # options
	daemon_start a $options
	m=${MOUNT[a]}
	quick stat "$m/auto"
	quick ls -la "$m"
	quick find "$m" -maxdepth 1 -ls
	quick test -d "$m/auto"
	h=$(timeout -s KILL 5 "$TOOLS/catalogue" get "$m/auto") || fail "no handle of it"
	quick stat "$m/auto/.."
	drop_caches
	quick stat "$m/auto"
	quick ls -l "$m" "$m/d"
	expect_text "requests to the automounter" 0 "$(asked)"
	step "a scan passes it"
	daemon_kill9
	rm "$STATE/map.db"
	# shellcheck disable=SC2086 # options
	daemon_start a $options
	within 10 eval '"$HOLDFAST" status --json --state-dir="$STATE" | grep -q "\"complete\": true"' || fail "the scan hangs"
	expect_file "$m/d/f" one
	quick stat "$m/auto"
	expect_text "requests to the automounter" 0 "$(asked)"
	daemon_stop
done
step "who walks into it on the host asks for it, or this case shows nothing"
timeout -s KILL 2 ls "$SHARE/auto/" >/dev/null 2>&1 && fail "it is no automount point"
within 2 test -s "$TMP/asked" || fail "the automounter was not asked"
umount -l "$SHARE/auto"
