# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# The share in a guest, exported by the guest's own nfsd, and mounted by the kernel's NFS client in the same guest or in
# another. Sourced by the cases after tests/lib/case.sh and tests/lib/device.sh.
#
# The server guest is "server": the share at /srv, the client's mounts at /v3 and /v4. Every part that fails shows both
# sides' logs, and what `holdfast inspect` says of the handles that are concerned.
#
# What is combined in test-full ("# matrix:" in a case's head) comes by the environment:
#   KERNEL=6.12|6.1                               of the guests
#   NFS_SUBTREE=no_subtree_check|subtree_check    in the export
#   NFS_CACHE=auto|always                         of the device
#   NFS_CLIENT=near|far                           in the server's guest, over loopback, or in a second one: $CLIENT

. "$ROOT/guest-tests/lib/guest.sh"
"$ROOT/nfs-export-tests/lib/prepare" || fail "what the NFS cases need cannot be made"
NFS_BIN=$ROOT/build/guest/nfs-bin
KERNEL=${KERNEL:-6.12}
# Seconds in which clients claim what they held, and which a lease lasts: more on a machine that has much else to do.
GRACE=${NFS_GRACE:-10}
# 3 and 4; one of them to see what the other makes of a back-end whose handles do not persist.
VERSIONS=${NFS_VERSIONS:-3 4}
NFS_SUBTREE=${NFS_SUBTREE:-no_subtree_check}
SERVE_OPTIONS=("--cache=${NFS_CACHE:-auto}")
CLIENT=server
[[ ${NFS_CLIENT:-near} == near ]] || CLIENT=client
# What is exported to whom; fsid= is what every handle begins with, in every run of the server.
NFS_EXPORT_OPTIONS=${NFS_EXPORT_OPTIONS:-rw,fsid=1,no_root_squash,insecure,sync,$NFS_SUBTREE}
NFS_EXPORTS=("*:/srv $NFS_EXPORT_OPTIONS")
# The tree: directories, files in each, held ones of all.
TREE_DIRS=40 TREE_FILES=50 TREE_HELD=100
((FULL)) && TREE_DIRS=100

# ---- the server ---------------------------------------------------------------------------------------

# server_boot [OPTION...]: the share by a new device, in a new guest, exported.
server_boot() {
	share_serve d "${SERVE_OPTIONS[@]}" "$@"
	server_machine
	server_export
}

# nfs_boot [OPTION...]: the same, and the guest of the client if that is another.
nfs_boot() {
	server_boot "$@"
	[[ $CLIENT == server ]] || client_boot
}

server_machine() {
	network_args server client 1
	guest_boot server "$KERNEL" "share=${SOCKET[d]}"
	guest_do server 'nfsserver load 10.99.0.1 server' 200
}

# client_boot: a second guest, without a share, on the same wire.
client_boot() {
	local disk=$GUEST_DISK
	network_args client server 2
	GUEST_DISK=$TMP/disk-client
	guest_boot client "$KERNEL"
	GUEST_DISK=$disk
	guest_do client 'nfsserver load 10.99.0.2 client; nfsserver notify' 200
}

# A wire of datagrams between two UNIX sockets: either end may go and come back.
network_args() {
	# Of two initramfs QEMU takes the last.
	GUEST_ARGS=(-initrd "$GUEST_BUILD/$KERNEL/initramfs-nfs" -netdev "dgram,id=net,local.type=unix,local.path=/run/net-$1,remote.type=unix,remote.path=/run/net-$2"
		-device "virtio-net-pci,netdev=net,mac=52:54:00:12:34:0$3,addr=0x12")
	rm -f "/run/net-$1"
}

# server_crash: the plug of the server's guest is pulled, its daemon killed; both start anew, other files are looked up first.
server_crash() {
	kill -9 "${INSIDE[d]}"
	guest_kill server
	within 10 daemon_dead d || fail "the device outlives its kill"
	wait "${PID[d]}" 2>/dev/null
	unset "PID[d]"
	share_again d
	server_machine
	guest_mount server share /srv
	share_lookups
	server_start "${1:-$GRACE}"
}

# server_export: mounts the share and starts nfsd.
server_export() {
	guest_mount server share /srv
	server_start
}

server_start() {
	local quoted
	quoted=$(printf " '%s'" "${NFS_EXPORTS[@]}")
	guest_do server "nfsserver start ${1:-$GRACE}$quoted" 200
}

# server_quiet: nfsd stopped, the share unmounted.
server_quiet() {
	guest_do server 'nfsserver stop && umount /srv' 200
}

# nfs_mount GUEST 3|4.2 [SERVER [DIR]]: at /v3 or /v4. The server's own guest takes it by loopback, where v3 has no locks.
nfs_mount() {
	local dir=/v${2%.*} options address=${3:-}
	[[ -n $address || $1 == server ]] || address=10.99.0.1
	case $2 in
	3) options=vers=3,tcp,mountproto=tcp ;;
	*) options=vers=$2,tcp ;;
	esac
	[[ -n $address || $2 != 3 ]] || options+=,nolock
	guest_do "$1" "mkdir -p $dir && mount.nfs -o $options,${NFS_MOUNT_OPTIONS:-hard} ${address:-127.0.0.1}:${4:-/srv} $dir" 200
}

# share_lookups: what another user of the share does first after it was mounted anew.
share_lookups() { guest_do server "cd /srv && ls -lR d02* d03* >/dev/null && cat d0[23]*/f04* >/dev/null" 200; }

# device_replace kill9|end|dead: unplugged, the daemon ended (killed now, by itself, or killed before), another one plugged.
device_replace() {
	local dead=${PID[d]}
	[[ $1 != kill9 ]] || kill -9 "${INSIDE[d]}" || fail "the device was not there"
	[[ $1 == end ]] || within 10 daemon_dead d || fail "the device outlives its kill"
	guest_unplug server
	within 10 daemon_dead d || fail "the device does not end when its front-end has hung up"
	wait "$dead" 2>/dev/null
	unset "PID[d]"
	share_again d
	guest_plug server "${SOCKET[d]}"
}

# ---- what clients hold ---------------------------------------------------------------------------------

# tree_make [ENTRIES]: on the host.
tree_make() { run "$NFS_BIN/held" make "$SHARE" $TREE_DIRS $TREE_FILES "${1:-0}"; }

# held_start GUEST 3|4 [FROM [NAME]]: holds files of that mount open; v3 and v4 not the same, since a write by one of a file that the
# other has delegated to it costs 5 s of waiting each.
held_start() {
	guest_do "$1" "held hold /v$2 /tmp/held${4:-$2} $TREE_DIRS $TREE_FILES $TREE_HELD ${3:-$2}" 200
}

# held GUEST 3|4|NAME COMMAND: all must be as they were.
held() {
	local rc=0 said
	said=$(guest_try "$1" "held do /tmp/held$2 $3" "${HELD_SECONDS:-200}") || rc=$?
	echo "    $1, NFSv$2, $3: $said"
	((rc == 0)) || nfs_failed "$1" "$2" "what is held over NFSv$2, '$3': $(head -n 1 <<<"$said")"
}

# held_says GUEST 3|4 COMMAND: the same, whatever it says; in $SAID.
held_says() {
	SAID=$(guest_try "$1" "held do /tmp/held$2 $3" "${HELD_SECONDS:-200}")
	echo "    $1, NFSv$2, $3: $(head -n 1 <<<"$SAID")"
}

# tree_verify VERSION:TAG,TAG...: on the host, every content is what it has to be.
tree_verify() {
	local said
	said=$("$NFS_BIN/held" verify "$SHARE" $TREE_DIRS $TREE_FILES $TREE_HELD "$@") || fail "on the host: $said"
	echo "    on the host: $said"
	said=$("$NFS_BIN/held" scan "$SHARE") || fail "on the host: $said"
}

# nfs_failed GUEST VERSION WHY: the evidence, then fail.
nfs_failed() {
	local guest
	{
		nfs_handles "$3"
		for guest in "${!GUEST_PID[@]}"; do
			echo "--- the kernel of guest $guest:"
			guest_try "$guest" "dmesg | tail -n 25" 20
		done
		echo "--- status of the device:"
		timeout 10 "$HOLDFAST" status --shared-dir="$SHARE" --state-dir="$STATE"
	} >&"$REPORT" 2>&1
	fail "$3"
}

# nfs_handles TEXT: for each file that the text names, its handle in the server's share and what inspect says of it.
nfs_handles() {
	local name handle
	for name in $(grep -oE 'd[0-9]{3}(/f[0-9]{3})?' <<<"$1" | sort -u | head -n 3); do
		handle=$(guest_try server "catalogue get /srv/$name" 20)
		echo "--- handle of $name: $handle"
		timeout 10 "$HOLDFAST" inspect "$handle" --shared-dir="$SHARE" --state-dir="$STATE"
	done
}

# caches_drop: in all guests.
caches_drop() {
	local guest
	for guest in "${!GUEST_PID[@]}"; do guest_drop "$guest"; done
}

guest_drop() { guest_do "$1" 'sync; for i in 1 2 3 4; do echo 3 >/proc/sys/vm/drop_caches; done' 200; }

# ---- load ------------------------------------------------------------------------------------------------

# storm_begin GUEST ID MODE DIR SEED STEPS [SECONDS [CRASHES]]: in the background of the guest. With subtree_check a file has
# another handle in each directory that it has a name in, and clients of Linux take it for another file there, of any exported
# file system: so none gets a name in a second one.
storm_begin() {
	local mode=$3
	[[ $mode != run || $NFS_SUBTREE == no_subtree_check ]] || mode=home
	guest_do "$1" "(setsid sh -c 'storm $mode $4 $5 $6 ${7:-} ${8:-}; echo \$? >/tmp/storm-$2.rc') >/tmp/storm-$2.log 2>&1 </dev/null &"
}

# storm_end GUEST ID [SECONDS]: it must have found everything as it should be.
storm_end() {
	guest_do "$1" "i=0; until [ -s /tmp/storm-$2.rc ]; do sleep 0.2; i=\$((i + 1)); [ \$i -lt $((5 * ${3:-300})) ]; done" $((${3:-300} + 30)) ||
		fail "storm $2 does not end"
	SAID=$(guest_do "$1" "cat /tmp/storm-$2.log")
	echo "    $2: $(tail -n 1 <<<"$SAID")"
	[[ $(guest_do "$1" "cat /tmp/storm-$2.rc") == 0 ]] || nfs_failed "$1" 3 "storm $2: $SAID"
}

# list_compare GUEST DIR HOSTDIR: the client sees what the host has.
list_compare() {
	guest_do "$1" "storm list $2 | sort | md5sum; storm list $2 | wc -l" 200 >"$TMP/list-guest"
	{ "$NFS_BIN/storm" list "$3" | LC_ALL=C sort | md5sum; "$NFS_BIN/storm" list "$3" | wc -l; } >"$TMP/list-host"
	if ! cmp -s "$TMP/list-guest" "$TMP/list-host"; then
		guest_do "$1" "storm list $2 | sort" 200 >"$TMP/list-guest"
		"$NFS_BIN/storm" list "$3" | LC_ALL=C sort >"$TMP/list-host"
		diff "$TMP/list-guest" "$TMP/list-host" | head -n 20
		nfs_failed "$1" 3 "the client's view of $2 is not the host's"
	fi
	echo "    $1 and the host see the same $(tail -n 1 "$TMP/list-host") objects in $2"
}
