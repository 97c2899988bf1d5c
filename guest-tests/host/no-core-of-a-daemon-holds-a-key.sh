#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs in a guest whose kernel gives every core to a program that puts it into /cores, whatever bound the process has. The
# daemons are ended by SIGSEGV: no core. Made dumpable, there is one, and no key in it.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/tests/lib/keys.sh"

[[ $(</proc/sys/kernel/core_pattern) == \|* ]] || fail "the kernel does not give cores to a program here"
SHIM=$TOOLS/dumpable.so

cores() { find /cores -name 'core.*' -size +0; }

# crash PID: it ends by SIGSEGV, and its core is there, if any is made.
crash() {
	local pid=$1
	rm -f /cores/core.*
	kill -SEGV "$pid" || fail "no process $pid"
	within 20 test ! -e "/proc/$pid/exe" || fail "process $pid lives on"
}

# guest_work: as another user, so that the daemon changes its ids; sealed handles, so that keys are used.
guest_work() {
	rm -f "$SHARE/by-1000"
	run setpriv --reuid 1000 --regid 1000 --clear-groups touch "${MOUNT[a]}/by-1000"
	run getfattr -n trusted.holdfast.handle "${MOUNT[a]}/by-1000" >/dev/null 2>&1
}

mount_end() {
	wait "${PID[a]}" 2>/dev/null
	umount -l "${MOUNT[a]}" 2>/dev/null
	unset "PID[a]"
	[[ -z ${helper:-} ]] || within 10 test ! -e "/proc/$helper/exe" || fail "the helper lives on"
}

share_make
chmod 777 "$SHARE"

step "a core of any other process is made"
sleep 100 & pid=$!
crash $pid
[[ -n $(cores) ]] || fail "the kernel makes no cores here"

# 2 is what systemd-coredump sets: processes whose ids have changed leave cores that root alone may read.
for suid_dumpable in 0 2 1; do
	echo $suid_dumpable >/proc/sys/fs/suid_dumpable
	step "fs.suid_dumpable=$suid_dumpable: none of a mount's daemon"
	daemon_start a --xattr
	guest_work
	crash "${PID[a]}"
	[[ -z $(cores) ]] || fail "there is a core of the daemon"
	mount_end
done
step "none of the helper"
daemon_start a --key-helper --xattr
guest_work
helper=$(helper_of)
crash "$helper"
[[ -z $(cores) ]] || fail "there is a core of the helper"
mount_end
step "none of a device" # not of one that is the first process of its namespace, which no signal but SIGKILL ends
device_start d --sandbox=chroot
crash "${INSIDE[d]}"
[[ -z $(cores) ]] || fail "there is a core of the device"
wait "${PID[d]}" 2>/dev/null
unset "PID[d]"

# fs.suid_dumpable is 1 from here on: changes of ids leave a process dumpable.
# searched PID WANT: the keys are in its core (1) or not (0); the state's path is, so that it is a whole one.
searched() {
	local core rc=0
	crash "$1"
	core=$(cores)
	[[ -n $core ]] || fail "no core although it was made dumpable"
	grep -q "$STATE" "$core" || fail "the core is not whole"
	"$TOOLS/keyscan" file "$STATE/key" "$core" || rc=$?
	echo "a core of $(stat -c %s "$core") bytes"
	expect_text "keys in the core of $(stat -c %s "$core") bytes" "$2" $rc
}
# Small stacks, or the cores were long: the kernel writes out all of a stack.
dumpable=(prlimit --stack=524288 env "LD_PRELOAD=$SHIM")
for option in --seccomp=kill --key-helper; do
	step "made dumpable, $option: no key in the core"
	DAEMON_PREFIX=("${dumpable[@]}") helper=
	daemon_start a --xattr "$option"
	guest_work
	searched "${PID[a]}" 0
	mount_end
done
step "made dumpable: no key in the core of the helper"
daemon_start a --xattr --key-helper
guest_work
helper=$(helper_of)
searched "$helper" 0
mount_end
step "made dumpable, a device"
helper=
device_start d --sandbox=chroot
searched "${INSIDE[d]}" 0
wait "${PID[d]}" 2>/dev/null
unset "PID[d]"
step "the search finds keys in a core of all memory"
DAEMON_PREFIX=("${dumpable[@]}" DUMP_ALL=1)
daemon_start a --xattr
guest_work
searched "${PID[a]}" 1
mount_end
