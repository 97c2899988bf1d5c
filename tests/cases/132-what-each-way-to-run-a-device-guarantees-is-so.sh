#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 240
# weight: 60
# The table of README.md: a row is a way to run it, a column a test of the native front-end, each on an empty share and state.
# MODE_ROWS and MODE_COLUMNS, patterns of their names: only those (guest-tests/cases/13-*, with older kernels).
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/tests/lib/ordinary.sh"

ordinary_places
ordinary_subids
columns=(restart renamed-while-it-runs directory-renamed-meanwhile file-renamed-meanwhile owners)

# ONLY: just that column; OWNER: of the share, if not the user. What is mounted at "inside" stays.
# row NAME BY-HANDLE OWNER CHOWN DEVICE USER [OPTION...]
row() {
	local name=$1 user=$6 column prefix=
	[[ $name =~ ${MODE_ROWS:-.} ]] || return 0
	export MODE_BY_HANDLE=$2 MODE_OWNER=$3 MODE_CHOWN=$4 MODE_DEVICE=$5
	shift 6
	[[ $user == root ]] || prefix=${ORDINARY[*]@Q}
	export MODE_STATUS="$prefix ${HOLDFAST@Q} status --json --state-dir=${STATE@Q}"
	printf '#!/bin/bash\nexec %s %s "$@" %s\n' "$prefix" "${HOLDFAST@Q}" "${*@Q}" >"$TMP/start"
	chmod 755 "$TMP/start"
	for column in "${columns[@]}"; do
		[[ $column =~ ${MODE_COLUMNS:-.} && $column == "${ONLY:-$column}" ]] || continue
		: $((DONE++))
		step "$name: $column"
		rm -rf "$STATE" "$TMP/user/sock" /run/holdfast # a ring of 17 MiB for each state
		find "$SHARE" -mindepth 1 -not -path "$SHARE/inside*" -delete
		install -d -m 700 -o "$user" -g "$(id -gn "$user")" "$STATE"
		chown "${OWNER:-$user}:" "$SHARE" && chmod 777 "$SHARE"
		"$ROOT/build/native/test_modes" "$TMP/start" "$SHARE" "$STATE" "$TMP/user/sock" "$column" || fail "$name: $column"
	done
}
EINVAL=-22 EPERM=-1 DONE=0
# Directories are opened by handle below the share: since this kernel.
BY_HANDLE=$(since 6.13)
row "root, namespace" $BY_HANDLE 1000 2000 0 root
row "root, chroot" $BY_HANDLE 1000 2000 0 root --sandbox=chroot
row "root, none" $BY_HANDLE 1000 2000 0 root --sandbox=none
row "root, without CAP_DAC_READ_SEARCH" 0 1000 2000 0 root --modcaps=-dac_read_search
row "root, a user namespace" $BY_HANDLE 100999 101999 $EPERM root --uid-map=:0:0:1: --uid-map=:1:100000:65535: --gid-map=:0:0:1: --gid-map=:1:100000:65535:
row "user, subordinate ids" $BY_HANDLE 100999 101999 $EPERM nobody --uid-map=:0:65534:1: --uid-map=:1:100000:65535: --gid-map=:0:65534:1: --gid-map=:1:100000:65535:
row "user, one id" $BY_HANDLE $EINVAL $EINVAL $EPERM nobody
row "user, one id, all others squashed" $BY_HANDLE 65534 65534 $EPERM nobody --translate-uid=squash-guest:0:0:4294967295 --translate-gid=squash-guest:0:0:4294967295
row "user, none" 0 65534 $EPERM $EPERM nobody --sandbox=none

# Where directories cannot be opened by handle although the kernel could: (1) of the table.
export ONLY=directory-renamed-meanwhile
OWNER=root row "user, one id, the share's owner is another" 0 - - - nobody
run mkdir "$SHARE/inside" && run mount -t tmpfs tmpfs "$SHARE/inside"
row "user, one id, a mount inside the share" 0 - - - nobody
row "user, subordinate ids, a mount inside the share" 0 - - - nobody --uid-map=:0:65534:1: --uid-map=:1:100000:65535: --gid-map=:0:65534:1: --gid-map=:1:100000:65535:
row "root, namespace, a mount inside the share" 0 - - - root
((DONE)) || fail "no test of that name"
