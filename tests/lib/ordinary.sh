# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Daemons of an ordinary user (nobody, 65534). Sourced by cases after case.sh.

# Wherever the repository lies: the user reaches what it needs below /run, which is the case's own.
ordinary_places() {
	mkdir /run/case /run/build
	run mount --bind "$TMP" /run/case && run mount --bind "$ROOT/build" /run/build
	chmod 755 "$TMP"
	TMP=/run/case HOLDFAST=/run/build/${HOLDFAST#"$ROOT/build/"} TOOLS=/run/build/tests
	share_make
	mkdir -p "$TMP/user"
	STATE=$TMP/user/state
	mkdir -p "$STATE"
	chown 65534:65534 "$SHARE" "$TMP/user" "$STATE"
	chmod 700 "$STATE"
	ORDINARY=(setpriv --reuid 65534 --regid 65534 --clear-groups env "HOME=$TMP/user")
}

# Ids 100000 to 165535 of the host are the user's to map. /etc is looked at through the case's own mount namespace.
ordinary_subids() {
	echo "$(id -nu 65534):100000:65536" >/run/subids
	local file
	for file in /etc/subuid /etc/subgid; do
		[[ -e $file ]] || skip "there is no $file"
		run mount --bind /run/subids $file
	done
	[[ -u $(command -v newuidmap) ]] || skip "newuidmap is not here, or not setuid"
}

# since VERSION: 1 if this kernel is that new, else 0.
since() { [[ $(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -n 1) == "$1" ]] && echo 1 || echo 0; }
