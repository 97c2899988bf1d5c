#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# limit: 120
# weight: 20
# Random nodeids, turned bits, neighbours, generations of others, other types and lengths, and handles of an outside: 0 open.
. "$(dirname "$0")/../lib/case.sh"

count=20000
((FULL)) && count=1000000
share_make
run "$TOOLS/populate" "$SHARE" 1000
mkdir "$HOST/outside"
echo secret >"$HOST/outside/secret"
daemon_start a
catalogue_take
run "$TOOLS/forge" "${MOUNT[a]}" "$CAT" $count 1
drop_caches
run "$TOOLS/forge" "${MOUNT[a]}" "$CAT" $count 2
daemon_restart kill9
run "$TOOLS/forge" "${MOUNT[a]}" "$CAT" $count 3
catalogue_check
step "handles of the host's own file system are none of ours"
for p in "$HOST" / "$HOST/outside/secret" "$SHARE" "$SHARE/d0000/f000"; do
	h=$("$TOOLS/catalogue" get "$p") || continue
	! handle_open "$h" || fail "host handle of $p opens: $OPENED"
	padded=0x81:$(sed 's/.*://; s/$/000000000000000000000000/' <<<"$h" | cut -c1-24)
	! handle_open "$padded" || fail "host handle of $p opens as a FUSE handle: $OPENED"
done
daemon_said | wc -l | { read -r n; ((n < 500)) || fail "$n lines of log for forged handles"; }
daemon_stop
