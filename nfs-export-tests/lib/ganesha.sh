# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# nfs-ganesha on this machine over a mount of holdfast, with clients of libnfs. Sourced by the cases after
# tests/lib/case.sh, in a network namespace of the case's own (own_network).

"$ROOT/nfs-export-tests/lib/prepare" || fail "what the NFS cases need cannot be made"
NFS_BIN=$ROOT/build/guest/nfs-bin
GANESHA=$ROOT/build/guest/packages
TREE_DIRS=20 TREE_FILES=50 TREE_HELD=50
GANESHA_EXPORT_OPTIONS=
# Clients of v4 claim what they held in the grace period; "Graceless = true;" where there are none.
GANESHA_NFSV4=${GANESHA_NFSV4:-Graceless = true;}

# own_network SCRIPT: the case begins again in a network of its own, where ports are free.
own_network() {
	[[ -z ${OWN_NETWORK:-} ]] || return 0
	OWN_NETWORK=1 exec unshare --net bash -c 'ip link set lo up && ip addr add 10.98.0.1/32 dev lo && exec bash "$0"' "$1"
}

# ganesha_start: exports the mount of daemon "a" as /e, v3 and v4.
ganesha_start() {
	cat >"$TMP/ganesha.conf" <<-END
		NFS_CORE_PARAM {
			Plugins_Dir = "$GANESHA/usr/lib/x86_64-linux-gnu/ganesha";
			Protocols = 3, 4;
			Enable_NLM = false;
			Enable_RQUOTA = false;
		}
		NFSv4 { $GANESHA_NFSV4 RecoveryRoot = "$TMP/recovery"; }
		EXPORT {
			Export_Id = 1; Path = "${MOUNT[a]}"; Pseudo = /e;
			Access_Type = RW; Squash = None; SecType = sys; $GANESHA_EXPORT_OPTIONS
			FSAL { Name = VFS; }
		}
		LOG { Default_Log_Level = EVENT; }
	END
	mkdir -p "$TMP/recovery" /var/lib/nfs/ganesha /run/ganesha /run/rpcbind
	LOG[ganesha]=$TMP/log-ganesha
	rpcbind_start
	LD_LIBRARY_PATH=$GANESHA/usr/lib/ganesha "$GANESHA/usr/bin/ganesha.nfsd" -F -L "${LOG[ganesha]}" \
		-f "$TMP/ganesha.conf" -p /run/ganesha/pid >"$TMP/out-ganesha" 2>&1 </dev/null &
	PID[ganesha]=$!
	within 60 ganesha_answers || { cat "$TMP/out-ganesha"; fail "ganesha does not answer"; }
}

# Ganesha serves v3 only where it can register it. rpcbind runs as a user that its package would have made.
rpcbind_start() {
	[[ -z ${PID[rpcbind]:-} ]] || return 0
	{ grep -v '^_rpc:' /etc/passwd; echo '_rpc:x:65533:65534::/run/rpcbind:/usr/sbin/nologin'; } >"$TMP/passwd"
	run mount --bind "$TMP/passwd" /etc/passwd
	"$GANESHA/sbin/rpcbind" -w -f >"$TMP/out-rpcbind" 2>&1 </dev/null &
	PID[rpcbind]=$!
	within 20 "$GANESHA/usr/bin/rpcinfo" -p >/dev/null 2>&1 || { cat "$TMP/out-rpcbind"; fail "rpcbind does not answer"; }
}

ganesha_answers() { timeout 5 nfs-ls "nfs://127.0.0.1${MOUNT[a]}?version=3" >/dev/null 2>&1; }

ganesha_stop() {
	kill -"${1:-TERM}" "${PID[ganesha]}"
	within 60 daemon_dead ganesha || fail "ganesha does not end"
	wait "${PID[ganesha]}" 2>/dev/null
	unset "PID[ganesha]"
}

# ---- a client that holds files open ----------------------------------------------------------------------

far_start() {
	coproc FAR { exec "$ROOT/build/guest/farheld" "nfs://127.0.0.1${MOUNT[a]}?version=3" $TREE_DIRS $TREE_FILES \
		$TREE_HELD "$1" 2>"$TMP/far-err"; }
	exec {FAR_IN}>&"${FAR[1]}" {FAR_OUT}<&"${FAR[0]}"
	eval "exec ${FAR[1]}>&-"
	SAID=
	read -r -t 60 SAID <&"$FAR_OUT"
	[[ $SAID == held ]] || { cat "$TMP/far-err"; fail "the client does not hold its files: $SAID"; }
}

far_stop() {
	exec {FAR_IN}>&-
	wait "$FAR_PID"
}

# far COMMAND: says what it says, in $SAID.
far() {
	: >"$TMP/far-err"
	echo "$*" >&"$FAR_IN"
	SAID=
	read -r -t 120 SAID <&"$FAR_OUT"
	echo "    libnfs, $*: $SAID"
	[[ $SAID == *"error=0 wrong=0" ]] || cat "$TMP/far-err"
}

# far_ok COMMAND: all must be as they were.
far_ok() {
	far "$@"
	[[ $SAID == "ok=$TREE_HELD stale=0 error=0 wrong=0" ]] && return
	cat "$TMP/far-err"
	ganesha_evidence
	fail "what libnfs holds, $*: $SAID"
}

# Of the first offender: its handle, what inspect says of it, what both sides logged.
ganesha_evidence() {
	local name handle
	name=$(grep -oE 'd[0-9]{3}/f[0-9]{3}' "$TMP/far-err" | head -n 1)
	handle=$("$HOLDFAST" handle get "${MOUNT[a]}/${name:-.}")
	echo "--- handle of ${name:-the root}: $handle"
	timeout 10 "$HOLDFAST" inspect "$handle" --shared-dir="$SHARE" --state-dir="$STATE"
}
