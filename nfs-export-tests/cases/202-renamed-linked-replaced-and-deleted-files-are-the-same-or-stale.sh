#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 1200
# weight: 80
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always NFS_CLIENT=near,far
# By the client, the guest and the host, while all is up, while nfsd is stopped, and while no daemon runs. What is still
# there is the same object and takes what is written; what is gone is stale, though its inode number is used again. With
# subtree_check what was renamed or linked into another directory may be stale too.
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

# by_guest GUEST DIR VERSION FIRST
by_guest() { guest_do "$1" "cd $2; $(changes "$3" "$4")" 60; }
by_host() { (cd "$SHARE" && eval "$(changes "$1" "$2")") || fail "changes on the host"; }

# held_all VERSION COMMAND LEAST MOST: what nobody took away is there, between LEAST and MOST are gone; in $OK, how many are there.
# A client of v4 that could not claim a file again in the grace period gives EIO for it ever after. Where nothing that is
# there may be stale, that is none; with subtree_check it is stale or not as the server's dentries are.
held_all() {
	local version=$1 error
	held_says $CLIENT "$version" "$2"
	read -r OK error < <(sed -n '1s/^ok=\([0-9]*\) stale=[0-9]* error=\([0-9]*\) wrong=0$/\1 \2/p' <<<"$SAID")
	[[ -n $OK ]] && ((!error || version == 4 && elsewhere)) || nfs_failed $CLIENT "$version" "$2: $SAID"
	((TREE_HELD - OK >= $3 && TREE_HELD - OK <= $4)) ||
		nfs_failed $CLIENT "$version" "$2: $((TREE_HELD - OK)) files are gone, not $3 to $4: $SAID"
}

# Of five times eight directories: two held files renamed into another, three linked.
elsewhere=0
[[ $NFS_SUBTREE == no_subtree_check ]] || elsewhere=22
TREE_DIRS=40
share_make
tree_make
nfs_boot
for version in 3 4; do
	nfs_mount $CLIENT "${version/4/4.2}"
	held_start $CLIENT $version
	held $CLIENT $version "write first"
done
step "while all is up: by the client, the guest, the host"
for version in 3 4; do
	by_guest $CLIENT /v$version $version 0
	by_guest server /srv $version 8
	by_host $version 16
	caches_drop
	# The server may still have open what lost its name; the client keeps what it removed itself.
	held_all $version check 0 $((10 + elsewhere))
done
step "by the guest while nfsd is stopped, by the host while no daemon runs"
guest_do server 'nfsserver stop'
for version in 3 4; do by_guest server /srv $version 24; done
guest_do server 'umount /srv'
kill -9 "${INSIDE[d]}"
for version in 3 4; do by_host $version 32; done
device_replace dead
guest_mount server share /srv
share_lookups
server_start
caches_drop
step "what is there is the same, what is gone is stale"
written=0
for version in 3 4; do
	held_all $version check 20 $((20 + elsewhere))
	held $CLIENT $version "dirs after-$version"
	held_all $version "write after" 20 $((20 + elsewhere))
	written=$((written + OK))
done
said=$("$NFS_BIN/held" scan "$SHARE") || fail "on the host: $said"
expect_text "files that were written to at the end" $written \
	"$(grep -rlZ ' after$' "$SHARE" | xargs -0 stat -c %i | sort -u | wc -l)"
# With the names that the host gave them while nobody served them.
for version in 3 4; do list_compare $CLIENT /v$version/d034 "$SHARE/d034"; done
