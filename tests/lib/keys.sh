# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Where keys must not be. Sourced by cases after case.sh.

# keys_in_memory PID KEYFILE nodeid|sealing|all: they are there, and all of them are locked and kept out of dumps.
keys_in_memory() {
	local rc=0
	"$TOOLS/keyscan" memory "$1" "$2" "$3" >"$TMP/keyscan" || rc=$?
	((rc == 0)) || { cat "$TMP/keyscan"; fail "keyscan $3 in process $1: $rc (1: outside of locked memory, 3: not there at all)"; }
	tail -n 1 "$TMP/keyscan"
}

# keys_not_in_memory PID KEYFILE nodeid|sealing|all
keys_not_in_memory() {
	local rc=0
	"$TOOLS/keyscan" memory "$1" "$2" "$3" >"$TMP/keyscan" || rc=$?
	((rc == 3)) || { cat "$TMP/keyscan"; fail "keyscan $3 in process $1: $rc instead of nothing found"; }
}

# helper_of: the pid of the key helper of the daemon that runs.
helper_of() { "$HOLDFAST" status --json --state-dir="$STATE" | grep -o '"helper": [0-9]*' | grep -o '[0-9]*$'; }

# sealing_key: the id of the key that seals, as the daemon says.
sealing_key() { "$HOLDFAST" status --json --state-dir="$STATE" | grep -o '"sealing_key": [0-9]*' | head -n 1 | grep -o '[0-9]*$'; }
