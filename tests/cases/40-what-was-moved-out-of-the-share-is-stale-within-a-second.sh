#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# A file, a directory, a file below a directory that moved: held in caches or cold, running or restarted. With
# --moved-out=allow what was reachable once opens.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a
m=${MOUNT[a]}
mkdir -p "$m/dir/below" "$m/stay" "$HOST/outside"
echo file >"$m/file"; echo deep >"$m/dir/below/deep"; echo stay >"$m/stay/f"
declare -A h=()
h[file]=$(handle_of "$m/file") h[deep]=$(handle_of "$m/dir/below/deep") h[dir]=$(handle_of "$m/dir")
h[below]=$(handle_of "$m/dir/below")
stay=$(handle_of "$m/stay/f")
run mv "$SHARE/file" "$SHARE/dir" "$HOST/outside/"
sleep 1.5
for k in "${!h[@]}"; do
	# The kernel's own cache may answer without asking; what is asked of the server is refused.
	echo 2 >/proc/sys/vm/drop_caches
	is_stale "${h[$k]}" || fail "$k opens: $OPENED"
done
expect_opens "$stay" stay
step "an open directory leads nowhere"
mkdir "$m/held"
exec 5<"$m/held"
run mv "$SHARE/held" "$HOST/outside/held"
echo secret >"$HOST/outside/secret"
sleep 1.5
! cat /proc/self/fd/5/../secret 2>/dev/null || fail "'..' leads outside"
! touch /proc/self/fd/5/new 2>/dev/null || fail "created outside of the share"
[[ ! -e $HOST/outside/held/new ]] || fail "created outside of the share"
exec 5<&-
daemon_restart kill9
for k in "${!h[@]}"; do expect_stale "${h[$k]}"; done
step "back in the share, it is the same again"
run mv "$HOST/outside/file" "$SHARE/file"
ls -l "$m" >/dev/null
expect_opens "${h[file]}" file
step "--moved-out=allow"
daemon_stop
daemon_start a --moved-out=allow
expect_opens "${h[file]}" file
run mv "$SHARE/file" "$HOST/outside/"
sleep 1.5
expect_opens "${h[file]}" file
daemon_stop
