#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: xfs
# Names of attributes near the 64 KiB that listxattr(2) gives, lines appended through two mounts at once, a file of nearly 8 EiB.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a --xattr
daemon_start b --xattr
m=${MOUNT[a]}

step "names of attributes"
echo one >"$SHARE/named"
run "$TOOLS/noend" names "$SHARE/named" "$m/named"
expect_file "$m/named" one

append() { for ((i = 0; i < 1000; i++)); do printf '%s %06d %0100d\n' "$1" $i $i; done >>"$2/log"; }
append_all() {
	rm -f "$SHARE/log"
	append a "$m" & one=$!
	append b "${MOUNT[b]}" & two=$!
	append c "$m" & three=$!
	wait $one && wait $two && wait $three || fail "append"
}
for name in a b c; do
	for ((i = 0; i < 1000; i++)); do printf '%s %06d %0100d\n' $name $i $i; done
done >"$TMP/want"
step "lines appended by two mounts: no byte is lost"
append_all
# A kernel that caches cuts a line in two where a page ends: what others append may come between.
cmp <(fold -w 1 "$SHARE/log" | sort | uniq -c) <(fold -w 1 "$TMP/want" | sort | uniq -c) || fail "bytes are lost"
step "and each line is whole where nothing is cached"
daemon_stop b
daemon_stop a
daemon_start a --cache=never
daemon_start b --cache=never
append_all
cmp <(sort "$SHARE/log") <(sort "$TMP/want") || fail "lines are lost or broken"
run cmp "$SHARE/log" "$m/log"
run cmp "$SHARE/log" "${MOUNT[b]}/log"

for cache in never auto; do
	daemon_stop a
	daemon_start a --cache=$cache
	step "--cache=$cache: a file of 8 EiB, less one byte"
	end=$((0x7fffffffffffffff))
	truncate -s $end "$SHARE/host" || fail "the file system takes no such file"
	truncate -s $end "$m/large" || fail "truncate"
	expect_text "size on the host" $end "$(stat -c %s "$SHARE/large")"
	expect_text "size" $end "$(stat -c %s "$m/large")"
	run "$TOOLS/noend" large "$m/large"
	expect_text "size on the host" 10 "$(stat -c %s "$SHARE/large")"
	rm "$SHARE/large"
done
daemon_restart kill9
expect_text "size after a restart" $end "$(stat -c %s "$m/host")"
daemon_alive a || fail "the daemon ended"
daemon_stop b
daemon_stop a
