#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# Within and across directories, exchanged, over another object, and whole trees, with restarts after each.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a
m=${MOUNT[a]}
mkdir -p "$m/a/b/c" "$m/x"
declare -A h=()
for f in one two three four; do echo $f >"$m/a/$f"; h[$f]=$(handle_of "$m/a/$f"); done
echo deep >"$m/a/b/c/deep"; h[deep]=$(handle_of "$m/a/b/c/deep")
dir=$(handle_of "$m/a/b/c")
dir_ino=$(stat -c %i "$m/a/b/c")
all_open() {
	local f
	for f in "${!h[@]}"; do expect_opens "${h[$f]}" "$f"; done
	run handle_open "$dir"
	expect_text "the directory" "d $dir_ino" "$OPENED"
}
after_each() {
	all_open
	drop_caches
	all_open
	daemon_restart "$1"
	all_open
}
step "within a directory"; run mv "$m/a/one" "$m/a/uno"; after_each kill9
step "across directories"; run mv "$m/a/uno" "$m/x/ein"; after_each term
step "a tree"; run mv "$m/a/b" "$m/x/moved"; after_each kill9
step "the top of a tree"; run mv "$m/x" "$m/a/x"; after_each kill9
step "over another object"
echo victim >"$m/a/victim"; victim=$(handle_of "$m/a/victim")
run mv "$m/a/two" "$m/a/victim"; after_each kill9
expect_stale "$victim"
step "exchanged"
run "$TOOLS/renameflags" exchange "$m/a/three" "$m/a/four"; after_each kill9
step "in a chain: a name that each object had"
for i in 1 2 3 4 5; do run mv "$m/a/three" "$m/a/t" && run mv "$m/a/four" "$m/a/three" && run mv "$m/a/t" "$m/a/four"; done
after_each kill9
step "with a whiteout left behind, which overlayfs needs, as root and as a user"
run chmod 777 "$m/a" "$m"
for uid in 0 1000; do
	run setpriv --reuid=$uid --regid=$uid --clear-groups "$TOOLS/renameflags" whiteout "$m/a/three" "$m/whole-$uid"
	expect_text "what is left" "character special file 0 0 $uid $uid" "$(stat -c '%F %t %T %u %g' "$SHARE/a/three")"
	whiteout=$(handle_of "$m/a/three")
	after_each kill9
	run handle_open "$whiteout"
	expect_text "the whiteout" "c $(stat -c %i "$SHARE/a/three")" "$OPENED"
	expect_exit 1 "$TOOLS/renameflags" whiteout "$m/a/nothing" "$m/x"
	run mv "$m/whole-$uid" "$m/a/three"
	expect_stale "$whiteout"
done
daemon_stop
