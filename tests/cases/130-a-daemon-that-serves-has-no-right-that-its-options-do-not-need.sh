#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 240
# on: own
# What /proc tells of a daemon under work: capabilities, filter of system calls in every thread, limits, descriptors.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

share_make
mkdir "$SHARE/d" && echo one >"$SHARE/d/f"
all="chown dac_override dac_read_search fowner fsetid setgid setuid mknod setfcap"
looking="dac_override dac_read_search fowner setgid setuid"

status_has() {
	local got
	got=$(run "$HOLDFAST" status --json --state-dir="$STATE" | grep -o '"sandbox": {[^}]*}')
	expect_text status "\"sandbox\": {\"mode\": \"$1\", \"capabilities\": \"$2\", \"seccomp\": \"$3\"}" "$got"
}

# is_shut_in PID CAPABILITIES SECCOMP: in every thread.
is_shut_in() {
	local task name want
	for task in "/proc/$1/task"/*; do
		for want in CapEff=$2 CapPrm=$2 CapInh=0000000000000000 CapAmb=0000000000000000 NoNewPrivs=1 Seccomp=$3; do
			name=${want%%=*}
			expect_text "$(<"$task/comm") $name" "${want#*=}" "$(sed -n "s/^$name:[[:space:]]*//p" "$task/status")"
		done
	done
	# Not 0, at which a program that takes cores would get one.
	expect_text "core dumps" "1 1" "$(awk '/^Max core/ { print $5, $6 }' "/proc/$1/limits")"
	no_descriptor_is_inherited "$1"
}

# Flags in fdinfo are octal: O_CLOEXEC is 02000000.
no_descriptor_is_inherited() {
	local fd flags count=0
	for fd in "/proc/$1/fd"/*; do
		((${fd##*/} > 2)) || continue
		flags=$(awk '/^flags:/ { print $2 }' "/proc/$1/fdinfo/${fd##*/}" 2>/dev/null) || continue
		[[ -n $flags ]] || continue # closed meanwhile
		((count++))
		((8#$flags & 8#2000000)) || fail "descriptor ${fd##*/} ($(readlink "$fd")) of $1 would be inherited"
	done
	((count > 8)) || fail "only $count descriptors were looked at"
}

work() {
	local i
	exec 7<"${MOUNT[a]}/d/f" 8<"${MOUNT[a]}/d"
	exec 9>>"${MOUNT[a]}/d/lock" && flock 9
	for i in 1 2 3; do echo $i >"${MOUNT[a]}/d/new$i"; done
	ls -l "${MOUNT[a]}/d" >/dev/null
}
rest() { exec 7<&- 8<&- 9>&-; }

step "a mount, under work"
daemon_start a --flock
work
is_shut_in "${PID[a]}" 00000000880002df 2
status_has none "chown dac_override dac_read_search fowner fsetid setgid setuid linux_immutable mknod setfcap" kill
read -r keeper _ <"/proc/${PID[a]}/task/${PID[a]}/children"
expect_text "who mounts and unmounts" holdfast-mount "$(<"/proc/$keeper/comm")"
expect_text "its descriptors" "0 1 2" "$(find "/proc/$keeper/fd" -type l ! -lname 'socket:*' -printf '%f\n' | sort | paste -sd' ')"
rest
daemon_stop
[[ ! -e /proc/$keeper ]] || fail "it outlived the daemon"
step "killed, nothing of it is left"
daemon_start a
read -r keeper _ <"/proc/${PID[a]}/task/${PID[a]}/children"
daemon_kill9
within 5 test ! -e "/proc/$keeper" || fail "who mounts outlived the daemon"

step "with attributes: SYS_ADMIN, which trusted.* takes, unless it is taken away"
daemon_start a --xattr
is_shut_in "${PID[a]}" 00000000882002df 2
daemon_stop
daemon_start a --xattr --modcaps=-sys_admin:-linux_immutable
is_shut_in "${PID[a]}" 00000000880000df 2
daemon_stop

step "read-only: nothing that makes or changes"
daemon_start a --readonly
is_shut_in "${PID[a]}" 00000000000000ce 2
daemon_stop
device_start b --readonly
is_shut_in "${INSIDE[b]}" 00000000000000ce 2
status_has namespace "$looking" kill
device_stop b

step "devices"
for mode in namespace chroot none; do
	device_start b --sandbox=$mode --persist
	run "$TOOLS/unixsock" junk "${SOCKET[b]}" >/dev/null
	is_shut_in "${INSIDE[b]}" 00000000880000df 2
	status_has $mode "$all" kill
	device_stop b
done
device_start b --modcaps=-dac_read_search
is_shut_in "${INSIDE[b]}" 00000000880000db 2
status_has namespace "${all/ dac_read_search/}" kill
device_stop b

step "--seccomp=none is shown, and is none; log and trap filter"
device_start b --seccomp=none
is_shut_in "${INSIDE[b]}" 00000000880000df 0
status_has namespace "$all" none
device_stop b
for mode in log trap; do
	device_start b --seccomp=$mode
	is_shut_in "${INSIDE[b]}" 00000000880000df 2
	status_has namespace "$all" $mode
	device_stop b
done
