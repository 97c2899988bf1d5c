# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# The hostile cases against devices. Sourced by cases after case.sh and device.sh.

HOSTILE=$ROOT/build/native/hostile
# Freed memory that ASan keeps, to find its use, is not growth; so little of it is enough here.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:quarantine_size_mb=8:thread_local_quarantine_size_kb=16
# Memory in kB that a device may have more at the end of a run.
GROWTH=${GROWTH:-32768}

# hostile_run NAME [OPTION|PATTERN...]: against device NAME; the names of failed cases are said.
hostile_run() {
	local name=$1 out=$TMP/hostile-$1.out rc=0
	local -a options=()
	shift
	while [[ ${1:-} == --* ]]; do
		options+=("$1")
		shift
	done
	"$HOSTILE" --pid="${INSIDE[$name]}" --log="${LOG[$name]}" --growth="$GROWTH" "${options[@]}" \
		"${SOCKET[$name]}" "$SHARE" "$@" >"$out" 2>&1 || rc=$?
	cat "$out"
	! grep -q 'runtime error:\|Sanitizer' "${LOG[$name]}" || fail "a sanitizer has found something in $name"
	((rc == 0)) || fail "hostile cases against $name (exit $rc):"$'\n'"$(grep -a ' FAIL: ' "$out" | cut -c1-300)"
}

# hostile_other: a device "other" of another share, that has files of the same names.
hostile_other() {
	mkdir -p "$HOST/second/dir"
	echo "what is in the other file" >"$HOST/second/other"
	echo "what an innocent guest reads" >"$HOST/second/known"
	echo inside >"$HOST/second/dir/inside"
	SHARE=$HOST/second STATE=$TMP/state-second device_start other --persist "$@"
}

# hostile_all SANDBOX: every case there is, on devices with the options that it needs.
hostile_all() {
	share_make
	step "all that needs no option"
	hostile_other --sandbox="$1"
	device_start a --persist --sandbox="$1" --posix-lock --flock
	hostile_run a --other="${SOCKET[other]}" \
		--revoke="$HOLDFAST revoke --yes --shared-dir=$SHARE --state-dir=$STATE >/dev/null 2>&1"
	device_stop a
	device_stop other
	step "with extended attributes"
	device_start x --persist --sandbox="$1" --posix-lock --security-label
	hostile_run x object extension "an attribute" XATTR
	device_stop x
	step "with small caps"
	device_start c --persist --sandbox="$1" --posix-lock --max-nodes=1000 --rlimit-nofile=4096
	hostile_run c --caps "without end" "by many"
	device_stop c
}
