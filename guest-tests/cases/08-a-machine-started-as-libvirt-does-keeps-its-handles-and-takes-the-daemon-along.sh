#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 300
# weight: 30
# Nothing but what libvirt passes: a listening socket as a descriptor, its options, no --state-dir. The daemon ends by itself when QEMU
# does, whether that quits or is killed, and the next one opens the handles, in a user namespace too.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

share_make
run mkdir "$SHARE/tree" "$SHARE/other"
run "$TOOLS/populate" "$SHARE/tree" 500
run "$TOOLS/populate" "$SHARE/other" 100

# libvirt_start [OPTION...]
libvirt_start() {
	SOCKET[a]=$SOCKETS/sock-a
	rm -f "${SOCKET[a]}" # libvirt's own
	device_launch a "$TOOLS/unixsock" listen "${SOCKET[a]}" "$HOLDFAST" --fd=@FD --shared-dir "$SHARE" --cache always \
		--sandbox namespace --xattr --thread-pool-size=16 --rlimit-nofile=4096 --log-level info "$@"
	guest_boot g 6.12 share="${SOCKET[a]}"
	guest_mount g
}

# libvirt_ended: with 0, within seconds, no process left.
libvirt_ended() {
	local rc=0
	within 5 daemon_dead a || fail "the daemon outlives its QEMU"
	wait "${PID[a]}" || rc=$?
	((rc == 0)) || fail "the daemon ended with $rc"
	[[ ! -e /proc/${INSIDE[a]} ]] || fail "a process is left"
	unset "PID[a]"
}

libvirt_start
handles_take g all
guest_do g 'ls -lR /mnt/other >/dev/null'
handles_check g all --shuffle=1
step "QEMU quits"
guest_do g 'umount /mnt; sync'
guest_qmp g '{"execute":"quit"}'
wait "${GUEST_PID[g]}"
unset "GUEST_PID[g]" "LOG[guest-g]"
libvirt_ended
step "the same handles; QEMU is killed in the middle of work"
libvirt_start
guest_do g 'ls -lR /mnt/other >/dev/null'
handles_check g all --shuffle=2
guest_do g 'mkdir /mnt/work; hammer /mnt/work /tmp/log 1 >/dev/null 2>&1 & sleep 1'
guest_kill g
libvirt_ended
step "with ids of a user namespace"
libvirt_start --uid-map=:0:0:65536: --gid-map=:0:0:65536:
guest_do g 'ls -lR /mnt/other >/dev/null'
handles_check g all --shuffle=3
guest_kill g
libvirt_ended
