# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Devices: daemons at a socket, by the same names as those of daemon.sh. Sourced by cases after case.sh.

declare -A SOCKET=()
# Leaks are looked for by ptrace and /proc, which a sandbox has not.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0

# Sockets are in /run, which is the case's own: their paths must be short.
SOCKETS=/run

# device_start NAME [OPTION...]: serves $SHARE at $SOCKETS/sock-NAME with $STATE, until "serving" is said.
device_start() {
	local name=$1
	shift
	SOCKET[$name]=$SOCKETS/sock-$name
	device_launch "$name" "$HOLDFAST" --shared-dir="$SHARE" --state-dir="$STATE" --socket-path="${SOCKET[$name]}" "$@"
}

# device_launch NAME COMMAND...: the same with a command of one's own.
device_launch() {
	local name=$1
	shift
	LOG[$name]=$TMP/log-$name
	echo "=== start: $*" >>"${LOG[$name]}"
	DAEMON_OFFSET=$(stat -c %s "${LOG[$name]}")
	"${DAEMON_PREFIX[@]}" "$@" 2>>"${LOG[$name]}" </dev/null &
	PID[$name]=$!
	within 20 device_is_up "$name" || fail "device $name does not serve within 20 s"
	daemon_alive "$name" || fail "device $name ended at start"
	INSIDE[$name]=$(device_inside "${PID[$name]}")
}

device_is_up() {
	daemon_alive "$1" || return 0
	tail -c +$((DAEMON_OFFSET + 1)) "${LOG[$1]}" | grep -q "serving "
}

# The process that serves: with --sandbox=namespace it is the child of the one that was started.
declare -A INSIDE=()
device_inside() {
	local child children
	read -r -a children <"/proc/$1/task/$1/children"
	for child in "${children[@]}"; do
		[[ $(<"/proc/$child/comm") == holdfast-key ]] && continue # the key helper
		echo "$child"
		return
	done
	echo "$1"
}

# device_leads_nowhere NAME: by ".." from none of the directories that it has open is there a way to the host's root.
device_leads_nowhere() {
	local fd up=/../../../../../../../../../../../../../../../..
	for fd in "/proc/${INSIDE[$1]}"/fd/*; do
		[[ ! $fd -ef /proc/${INSIDE[$1]}/root ]] || continue # its own root, above which it cannot go
		[[ ! -d $fd || ! $fd$up -ef / ]] || fail "descriptor ${fd##*/}, $(readlink "$fd"), leads to the host's root"
	done
}

# device_ends NAME CODE: within 5 seconds, and its socket is gone.
device_ends() {
	local rc=0
	within 5 daemon_dead "$1" || fail "device $1 does not end"
	wait "${PID[$1]}" || rc=$?
	((rc == $2)) || fail "device $1 ended with $rc instead of $2"
	[[ ! -e ${SOCKET[$1]:-} ]] || fail "device $1 left its socket"
	[[ ! -e /proc/${INSIDE[$1]} ]] || fail "device $1 left a process behind"
	unset "PID[$1]"
}

# device_stop NAME: by SIGTERM, at once.
device_stop() {
	local began=${EPOCHREALTIME/./}
	kill -TERM "${PID[$1]}" || fail "device $1 is not there"
	device_ends "$1" 0
	# ASan's and a loaded machine's end is slow; a request that hangs would take two seconds.
	((${EPOCHREALTIME/./} - began < 1500000)) || fail "device $1 took $(((${EPOCHREALTIME/./} - began) / 1000)) ms to end"
}

# device_refuses CODE [OPTION...]: a device with these options must not come up.
device_refuses() {
	local code=$1
	shift
	expect_exit "$code" "$HOLDFAST" --shared-dir="$SHARE" --state-dir="$STATE" "$@"
}
