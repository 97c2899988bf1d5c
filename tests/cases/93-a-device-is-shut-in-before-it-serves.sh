#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# What /proc tells of the process that serves, in each mode of the sandbox; and that the state works there.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

share_make
mkdir "$SHARE/d" && echo one >"$SHARE/d/f"
echo secret >"$TMP/secret"
mkdir "$TMP/leak" "$TMP/keys"
mkdir -m 700 "$TMP/state-key"
default="chown dac_override dac_read_search fowner fsetid setgid setuid mknod setfcap"
status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/${INSIDE[$1]}/status"; }
status_json() { run "$HOLDFAST" status --json --state-dir="$STATE"; }

for mode in namespace chroot none; do
	step "$mode"
	# A descriptor that we leave open must not be a way out.
	exec {leak}<"$TMP/leak"
	device_start a --sandbox=$mode
	exec {leak}<&-
	root=/proc/${INSIDE[a]}/root
	expect_text "effective capabilities" 00000000880000df "$(status_of a CapEff)"
	expect_text "permitted capabilities" 00000000880000df "$(status_of a CapPrm)"
	expect_text "bounding set" 00000000880000df "$(status_of a CapBnd)"
	expect_text "inheritable capabilities" 0000000000000000 "$(status_of a CapInh)"
	expect_text "ambient capabilities" 0000000000000000 "$(status_of a CapAmb)"
	expect_text "no_new_privs" 1 "$(status_of a NoNewPrivs)"
	[[ -z $(find "/proc/${INSIDE[a]}/fd" -lname "$TMP/leak") ]] || fail "an inherited descriptor is still open"
	for ns in mnt pid net ipc uts; do
		same=no
		[[ $(readlink "/proc/${INSIDE[a]}/ns/$ns") == "$(readlink /proc/$$/ns/$ns)" ]] && same=yes
		[[ $mode == namespace ]] && want=no || want=yes
		expect_text "$ns namespace shared" $want $same
	done
	case $mode in
	namespace)
		[[ $(ls "$root" | wc -l) == 1 && $(cat "$root"/*/d/f) == one ]] || fail "the root holds more than the share"
		[[ $(wc -l <"/proc/${INSIDE[a]}/mountinfo") == 2 ]] || fail "more mounts than root and share"
		[[ ${INSIDE[a]} != "${PID[a]}" && $(status_of a NSpid) == *$'\t1' ]] || fail "it is not alone in its namespace"
		! touch "$root/x" 2>/dev/null || fail "the root can be written"
		;;
	chroot)
		expect_file "$root/d/f" one
		[[ ! -e $root/proc && ! -e $root/etc ]] || fail "more than the share is there"
		;;
	none) [[ -e $root/etc ]] || fail "another root" ;;
	esac
	[[ $mode == none || -z $(find "$root" -name secret) ]] || fail "the secret is there"
	[[ $mode == none ]] || device_leads_nowhere a
	status_json | grep -q "\"sandbox\": \"$mode\", \"capabilities\": \"$default\"" || fail "status: $(status_json)"
	status_json | grep -q "\"pid\": ${PID[a]}, .*\"socket\": \"${SOCKET[a]}\"" || fail "status: $(status_json)"
	status_json | grep -q '"map": "ok"' || fail "no map"
	device_stop a
	[[ $(status_json) == *'"clean": true'*'"daemons": []'* ]] || fail "not left clean: $(status_json)"
done

step "no device node opens, in the share, in a mount inside it, or beside state and key"
run "$HOLDFAST" make-key "$TMP/keys/key" >/dev/null
mkdir "$SHARE/m" "$SHARE/ro"
run mount -t tmpfs tmpfs "$SHARE/m"
run mount -t tmpfs -o ro tmpfs "$SHARE/ro"
for dir in "$SHARE" "$SHARE/m" "$TMP/keys"; do run mknod "$dir/null" c 1 3; done
run cat "$SHARE/null" # the host itself opens it
for options in "" --uid-map=:0:0:1:; do
	# shellcheck disable=SC2086 # none or one
	STATE=$TMP/state-key device_start a --key-file="$TMP/keys/key" $options
	[[ -e $TMP/state-key/null ]] || run mknod "$TMP/state-key/null" c 1 3
	[[ $(wc -l <"/proc/${INSIDE[a]}/mountinfo") == 4 ]] || fail "not root, share and two mounts"
	open=$(awk '$6 !~ /nodev/ || $6 !~ /nosuid/' "/proc/${INSIDE[a]}/mountinfo")
	[[ -z $open ]] || fail "not nodev, nosuid: $open"
	grep -q "/ro ro," "/proc/${INSIDE[a]}/mountinfo" || fail "a read-only mount can be written"
	found=()
	for dir in "/proc/${INSIDE[a]}"/root/* "/proc/${INSIDE[a]}"/root/*/m "/proc/${INSIDE[a]}"/fd/*; do
		[[ -c $dir/null ]] || continue
		! cat "$dir/null" 2>/dev/null || fail "$dir: a device node opens"
		found+=("$dir")
	done
	((${#found[@]} >= 4)) || fail "not all directories were looked at: ${found[*]}"
	device_stop a
done
umount "$SHARE/m" "$SHARE/ro"
rm "$SHARE/null"

step "--modcaps"
device_start a --modcaps=+sys_admin:-mknod
expect_text "effective capabilities" 00000000802000df "$(status_of a CapEff)"
device_stop a
device_refuses 2 --socket-path="$SOCKETS/sock-a" --modcaps=+everything
grep -q 'everything' <<<"$SAID" || fail "not by name"

step "a lost map is made again inside"
for mode in namespace chroot; do
	rm "$STATE/map.db"
	device_start a --sandbox=$mode
	daemon_said | grep -q "map.db was lost" || fail "not said"
	within 20 eval 'status_json | grep -q "\"complete\": true"' || fail "not complete"
	status_json | grep -q '"by_name": ' || fail "status"
	device_stop a
done

step "started by who ignores SIGCHLD, it ends like any other"
DAEMON_PREFIX=(env --ignore-signal=CHLD)
for options in --sandbox=namespace "--sandbox=chroot --key-helper" --uid-map=:0:0:1:; do
	# shellcheck disable=SC2086 # options
	device_start a $options
	device_stop a
done
DAEMON_PREFIX=()

step "killed outside, it ends inside"
device_start a
kill -9 "${PID[a]}"
wait "${PID[a]}" 2>/dev/null
within 5 test ! -e "/proc/${INSIDE[a]}" || fail "the process inside lives on"
unset "PID[a]"
step "killed inside, the other says so"
device_start a
kill -9 "${INSIDE[a]}"
rc=0; wait "${PID[a]}" || rc=$?
((rc == 1)) || fail "exit $rc"
daemon_said | grep -q "killed by signal 9" || fail "nothing said"
unset "PID[a]"
step "and the state is good"
device_start a --sandbox=chroot
device_stop a
