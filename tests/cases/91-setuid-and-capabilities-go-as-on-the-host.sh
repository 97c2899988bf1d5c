#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs
# limit: 240
# What a user who may write to a file does to its setuid and setgid bits and capabilities, and what root does, on the host and
# through the mount; with capabilities under another name on the host as well (CVE-2021-20263).
. "$(dirname "$0")/../lib/case.sh"

share_make
capability=0x0100000200200000000000000000000000000000
user=(setpriv --reuid 1234 --regid 1234 --clear-groups)

# outcome DIR HOSTDIR: a line for each act in DIR, as HOSTDIR shows it (with --killpriv-v2 the kernel may show bits that it
# left to the daemon until its attributes expire).
outcome() {
	local f=$1/file host=$2/file act mode who
	echo source >"$1/source"
	for act in write truncate ftruncate open-truncate create-truncate allocate punch copy; do
		for mode in 6777 4777 2777 0777; do
			for who in user root; do
				rm -f "$f"
				echo content >"$f"
				setfattr -n security.capability -v $capability "$f" || fail "setfattr"
				chmod $mode "$f"
				if [[ $who == user ]]; then
					"${user[@]}" "$TOOLS/privbits" $act "$f" "$1/source"
				else
					"$TOOLS/privbits" $act "$f" "$1/source"
				fi
				echo "$who $act $mode: exit $?, $(stat -c %a "$host"), $(getfattr -dm security.capability "$f" 2>/dev/null | grep -c =)"
			done
		done
	done
	for mode in 6755 0755; do
		rm -f "$f"
		echo content >"$f"
		setfattr -n security.capability -v $capability "$f"
		chmod $mode "$f"
		chown 1234 "$f"
		echo "chown $mode: $(stat -c %a "$host"), $(getfattr -dm security.capability "$f" 2>/dev/null | grep -c =)"
	done
}

mkdir -m 777 "$HOST/plain" "$SHARE/d"
outcome "$HOST/plain" "$HOST/plain" >"$TMP/want"
grep -q "user write 6777: exit 0, 777, 0" "$TMP/want" || fail "the host does not drop setuid: $(cat "$TMP/want")"
for options in "--xattr" "--xattr --killpriv-v2" "--xattr --cache=never --killpriv-v2" "--xattr --posix-acl" \
	"--xattrmap=:prefix:all:security.:user.virtiofs.::ok:all:::" \
	"--killpriv-v2 --xattrmap=:prefix:all:security.:user.virtiofs.::ok:all:::"; do
	step "options: $options"
	# shellcheck disable=SC2086
	daemon_start a $options
	outcome "${MOUNT[a]}/d" "$SHARE/d" >"$TMP/got"
	diff "$TMP/want" "$TMP/got" || fail "not as on the host with $options"
	daemon_stop
done
