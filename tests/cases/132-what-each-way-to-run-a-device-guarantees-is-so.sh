#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 240
# weight: 60
# The table of README.md: a row is a way to run it, a column a test of the native front-end, each on an empty share and state.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/tests/lib/ordinary.sh"

ordinary_places
ordinary_subids
columns=(restart renamed-while-it-runs directory-renamed-meanwhile file-renamed-meanwhile owners)

# row NAME BY-HANDLE OWNER CHOWN DEVICE USER [OPTION...]
row() {
	local name=$1 user=$6 column prefix=
	export MODE_BY_HANDLE=$2 MODE_OWNER=$3 MODE_CHOWN=$4 MODE_DEVICE=$5
	shift 6
	[[ $user == root ]] || prefix=${ORDINARY[*]@Q}
	export MODE_STATUS="$prefix ${HOLDFAST@Q} status --json --state-dir=${STATE@Q}"
	printf '#!/bin/bash\nexec %s %s "$@" %s\n' "$prefix" "${HOLDFAST@Q}" "${*@Q}" >"$TMP/start"
	chmod 755 "$TMP/start"
	for column in "${columns[@]}"; do
		step "$name: $column"
		rm -rf "$STATE" "$TMP/user/sock"
		find "$SHARE" -mindepth 1 -delete
		install -d -m 700 -o "$user" -g "$(id -gn "$user")" "$STATE"
		chown "$user:" "$SHARE" && chmod 777 "$SHARE"
		"$ROOT/build/native/test_modes" "$TMP/start" "$SHARE" "$STATE" "$TMP/user/sock" "$column" || fail "$name: $column"
	done
}
EINVAL=-22 EPERM=-1
row "root, namespace" 1 1000 2000 0 root
row "root, chroot" 1 1000 2000 0 root --sandbox=chroot
row "root, none" 1 1000 2000 0 root --sandbox=none
row "root, without CAP_DAC_READ_SEARCH" 0 1000 2000 0 root --modcaps=-dac_read_search
row "root, a user namespace" 1 100999 101999 $EPERM root --uid-map=:0:0:1: --uid-map=:1:100000:65535: --gid-map=:0:0:1: --gid-map=:1:100000:65535:
row "user, subordinate ids" 1 100999 101999 $EPERM nobody --uid-map=:0:65534:1: --uid-map=:1:100000:65535: --gid-map=:0:65534:1: --gid-map=:1:100000:65535:
row "user, one id" 1 $EINVAL $EINVAL $EPERM nobody
row "user, one id, all others squashed" 1 65534 65534 $EPERM nobody --translate-uid=squash-guest:0:0:4294967295 --translate-gid=squash-guest:0:0:4294967295
row "user, none" 0 65534 $EPERM $EPERM nobody --sandbox=none
