# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Daemons, each by a short name (the first is "a"). Sourced by case.sh.

# Leaks are looked for by ptrace(2) of a child, which a daemon that is shut in has not: the search would not end.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0

# daemon_start NAME [OPTION...]: serves $SHARE at $TMP/mnt-NAME with $STATE, until "serving" is said.
# DAEMON_PREFIX: an array of a command to run it by (prlimit, setpriv). MOUNT_END: what is behind the mount's path in --mount.
DAEMON_PREFIX=()
MOUNT_END=
daemon_start() {
	local name=$1
	shift
	MOUNT[$name]=$TMP/mnt-$name LOG[$name]=$TMP/log-$name
	ARGS[$name]="$*"
	mkdir -p "${MOUNT[$name]}" 2>/dev/null
	echo "=== start: $*" >>"${LOG[$name]}"
	DAEMON_OFFSET=$(stat -c %s "${LOG[$name]}")
	"${DAEMON_PREFIX[@]}" "$HOLDFAST" --shared-dir="$SHARE" --mount="${MOUNT[$name]}$MOUNT_END" --state-dir="$STATE" "$@" \
		2>>"${LOG[$name]}" </dev/null &
	PID[$name]=$!
	# ASan's and a loaded machine's start are slow.
	within 20 daemon_is_up "$name" || fail "daemon $name does not serve within 20 s"
	daemon_alive "$name" || fail "daemon $name ended at start"
}

daemon_is_up() {
	daemon_alive "$1" || return 0
	tail -c +$((DAEMON_OFFSET + 1)) "${LOG[$1]}" | grep -q "serving " && is_mounted "${MOUNT[$1]}"
}

# By the list of mounts: a mount of another user answers root nothing, one of a dead daemon nobody.
is_mounted() { grep -qF " $1 " /proc/self/mountinfo; }

daemon_alive() { [[ -n ${PID[$1]:-} ]] && kill -0 "${PID[$1]}" 2>/dev/null; }

# What the daemon has said since it was started last.
daemon_said() { tac "${LOG[${1:-a}]}" | sed '/^=== start:/q' | tac; }

# By SIGTERM: it must unmount and end with 0 within 10 seconds.
daemon_stop() {
	local name=${1:-a} rc=0
	kill -TERM "${PID[$name]}" || fail "daemon $name is not there"
	within 10 daemon_dead "$name" || fail "daemon $name does not end on SIGTERM"
	wait "${PID[$name]}" || rc=$?
	((rc == 0)) || fail "daemon $name ended with $rc on SIGTERM"
	! is_mounted "${MOUNT[$name]}" || fail "daemon $name left its mount"
	unset "PID[$name]"
}

daemon_dead() { ! daemon_alive "$1"; }

daemon_kill9() {
	local name=${1:-a}
	kill -9 "${PID[$name]}" || fail "daemon $name was not there to be killed"
	wait "${PID[$name]}" 2>/dev/null
	umount -l "${MOUNT[$name]}" 2>/dev/null
	unset "PID[$name]"
}

# daemon_restart term|kill9 [NAME]: with the same options.
daemon_restart() {
	local name=${2:-a}
	if [[ $1 == kill9 ]]; then daemon_kill9 "$name"; else daemon_stop "$name"; fi
	# shellcheck disable=SC2086 # options have no spaces
	daemon_start "$name" ${ARGS[$name]}
}

# daemon_refuses CODE [OPTION...]: a daemon with these options must not come up.
daemon_refuses() {
	local code=$1
	shift
	mkdir -p "$TMP/mnt-refused"
	expect_exit "$code" "$HOLDFAST" --shared-dir="$SHARE" --mount="$TMP/mnt-refused" "$@"
	! is_mounted "$TMP/mnt-refused" || fail "refused, but mounted"
}

# Resident memory in kB: what is its own, without the files that it maps.
daemon_memory() { awk '/^RssAnon:/ { print $2 }' "/proc/${PID[${1:-a}]}/status"; }
