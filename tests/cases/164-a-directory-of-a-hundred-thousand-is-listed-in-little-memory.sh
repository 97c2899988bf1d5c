#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# weight: 15
# Names of 200 bytes: a listing that were held would be 20 MB, two of them 40; nodes are capped at 1000.
. "$(dirname "$0")/../lib/case.sh"

share_make 700M
mkdir "$SHARE/many"
long=$(printf 'x%.0s' {1..190})
(cd "$SHARE/many" && seq -f "%06g-$long" 1 100000 | xargs touch) || fail "making of 100000 files"
daemon_start a --max-nodes=1000 --xattr
m=${MOUNT[a]}
run ls -U "${MOUNT[a]}" >/dev/null
find "$m/many" -maxdepth 1 2>/dev/null | head -n 3000 >/dev/null # what a first listing takes in any case
before=$(daemon_memory)
step "two readers, twice"
highest() { while sleep 0.05; do daemon_memory; done >"$TMP/memory"; }
highest & watch=$!
for round in 1 2; do
	for reader in 1 2; do "$TOOLS/dircookie" first "$m/many" 1000000 >"$TMP/listing$reader" & readers[reader]=$!; done
	for reader in 1 2; do
		wait "${readers[reader]}" || fail "reader $reader"
		expect_text "entries of reader $reader" 100003 "$(sort -u "$TMP/listing$reader" | wc -l)" # and the cookie
	done
done
kill $watch
after=$(sort -n "$TMP/memory" | tail -n 1)
echo "anonymous memory: $before kB, then at most $after kB, now $(daemon_memory) kB"
((after < before + 2048)) || fail "memory grows: from $before to $after kB"
daemon_stop
