#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 1200
# weight: 80
# By the client, the guest and the host, while all is up, while nfsd is stopped, and while no daemon runs. What is still
# there is the same object and takes what is written; what is gone is stale, though its inode number is used again.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

# Each change has eight directories of its own. Of each, these files are held over NFSv$1:
victims() { if (($2 % 2)); then echo "f01$1 f03$1"; else echo "f00$1 f02$1 f04$1"; fi; }

# changes VERSION FIRST: the commands, for the tree's top as working directory.
changes() {
	local version=$1 d=() i f
	for ((i = 0; i < 8; i++)); do d+=("$(printf 'd%03d' $(($2 + i)))"); done
	echo set -e
	for f in $(victims "$version" 0); do echo "mv ${d[0]}/$f ${d[0]}/within-$f"; done
	for f in $(victims "$version" 1); do echo "mv ${d[1]}/$f ${d[2]}/across-$f"; done
	((version == 4)) || echo "mv ${d[3]} ${d[2]}/moved"
	for f in $(victims "$version" 4); do echo "ln ${d[4]}/$f ${d[2]}/linked-$f; rm ${d[4]}/$f"; done
	for f in $(victims "$version" 5); do
		echo "echo ${d[5]}/over-$f >${d[5]}/over-$f; mv ${d[5]}/over-$f ${d[5]}/$f"
	done
	for f in $(victims "$version" 6); do
		echo "rm ${d[6]}/$f; for n in 1 2 3; do echo ${d[6]}/again-$f-\$n >${d[6]}/again-$f-\$n; done"
	done
}

by_guest() { guest_do server "cd $1; $(changes "$2" "$3")" 60; }
by_host() { (cd "$SHARE" && eval "$(changes "$1" "$2")") || fail "changes on the host"; }

# What nobody took away must be there, and nothing else may.
check_all() {
	local version=$1 gone_least=$2 gone_most=$3 stale
	held_says server "$version" check
	stale=$(sed -n '1s/.*stale=\([0-9]*\) .*/\1/p' <<<"$SAID")
	[[ $SAID == "ok=$((TREE_HELD - stale)) stale=$stale error=0 wrong=0"* ]] || nfs_failed server "$version" "$SAID"
	((stale >= gone_least && stale <= gone_most)) ||
		nfs_failed server "$version" "$stale files are stale, not $gone_least to $gone_most: $SAID"
}

share_make
tree_make
server_boot
for version in 3 4; do
	nfs_mount server "${version/4/4.2}"
	held_start server $version
	held server $version "write first"
done
step "while all is up: by the client, the guest, the host"
for version in 3 4; do
	by_guest /v$version $version 0
	by_guest /srv $version 8
	by_host $version 16
	guest_drop server
	# The server may still have open what lost its name; the client keeps what it removed itself.
	check_all $version 0 10
done
step "by the guest while nfsd is stopped, by the host while no daemon runs"
guest_do server 'nfsserver stop'
for version in 3 4; do by_guest /srv $version 24; done
guest_do server 'umount /srv'
kill -9 "${INSIDE[d]}"
for version in 3 4; do by_host $version 32; done
device_replace dead
guest_mount server share /srv
share_lookups
server_start
guest_drop server
step "what is there is the same, what is gone is stale"
for version in 3 4; do
	check_all $version 20 20
	held server $version "dirs after-$version"
	held_says server $version "write after"
	[[ $SAID == "ok=80 stale=20 error=0 wrong=0"* ]] || nfs_failed server $version "$SAID"
done
said=$("$NFS_BIN/held" scan "$SHARE") || fail "on the host: $said"
expect_text "files that were written to at the end" 160 \
	"$(grep -rlZ ' after$' "$SHARE" | xargs -0 stat -c %i | sort -u | wc -l)"
# With the names that the host gave them while nobody served them.
for version in 3 4; do list_compare server /v$version/d034 "$SHARE/d034"; done
