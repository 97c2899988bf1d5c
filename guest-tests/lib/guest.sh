# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Guests: QEMU machines without KVM, each by a name, and the devices that serve them. Sourced by the cases after
# tests/lib/case.sh and tests/lib/device.sh. A guest is kept up for many commands; what it runs comes from its
# initramfs (busybox, catalogue, populate, filemodel, ...) and from /tools (gcc, git, sqlite3 by `chroot /tools`).
#
# GUEST_BACKEND=virtiofsd in the environment runs the cases against C virtiofsd, whose handles do not persist: the
# cases that check them must fail then.

GUEST_BUILD=$ROOT/build/guest GUESTCTL=$ROOT/build/guest/guestctl
GUEST_BACKEND=${GUEST_BACKEND:-holdfast}
# A guest's own disk, at /disk in it: it outlives the guest, and the next one has it again.
GUEST_DISK=$TMP/disk
# More arguments of QEMU for the next machines.
GUEST_ARGS=()
declare -A GUEST_PID=() GUEST_KERNEL=() GUEST_ROOM=() GUEST_SERIAL=()

"$ROOT/guest-tests/lib/prepare" || fail "the guests' kernels and programs cannot be made"

# run-case ends all processes of a case with it; this is for a case that is run by hand.
guests_kill() {
	local name
	for name in "${!GUEST_PID[@]}"; do kill -9 "${GUEST_PID[$name]}" 2>/dev/null; done
	for name in "${!PID[@]}"; do kill -9 "${PID[$name]}" 2>/dev/null; done
}
trap guests_kill EXIT
trap 'exit 143' TERM INT HUP

# ---- back-ends ---------------------------------------------------------------------------------------

# share_serve NAME [OPTION...]: a device that serves $SHARE with $STATE, at ${SOCKET[NAME]}. Options are holdfast's;
# of them C virtiofsd gets --cache.
share_serve() {
	local name=$1 option cache=auto
	shift
	ARGS[$name]="$*"
	if [[ $GUEST_BACKEND == holdfast ]]; then
		device_start "$name" "$@"
		return
	fi
	for option; do [[ $option != --cache=* ]] || cache=${option#*=}; done
	SOCKET[$name]=$SOCKETS/sock-$name LOG[$name]=$TMP/log-$name
	rm -f "${SOCKET[$name]}"
	/usr/lib/qemu/virtiofsd --socket-path="${SOCKET[$name]}" -o "source=$SHARE" -o sandbox=chroot -o "cache=$cache" \
		-o xattr -o modcaps=+sys_admin 2>>"${LOG[$name]}" </dev/null &
	PID[$name]=$!
	INSIDE[$name]=$!
	within 10 test -S "${SOCKET[$name]}" || fail "virtiofsd does not serve"
}

# share_end NAME: its front-end has gone, so it goes too.
share_end() {
	within 10 daemon_dead "$1" || fail "device $1 does not end when its front-end has hung up"
	wait "${PID[$1]}"
	unset "PID[$1]"
}

# share_kill9 NAME: under a live guest. The guest must be killed next: its requests wait for ever.
share_kill9() {
	kill -9 "${INSIDE[$1]}" || fail "device $1 was not there to be killed"
	within 10 daemon_dead "$1" || fail "device $1 outlives its kill"
	wait "${PID[$1]}" 2>/dev/null
	unset "PID[$1]"
}

# share_again NAME: served anew with the options that it had.
share_again() {
	# shellcheck disable=SC2086 # options have no spaces
	share_serve "$1" ${ARGS[$1]}
}

# ---- machines ----------------------------------------------------------------------------------------

disk_make() {
	truncate -s 96M "$GUEST_DISK" && run mkfs.ext4 -q -F -m 0 "$GUEST_DISK"
}

# guest_boot NAME KERNEL [TAG=SOCKET...]: a machine with these devices, until it does commands.
guest_boot() {
	local name=$1 kernel=$2 device args=("${GUEST_ARGS[@]}") port
	shift 2
	[[ -e $GUEST_DISK ]] || disk_make
	GUEST_KERNEL[$name]=$kernel
	GUEST_ROOM[$name]=0
	for port in 1 2 3 4 5 6 7 8; do args+=(-device "pcie-root-port,id=port$port,chassis=$port"); done
	for device; do
		port=$((++GUEST_ROOM[$name]))
		args+=(-chardev "socket,id=c-${device%%=*}-$port,path=${device#*=}"
			-device "vhost-user-fs-pci,id=d-${device%%=*}-$port,chardev=c-${device%%=*}-$port,tag=${device%%=*},queue-size=1024,bus=port$port")
		GUEST_SERIAL[$name/${device%%=*}]=$port
	done
	rm -f "/run/guest-$name".*
	: >"$TMP/console-$name"
	LOG[guest-$name]=$TMP/console-$name
	# no_timer_check: on a loaded machine Linux finds that the timer ticks too seldom, and gives up.
	qemu-system-x86_64 -name "$name" -nodefaults -no-user-config -display none -machine q35 -accel tcg,thread=multi -cpu max \
		-smp 1 -m 512M -object memory-backend-memfd,id=mem,size=512M,share=on -numa node,memdev=mem \
		-serial "file:$TMP/console-$name" -chardev "socket,id=ctl,path=/run/guest-$name.ctl,server=on,wait=off" \
		-serial chardev:ctl -qmp "unix:/run/guest-$name.qmp,server=on,wait=off" \
		-drive "if=none,id=disk,file=$GUEST_DISK,format=raw,cache=unsafe" -device virtio-blk-pci,drive=disk,addr=0x10 \
		-drive "if=none,id=tools,file=$GUEST_BUILD/tools.img,format=raw,readonly=on" \
		-device virtio-blk-pci,drive=tools,addr=0x11 \
		-kernel "$GUEST_BUILD/$kernel/vmlinuz" -initrd "$GUEST_BUILD/$kernel/initramfs" \
		-append 'console=ttyS0 quiet panic=-1 oops=panic mitigations=off random.trust_cpu=on no_timer_check nowatchdog' \
		-no-reboot "${args[@]}" >"$TMP/qemu-$name" 2>&1 </dev/null &
	GUEST_PID[$name]=$!
	guest_wait "$name"
}

guest_alive() { kill -0 "${GUEST_PID[$1]}" 2>/dev/null; }

guest_dead() { ! guest_alive "$1"; }

guest_wait() {
	local began=${EPOCHREALTIME/./}
	"$GUESTCTL" wait "/run/guest-$1.ctl" 180 || { cat "$TMP/qemu-$1"; fail "guest $1 does not come up"; }
	echo "    guest $1 (${GUEST_KERNEL[$1]}) up in $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
}

# guest_try NAME COMMAND [SECONDS]: runs it by sh in the guest; its output, its exit status.
guest_try() {
	local rc=0
	"$GUESTCTL" run "/run/guest-$1.ctl" "$((${3:-120} * (FULL ? 5 : 1)))" "$2" || rc=$?
	((rc != 125)) || guest_gone "$1" "$2"
	return $rc
}

# devices_well: none was killed, or has found a fault in itself. They end with their guest, and have said by then what there is to say.
devices_well() {
	local name
	for name in "${!PID[@]}"; do within 3 daemon_dead "$name"; done
	! grep -aqE 'killed by signal|runtime error|Sanitizer' "${LOG[@]}" /dev/null
}

# guest_gone NAME COMMAND: fails, with what its kernel said of it, and its QEMU. The runner looks for the line with GONE, which is
# there if it may have been the guest's own fault.
guest_gone() {
	local name=$1 rc=0 why
	within 5 guest_dead "$name" && { wait "${GUEST_PID[$name]}" || rc=$?; }
	why=$(grep -aE 'panic|BUG|Oops|RIP|Out of memory|blocked for' "$TMP/console-$name" | head -n 3 | tr '\r\n' '  ' | cut -c1-240)
	cat "$TMP/qemu-$name"
	# In a subshell its exit code is not to be had.
	((rc != 127)) || rc="a code that is not known"
	guest_alive "$name" || why="QEMU ended with $rc; ${why:-its kernel said nothing}"
	why="guest $name has gone (${why:-its channel broke}) at: $2"
	devices_well && echo "GONE: $why" >&"$REPORT"
	fail "$why"
}

# guest_do NAME COMMAND [SECONDS]: the same; it must succeed.
guest_do() { guest_try "$@" || fail "exit $? in guest $1: $2"; }

# guest_says NAME WANT COMMAND: it must succeed and print just this.
guest_says() { expect_text "$3" "$2" "$(guest_do "$1" "$3")"; }

guest_qmp() {
	local name=$1
	shift
	"$GUESTCTL" qmp "/run/guest-$name.qmp" "${QMP_SECONDS:-20}" "$@" >/dev/null || fail "QMP of guest $name: $1"
}

# guest_mount NAME [TAG [DIR [OPTIONS]]]
guest_mount() { guest_do "$1" "mkdir -p ${3:-/mnt} && mount -t virtiofs ${4:+-o $4} ${2:-share} ${3:-/mnt}"; }

# guest_unplug NAME [TAG]: the mount must be gone, or at least quiet.
guest_unplug() {
	local name=$1 tag=${2:-share} serial
	serial=${GUEST_SERIAL[$name/$tag]}
	guest_qmp "$name" "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"d-$tag-$serial\"}}" "DEVICE_DELETED \"d-$tag-$serial\""
	guest_qmp "$name" "{\"execute\":\"chardev-remove\",\"arguments\":{\"id\":\"c-$tag-$serial\"}}"
}

# guest_plug NAME SOCKET [TAG]: at the next of its ports.
guest_plug() {
	local name=$1 socket=$2 tag=${3:-share} port
	port=$((++GUEST_ROOM[$name]))
	((port <= 8)) || fail "guest $name has no port left"
	GUEST_SERIAL[$name/$tag]=$port
	guest_qmp "$name" "{\"execute\":\"chardev-add\",\"arguments\":{\"id\":\"c-$tag-$port\",\"backend\":{\"type\":\"socket\",\"data\":{\"server\":false,\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"$socket\"}}}}}}"
	guest_qmp "$name" "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vhost-user-fs-pci\",\"id\":\"d-$tag-$port\",\"chardev\":\"c-$tag-$port\",\"tag\":\"$tag\",\"queue-size\":1024,\"bus\":\"port$port\"}}"
	within 20 guest_has_tag "$name" "$tag" || fail "guest $name does not see the device"
}

# Not every kernel shows tags: by the number of virtio-fs devices that have their driver.
guest_has_tag() { guest_try "$1" 'ls -d /sys/bus/virtio/drivers/virtiofs/virtio[0-9]* >/dev/null 2>&1'; }

# guest_reboot NAME [reset]: in the same QEMU; the daemon's connection stays. By the guest itself, or by the reset button.
guest_reboot() {
	local name=$1
	guest_qmp "$name" '{"execute":"set-action","arguments":{"reboot":"reset"}}'
	if [[ ${2:-} == reset ]]; then
		guest_qmp "$name" '{"execute":"system_reset"}' RESET
	else
		guest_do "$name" sync
		"$GUESTCTL" reboot "/run/guest-$name.ctl" 10 || fail "no reboot of $name"
	fi
	guest_wait "$name"
	guest_qmp "$name" '{"execute":"set-action","arguments":{"reboot":"shutdown"}}'
}

# guest_stop NAME: mounts are taken down, the machine off. Its devices end with it.
guest_stop() {
	guest_do "$1" 'sync; umount -a -r -t virtiofs,ext4,overlay 2>/dev/null; sync'
	guest_kill "$1"
}

# guest_kill NAME: the plug is pulled.
guest_kill() {
	kill -9 "${GUEST_PID[$1]}" || fail "guest $1 was not there"
	wait "${GUEST_PID[$1]}" 2>/dev/null
	unset "GUEST_PID[$1]" "LOG[guest-$1]"
}

# ---- handles -----------------------------------------------------------------------------------------

# handles_take NAME FILE [DIR]: the catalogue of the mount in FILE on the guest's disk.
handles_take() { guest_do "$1" "catalogue take ${3:-/mnt} /disk/$2 && sync" 200; }

# handles_check NAME FILE [OPTION...]: all of them open what they opened, or as the options say.
handles_check() {
	local name=$1 file=$2 rc=0 said
	shift 2
	said=$(guest_try "$name" "catalogue check --retry-enomem=30 $* ${MNT:-/mnt} /disk/$file" 200) || rc=$?
	echo "    $file ${*:+($*) }$(tail -n 1 <<<"$said")"
	if ((rc)); then
		head -n -1 <<<"$said"
		fail "handles of $file: $(tail -n 1 <<<"$said")"
	fi
}

# handles_count NAME FILE [OPTION...]: the same, but only counted: COUNTED[same], [stale], [wrong] and [other] (the rest).
declare -A COUNTED=()
handles_count() {
	local name=$1 file=$2 said word
	shift 2
	said=$(guest_try "$name" "catalogue check $* ${MNT:-/mnt} /disk/$file" 200 | tail -n 1)
	COUNTED=([other]=0)
	for word in $said; do
		case $word in
		same=* | stale=* | wrong=*) COUNTED[${word%%=*}]=${word#*=} ;;
		*=*) COUNTED[other]=$((COUNTED[other] + ${word#*=})) ;;
		esac
	done
	[[ -n ${COUNTED[wrong]:-} ]] || fail "no count of $file: $said"
}

guest_drop_caches() { guest_do "$1" 'sync; for i in 1 2 3 4; do echo 3 >/proc/sys/vm/drop_caches; done'; }
