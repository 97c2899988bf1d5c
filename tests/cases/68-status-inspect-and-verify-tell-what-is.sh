#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# And no key, no host handle is in what they and the log say.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/populate" "$SHARE" 300
daemon_start a --log-level=debug
catalogue_take
tool() { "$HOLDFAST" "$1" --shared-dir="$SHARE" --state-dir="$STATE" "${@:2}"; }
run tool status >"$TMP/status"
run tool status --json >"$TMP/json"
sqlite3 :memory: "select json_valid(readfile('$TMP/json'))" | grep -qx 1 || fail "status --json is no JSON"
h=$(handle_of "${MOUNT[a]}/d0000/f001")
run tool inspect "$h" >"$TMP/inspect"
grep -q "d0000/f001" "$TMP/inspect" || fail "inspect does not name the path: $(cat "$TMP/inspect")"
sealed=$(getfattr --only-values -n trusted.holdfast.handle "${MOUNT[a]}/d0000/f001" 2>/dev/null | od -An -tx1 -v | tr -d ' \n')
[[ -n $sealed ]] || fail "no sealed handle"
run tool inspect "$sealed" >"$TMP/inspect2"
grep -q "d0000/f001" "$TMP/inspect2" || fail "inspect of the sealed handle does not name the path"
expect_exit 11 "$HOLDFAST" inspect --shared-dir="$SHARE" --state-dir="$STATE" "81:0123456789abcdef01234567"
step "the root: by its handle and its sealed one"
sealed_root=$(getfattr --only-values -n trusted.holdfast.handle "${MOUNT[a]}" 2>/dev/null | od -An -tx1 -v | tr -d ' \n')
for root in "$(handle_of "${MOUNT[a]}")" "$sealed_root"; do
	run tool inspect "$root" >"$TMP/inspect3"
	for line in "nodeid: 0x0000000000000001 (the root)" "type: directory" "inode: $(stat -c %i "$SHARE")" "path: ."; do
		grep -qx "$line" "$TMP/inspect3" || fail "inspect of the root does not say \"$line\": $(cat "$TMP/inspect3")"
	done
	! grep -q "birth: 1970\|last name" "$TMP/inspect3" || fail "inspect of the root: $(cat "$TMP/inspect3")"
done
daemon_stop
run tool verify >"$TMP/verify"
run tool status >>"$TMP/status"
step "no key and no host handle in any of it"
host=$("$TOOLS/catalogue" get "$SHARE/d0000/f001" | sed 's/.*://')
for ((i = 0; i + 16 <= $(stat -c %s "$STATE/key"); i += 8)); do
	piece=$(dd if="$STATE/key" bs=1 skip=$i count=16 status=none | od -An -tx1 -v | tr -d ' \n')
	if ((i >= 16)) && grep -qi "$piece" "${LOG[a]}" "$TMP"/status "$TMP"/json "$TMP"/inspect* "$TMP"/verify; then
		echo "bytes $i.. of the key file are shown (the export's UUID may be)"
	fi
done
! grep -qi "$host" "${LOG[a]}" "$TMP/status" "$TMP/json" || fail "a host handle is shown"
step "what a lost map does not have yet is not called gone"
for handle in "$h" "$sealed"; do
	rm -f "$STATE"/map.db*
	# The scan that is due stands before its first directory meanwhile.
	rc=0
	timeout 60 strace -f -o /dev/null -e trace=getdents64 -e inject=getdents64:delay_enter=3000000 \
		"$HOLDFAST" inspect --shared-dir="$SHARE" --state-dir="$STATE" "$handle" >"$TMP/inspect4" 2>&1 || rc=$?
	((rc == 1)) || fail "inspect while a rebuild is due: exit $rc: $(cat "$TMP/inspect4")"
	grep -q "a rebuild is running or due" "$TMP/inspect4" || fail "inspect while a rebuild is due: $(cat "$TMP/inspect4")"
	! grep -q "inode: 0\|unknown type" "$TMP/inspect4" || fail "inspect makes a row up: $(cat "$TMP/inspect4")"
done
