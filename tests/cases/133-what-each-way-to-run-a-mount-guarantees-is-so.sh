#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 120
# weight: 15
# The last rows of the table of README.md: mounts on this machine, by root and by an ordinary user.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/ordinary.sh"

[[ -u $(command -v fusermount3) ]] || skip "fusermount3 is not setuid here"
ordinary_places
# Open to users, here alone.
mknod -m 666 /run/fuse c 10 229 && run mount --bind /run/fuse /dev/fuse

status_number() { run "${AS[@]}" "$HOLDFAST" status --json --state-dir="$STATE" | grep -o "\"$1\": [0-9]*" | tail -1 | grep -o '[0-9]*$'; }
scanned() { (($(status_number completed) > 0)); }

# opens HANDLE: whose content is "content", or which is a directory. Who may open handles: CAP_DAC_READ_SEARCH, and the mount's user.
opens() {
	local try out
	for try in {1..100}; do
		out=$("${OPENER[@]}" "$TOOLS/catalogue" open "${MOUNT[a]}" "$1" 2>/dev/null) && break
		sleep 0.1
	done
	[[ $out == d* || $out == *$'\ncontent' ]] || fail "handle $1: '$out'"
}

objects() {
	rm -rf "$STATE" /run/holdfast # a ring of 17 MiB for each state
	find "$SHARE" -mindepth 1 -delete
	install -d -m 700 -o "$OWNER" -g "$(id -gn "$OWNER")" "$STATE" "$TMP/mnt-a"
	chown "$OWNER:" "$SHARE" && chmod 777 "$SHARE"
	daemon_start a
	"${AS[@]}" bash -c 'mkdir "$1/d" && echo content >"$1/d/f"' objects "${MOUNT[a]}" || fail "cannot make objects"
	d=$("${AS[@]}" "$TOOLS/catalogue" get "${MOUNT[a]}/d") f=$("${AS[@]}" "$TOOLS/catalogue" get "${MOUNT[a]}/d/f") || fail "handles"
}
cold() { for _ in 1 2 3; do echo 3 >/proc/sys/vm/drop_caches; done; }

# row NAME OWNER BY-HANDLE
row() {
	OWNER=$2 AS=() OPENER=()
	[[ $2 == root ]] || AS=("${ORDINARY[@]}") OPENER=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search)
	DAEMON_PREFIX=("${AS[@]}")
	step "$1: a restart"
	objects
	daemon_restart kill9
	opens "$f" && opens "$d"
	step "$1: renamed while it runs"
	mv "$SHARE/d" "$SHARE/e" && sleep 1.2 && cold
	opens "$d" && opens "$f"
	mv "$SHARE/e/f" "$SHARE/g" && sleep 1.2 && cold
	opens "$f"
	step "$1: directory renamed meanwhile"
	daemon_stop
	objects
	daemon_kill9
	mv "$SHARE/d" "$SHARE/e"
	daemon_start a
	opens "$d" && opens "$f"
	if (($3)); then
		(($(status_number by_handle) > 0 && $(status_number completed) == 0)) || fail "not by handle"
	else
		within 20 scanned && (($(status_number by_handle) == 0)) || fail "not by a scan"
	fi
	daemon_stop
	step "$1: file renamed meanwhile"
	objects
	daemon_kill9
	mv "$SHARE/d/f" "$SHARE/g"
	daemon_start a
	opens "$f"
	within 20 scanned || fail "not by a scan"
	step "$1: owners"
}

# wanted ROW: MODE_ROWS, a pattern of names: only those (guest-tests/cases/13-*, with older kernels).
wanted() { [[ $1 =~ ${MODE_ROWS:-.} ]] && : $((DONE++)); }
DONE=0

if wanted "mount by root"; then
	# Directories are opened by handle below the share since this kernel.
	row "mount by root" root "$(since 6.13)"
	run setpriv --reuid 1000 --regid 1000 --clear-groups touch "${MOUNT[a]}/u"
	expect_text "owner" 1000 "$(stat -c %u "$SHARE/u")"
	run chown 2000 "${MOUNT[a]}/u"
	expect_text "owner" 2000 "$(stat -c %u "$SHARE/u")"
	run mknod "${MOUNT[a]}/n" b 0 0
	daemon_stop
fi

if wanted "mount by a user"; then
	row "mount by a user" nobody 0
	run "${ORDINARY[@]}" touch "${MOUNT[a]}/u"
	expect_text "owner" 65534 "$(stat -c %u "$SHARE/u")"
	! "${ORDINARY[@]}" chown 2000 "${MOUNT[a]}/u" 2>/dev/null || fail "chown"
	! "${ORDINARY[@]}" mknod "${MOUNT[a]}/n" b 0 0 2>/dev/null || fail "mknod"
	# Others are not let in, root neither.
	! ls "${MOUNT[a]}" >/dev/null 2>&1 || fail "root is let in"
	daemon_stop
fi
((DONE)) || fail "no row of that name"
