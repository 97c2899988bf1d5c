#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 180
# weight: 50
# The host renames, exchanges and swaps symlinks as fast as it can; guests hammer by path and by handle; a canary tree that never
# was inside is watched. 30 seconds; ten minutes with FULL=1.
. "$(dirname "$0")/../lib/case.sh"

share_make
seconds=10
((FULL)) && seconds=200
OUTSIDE=$HOST/outside
mkdir -p "$SHARE/p" "$OUTSIDE/away" "$OUTSIDE/canary/s"
for i in {0..7}; do
	mkdir -p "$SHARE/p/d$i/s" "$OUTSIDE/away/x$i/s" "$OUTSIDE/canary/d$i/s" "$OUTSIDE/away/canary"
	for d in "$OUTSIDE/canary" "$OUTSIDE/canary/s" "$OUTSIDE/canary/d$i" "$OUTSIDE/away/canary"; do echo "CANARY $i" >"$d/f$i"; done
	for d in "$SHARE/p" "$SHARE/p/d$i" "$SHARE/p/d$i/s" "$OUTSIDE/away/x$i"; do
		for j in {0..7}; do echo "inside $i" >"$d/f$j"; done
	done
	# By an absolute path, and by one that is relative to where they lie.
	case $((i % 4)) in
	0) to=$OUTSIDE/canary ;;
	1) to=../../outside/canary ;;
	2) to=../../outside ;;
	3) to=$OUTSIDE/canary/d$i ;;
	esac
	ln -s "$to" "$SHARE/p/l$i"
	ln -s "$OUTSIDE/canary/f$i" "$SHARE/p/m$i"
done
setfattr -n user.canary -v untouched "$OUTSIDE/canary/f0"

{ find "$OUTSIDE/canary" "$OUTSIDE/away/canary" -printf '%i\n'; stat -c %i "$OUTSIDE" "$OUTSIDE/away" "$HOST"; } >"$TMP/canaries"
# All but access times: we read it ourselves.
picture() {
	find "$OUTSIDE/canary" "$OUTSIDE/away/canary" -printf '%P %i %y %m %U %G %n %s %T@ %C@\n' | sort
	find "$OUTSIDE/canary" "$OUTSIDE/away/canary" -type f -exec sha256sum {} + | sort
	getfattr -R -d "$OUTSIDE/canary" 2>/dev/null
	find "$OUTSIDE" -maxdepth 1 -printf '%P\n' | sort
}
picture >"$TMP/before"

# race [OPTION...]
race() {
	local pids=() pid i rc=0
	daemon_start a --xattr "$@"
	"$TOOLS/swaprace" watch $((seconds + 4)) "$OUTSIDE/canary" "$OUTSIDE/away/canary" >"$TMP/watch" &
	local watcher=$!
	within 10 grep -q watching "$TMP/watch" || fail "no watch: $(<"$TMP/watch")"
	for i in 1 2; do "$TOOLS/swaprace" host "$SHARE" "$OUTSIDE" $seconds >"$TMP/host-$i" & pids+=($!); done
	for i in 1 2 3 4; do
		"$TOOLS/swaprace" guest "${MOUNT[a]}" $seconds $i "$TMP/canaries" >"$TMP/guest-$i" & pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || rc=$?; done
	grep -H . "$TMP"/host-? "$TMP"/guest-? | sed "s|$TMP/||"
	((rc == 0)) || fail "exit $rc: a guest saw what is outside, or nothing was served"
	wait "$watcher" || fail "the canary tree was touched: $(sort "$TMP/watch" | uniq -c | tail -5)"
	daemon_alive a || fail "the daemon is gone"
	awk -F '[= ]' '/by_path/ { p += $2; h += $4 } END { exit !(p > 100 && h > 50) }' "$TMP"/guest-? || fail "too little was done"
	awk -F '=' '/moves/ { n += $2 } END { exit !(n > 500) }' "$TMP"/host-? || fail "too little was moved"
	daemon_stop
	picture | diff "$TMP/before" - || fail "the canary tree has changed"
}

step "nothing believed for longer than a request"
race --cache=never
step "as it is by default"
race
step "--moved-out=allow"
race --moved-out=allow
