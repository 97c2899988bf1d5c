# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# What every case has: sourced first. A case runs as root in mount, PID and IPC namespaces of its own
# (tests/lib/run-case), so mounts, loop devices and processes end with it, whatever happens to it.
#
# Given by run-case: ROOT (the repository), TMP (an empty directory of the case's own, below build/), FS (the
# file system to be tested on), FULL (1 in `make test-full`).

set -u # and no pipefail: `... | grep -q` ends its left side early
shopt -s lastpipe

HOLDFAST=$ROOT/${HOLDFAST_BUILD:-build}/holdfast
TOOLS=$ROOT/build/tests
# shellcheck disable=SC2034 # cases use them
SHARE=$TMP/share STATE=$TMP/state CAT=$TMP/catalogue
declare -A PID=() MOUNT=() LOG=() ARGS=()

. "$ROOT/tests/lib/images.sh"
. "$ROOT/tests/lib/daemon.sh"
. "$ROOT/tests/lib/handles.sh"

# Wherever the output of the caller goes, this goes to the log of the case.
exec {REPORT}>&1
fail() {
	{
		local name
		for name in "${!LOG[@]}"; do
			echo "--- last lines of daemon $name:"
			tail -n 15 "${LOG[$name]}"
		done
		echo "FAIL: $*"
	} >&"$REPORT"
	exit 1
}

skip() {
	echo "SKIP: $*"
	exit 77
}

step() { echo "--- $* ($(($(date +%s%N) / 1000000 - STARTED)) ms)"; }
STARTED=$(($(date +%s%N) / 1000000))

# run COMMAND...: it must succeed.
run() { "$@" || fail "exit $?: $*"; }

# expect_exit CODE COMMAND...: it must end with this code within 20 seconds and say so in one or two lines, kept in $SAID.
expect_exit() {
	local want=$1 got=0
	shift
	SAID=$(timeout -k 1 20 "$@" 2>&1 </dev/null) || got=$?
	echo "$SAID"
	((got == want)) || fail "exit $got instead of $want: $*"
	if ((want)); then
		[[ -n $SAID ]] || fail "said nothing: $*"
		(($(grep -c . <<<"$SAID") <= 3)) || fail "more than one clear line: $SAID"
	fi
}

# expect_text WHAT WANT GOT
expect_text() { [[ $3 == "$2" ]] || fail "$1: '$3' instead of '$2'"; }

# expect_file FILE CONTENT
expect_file() {
	local got
	got=$(cat "$1") || fail "cannot read $1"
	expect_text "$1" "$2" "$got"
}

# within SECONDS COMMAND...: it must succeed before the time is over; tried again and again. SLOW: times as long, in a machine
# whose processor is imitated.
within() {
	local until=$(($(date +%s%N) + $1 * ${SLOW:-1} * 1000000000))
	shift
	until "$@"; do
		(($(date +%s%N) < until)) || return 1
		sleep 0.05
	done
}
