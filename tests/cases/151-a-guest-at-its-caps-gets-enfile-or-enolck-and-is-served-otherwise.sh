#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 120
# weight: 15
# Open files, lock owners, nodes, objects without a name; with 600 descriptors, of which 192 are the daemon's own.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
printf '#!/bin/bash\nexec %s "$@" --rlimit-nofile=600 --max-nodes=1000 --posix-lock\n' "${HOLDFAST@Q}" >"$TMP/start"
chmod 755 "$TMP/start"
export CAPS_NOFILE=600 CAPS_FILES=204 CAPS_LOCKS=51 CAPS_NODES=1000
export CAPS_STATUS="${HOLDFAST@Q} status --json --state-dir=${STATE@Q} | grep -q open_files"
for t in files locks nodes nameless; do
	step "$t"
	rm -rf "$STATE"
	find "$SHARE" -mindepth 1 -delete
	"$ROOT/build/native/test_caps" "$TMP/start" "$SHARE" "$STATE" "$SOCKETS/sock" $t || fail "$t"
done
