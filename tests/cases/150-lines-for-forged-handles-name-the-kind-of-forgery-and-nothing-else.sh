#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Bounded in number and length; no key, no host handle, no path or content of what lies outside.
. "$(dirname "$0")/../lib/case.sh"

share_make
mkdir "$SHARE/d" "$HOST/outside-NOTTOBESEEN"
for i in {1..40}; do echo $i >"$SHARE/d/f$i"; done
echo NOTTOBESEEN >"$HOST/outside-NOTTOBESEEN/NOTTOBESEEN"
daemon_start a --log-level=debug
catalogue_take
daemon_stop

# The lines that a daemon has said since it serves, of what guests did.
said() { daemon_said | sed '1,/: serving /d' | grep 'guest: '; }

step "invented nodeids, and handles of the host"
daemon_start a --log-level=debug
began=$EPOCHSECONDS
run "$TOOLS/forge" "${MOUNT[a]}" "$CAT" 5000 7
for p in "$HOST/outside-NOTTOBESEEN" "$HOST/outside-NOTTOBESEEN/NOTTOBESEEN" /etc/passwd; do
	h=$("$TOOLS/catalogue" get "$p") && ! handle_open "$h" || true
done
seconds=$((EPOCHSECONDS - began + 1))
said | grep -q 'guest: refused a handle whose nodeid no row has: invented, or of an object long gone$' || fail "not named: $(said | tail -3)"
# Five in a second of the clock, and for each how many were left out.
sleep 1.1
run "$TOOLS/forge" "${MOUNT[a]}" "$CAT" 20 8
(($(said | wc -l) <= 5 * (seconds + 3))) || fail "$(said | wc -l) lines in $seconds s"
daemon_said | grep -q '([0-9]* lines like the last were left out)' || fail "what was left out is not counted"
daemon_stop

step "rows that were edited"
sqlite3 "$STATE/map.db" 'PRAGMA wal_checkpoint(TRUNCATE);
	UPDATE node SET sealed = zeroblob(length(sealed)) WHERE rowid % 2;
	UPDATE node SET sealed = (SELECT sealed FROM node AS other WHERE other.id <> node.id LIMIT 1) WHERE NOT rowid % 2;' >/dev/null || fail "sqlite3"
daemon_start a --log-level=debug
# A scan that is due for another reason may mend rows before they are asked for; each of the others counts.
catalogue_check --allow-stale >"$TMP/checked"
cat "$TMP/checked"
stale=$(grep -o 'stale=[0-9]*' "$TMP/checked")
said | grep -q 'guest: refused a handle whose row is not authentic$' || fail "not named: $(said | tail -3)"
(($("$HOLDFAST" status --json --state-dir="$STATE" | grep -o '"forged": [0-9]*' | grep -o '[0-9]*') >= ${stale#*=} && ${stale#*=} > 0)) || fail "not counted: $(daemon_said | grep -v 'guest: ' | tail -5)"

step "what is in none of the lines"
cat "${LOG[a]}" >"$TMP/all"
! grep -q NOTTOBESEEN "$TMP/all" || fail "a name or content of what lies outside"
(($(awk '{ print length }' "$TMP/all" | sort -n | tail -1) < 1000)) || fail "a line without bounds"
# Hexadecimal digits in a row: a key has 64 of them, a host handle 16, a nodeid 16.
! grep -i 'guest:' "$TMP/all" | grep -Eq '[0-9a-f]{12}' || fail "a key or handle: $(grep -Ei '[0-9a-f]{12}' "$TMP/all" | head -2)"
od -An -v -tx1 -w8 "$STATE/key" | tr -d ' ' | grep -E '^.{16}$' | sort -u >"$TMP/key-parts"
(($(wc -l <"$TMP/key-parts") > 10)) || fail "no key to look for"
! grep -qiFf "$TMP/key-parts" "$TMP/all" || fail "a part of the key file"
daemon_stop
