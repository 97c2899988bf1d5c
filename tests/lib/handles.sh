# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Handles, one by one and by the catalogue. Sourced by case.sh. Mounts are those of daemon "a" unless named.

handle_of() { "$TOOLS/catalogue" get "$1" || fail "no handle of $1"; }

# Exit code of opening a handle: 0, 11 (ESTALE), 12 (ENOMEM). $OPENED: "TYPE INODE", then the content.
handle_open() {
	local rc=0
	OPENED=$("$TOOLS/catalogue" open "${2:-${MOUNT[a]}}" "$1" 2>/dev/null) || rc=$?
	return $rc
}

# expect_opens HANDLE CONTENT [MOUNT]: a file with this content (ENOMEM is tried again for 10 s).
expect_opens() {
	local rc=12 try
	for ((try = 0; rc == 12 && try < 100; try++)); do
		((try == 0)) || sleep 0.1
		rc=0
		handle_open "$1" "${3:-${MOUNT[a]}}" || rc=$?
	done
	((rc == 0)) || fail "handle $1 of '$2' does not open: $rc"
	expect_text "handle $1" "$2" "$(tail -n +2 <<<"$OPENED")"
}

# expect_stale HANDLE [MOUNT]
expect_stale() {
	local rc=12 try
	for ((try = 0; rc == 12 && try < 100; try++)); do
		((try == 0)) || sleep 0.1
		rc=0
		handle_open "$1" "${2:-${MOUNT[a]}}" || rc=$?
	done
	((rc == 11)) || fail "handle $1 is not stale: $rc, $OPENED"
}

is_stale() {
	local rc=0
	handle_open "$1" "${2:-${MOUNT[a]}}" || rc=$?
	((rc == 11))
}

# expect_same_or_stale HANDLE CONTENT: never another object.
expect_same_or_stale() {
	local rc=0
	handle_open "$1" || rc=$?
	case $rc in
	11 | 12) ;;
	0) expect_text "handle $1" "$2" "$(tail -n +2 <<<"$OPENED")" ;;
	*) fail "handle $1: $rc" ;;
	esac
}

# catalogue_take [FILE [NAME [N]]]: every object below the mount of daemon NAME, with the content of every Nth file.
catalogue_take() { run "$TOOLS/catalogue" take "${MOUNT[${2:-a}]}" "${1:-$CAT}" "${3:-1}"; }

# catalogue_check [OPTION...]: against the mount of daemon ${ON:-a}, from ${FROM:-$CAT}.
catalogue_check() {
	run "$TOOLS/catalogue" check --retry-enomem=60 "$@" "${MOUNT[${ON:-a}]}" "${FROM:-$CAT}"
}
