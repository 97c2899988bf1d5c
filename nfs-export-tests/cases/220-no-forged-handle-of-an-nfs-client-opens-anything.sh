#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# limit: 1200
# weight: 90
# matrix: KERNEL=6.12,6.1 NFS_SUBTREE=no_subtree_check,subtree_check NFS_CACHE=auto,always
# A hostile client changes every field of its handles, invents others, keeps those of deleted files, takes them of another
# export and of what lies above an exported subdirectory, over NFSv3 and by open_by_handle_at in the guest: stale, all of
# them, and never another object.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/nfs-export-tests/lib/nfs.sh"

RANDOM_HANDLES=10000 && ((FULL)) && RANDOM_HANDLES=200000
NFSERR_STALE=70
NFSERR_JUKEBOX=10008

# expect_status STATUS HANDLE...: what GETATTR says to each, asked again while that is "try again", as a client does.
expect_status() {
	local want=$1
	shift
	for _ in {1..20}; do
		SAID=$(guest_do server "nfsforge ask $*" 100)
		[[ $SAID == *"error $NFSERR_JUKEBOX"* ]] || break
		sleep 1
	done
	[[ $(sort -u <<<"$SAID") == "$want" ]] || nfs_failed server 3 "GETATTR of $*: $SAID instead of $want"
}

share_make
tree_make
OTHER=$HOST/other
mkdir "$OTHER"
run "$NFS_BIN/held" make "$OTHER" 2 5
# A second share, with a state and a daemon of its own, at /srv2.
SHARE2=$SHARE STATE2=$STATE
SHARE=$OTHER STATE=$TMP/state2 share_serve e "${SERVE_OPTIONS[@]}"
SHARE=$SHARE2 STATE=$STATE2
share_serve d "${SERVE_OPTIONS[@]}"
network_args server client 1
guest_boot server "$KERNEL" "share=${SOCKET[d]}" "share2=${SOCKET[e]}"
guest_do server 'nfsserver load 10.99.0.1 server' 200
guest_mount server share /srv
guest_mount server share2 /srv2
# No two numbers differ by one bit only: a turned bit must not name the other export, which is open to the client too.
NFS_EXPORTS=("*:/srv $NFS_EXPORT_OPTIONS" "*:/srv2 ${NFS_EXPORT_OPTIONS/fsid=1/fsid=6}"
	"*:/srv/d000 rw,fsid=120,no_root_squash,insecure,sync,subtree_check")
server_start
step "every field of the handles of the root, directories and files"
guest_do server 'nfsforge change /srv . d001 d002 d003/f000 d003/f001 d004/f007 d030/f049' 600
guest_do server 'nfsforge change /srv/d000 . f000 f001' 600
guest_drop server
guest_do server 'nfsforge change /srv d005/f000 d006' 600
step "$RANDOM_HANDLES random ones"
guest_do server "nfsforge random /srv d003/f000 $RANDOM_HANDLES" 800
step "of deleted files, whose inode numbers are used again"
gone=$(guest_do server 'nfsforge get /srv d007/f000 d007/f001 d007/f002 d007/f003 d008')
read -r -a handles <<<"$(cut -d' ' -f1 <<<"$gone" | tr '\n' ' ')"
expect_status "$(cut -d' ' -f2 <<<"$gone" | sed 's/^/ok /' | sort -u)" "${handles[@]}"
rm -r "$SHARE/d008" "$SHARE"/d007/f00[0-3]
for ((i = 0; i < 200; i++)); do echo "d007/new$i" >"$SHARE/d007/new$i"; done
mkdir "$SHARE"/d007/new-{1,2,3}
sleep 1.5
guest_drop server
expect_status "error $NFSERR_STALE" "${handles[@]}"
step "of another export, and of what lies above an exported subdirectory"
header=$(guest_do server 'nfsforge get /srv .' | cut -d' ' -f1)
below=$(guest_do server 'nfsforge get /srv/d000 .' | cut -d' ' -f1)
mine=$(guest_do server 'nfsforge get /srv d001/f000 d001' | cut -d' ' -f1)
theirs=$(guest_do server 'nfsforge get /srv2 d001/f000 d001' | cut -d' ' -f1)
# This is how it is done: a handle that is put together from parts of one export opens.
SAID=$(guest_do server "nfsforge ask \$(nfsforge mix $header ${mine%%$'\n'*})")
[[ $SAID == ok* ]] || fail "a handle put together again does not open: $SAID"
for handle in $theirs; do expect_status "error $NFSERR_STALE" "$(guest_do server "nfsforge mix ${mine%%$'\n'*} $handle")"; done
# nodeid 1, generation 0: the root of the share; and what lies beside the exported directory.
for handle in "${header:0:6}81${header:8:8}000000000100000000000000" "${header:0:6}81${header:8:8}000000000000000100000000" $mine; do
	expect_status "error $NFSERR_STALE" "$(guest_do server "nfsforge mix $below $handle")"
done
step "by open_by_handle_at"
guest_do server "catalogue take /srv /disk/catalogue && forge /srv /disk/catalogue $RANDOM_HANDLES 1" 800
expect_text "files that nobody wrote to" $((TREE_DIRS * TREE_FILES - TREE_FILES - 4 + 200)) \
	"$("$NFS_BIN/held" scan "$SHARE" | sed -n '1s/ok=\([0-9]*\) .*/\1/p')"
