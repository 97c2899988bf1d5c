#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# In a user namespace of its own, as root of which it has the user's rights and no others; with newuidmap for more ids.
. "$(dirname "$0")/../lib/case.sh"
. "$ROOT/tests/lib/device.sh"

# Wherever the repository lies: the user reaches it below /run, which is the case's own.
mkdir /run/case /run/build
run mount --bind "$TMP" /run/case && run mount --bind "$ROOT/build" /run/build
chmod 755 "$TMP"
TMP=/run/case HOLDFAST=/run/build/${HOLDFAST#"$ROOT/build/"} TOOLS=/run/build/tests
share_make
mkdir "$TMP/user" "$TMP/user/bin"
STATE=$TMP/user/state
mkdir -p "$STATE"
chown -R 65534:65534 "$SHARE" "$TMP/user"
chmod 700 "$STATE"
DAEMON_PREFIX=(setpriv --reuid 65534 --regid 65534 --clear-groups env "HOME=$TMP/user" "PATH=$TMP/user/bin:$PATH")
"${DAEMON_PREFIX[@]}" unshare --user true 2>/dev/null || skip "user namespaces are forbidden here"
SOCKETS=$TMP/user TMP=$TMP/user # where the user may make them

step "its own id is root there"
device_start a
expect_text "uid_map" "0 65534 1" "$(awk '{ print $1, $2, $3 }' "/proc/${INSIDE[a]}/uid_map")"
expect_text "ids" "65534 65534 65534 65534" "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/${INSIDE[a]}/status")"
[[ $(readlink "/proc/${INSIDE[a]}/ns/user") != "$(readlink /proc/$$/ns/user)" ]] || fail "no user namespace"
[[ $(ls "/proc/${INSIDE[a]}/root" | wc -l) == 1 ]] || fail "the root holds more than the share"
"${DAEMON_PREFIX[@]}" "$HOLDFAST" status --json --state-dir="$STATE" | grep -q '"sandbox": "namespace"' || fail "status"
device_stop a

step "with the key elsewhere, in a directory that it may not list, nothing leads out"
mkdir "$TMP/keys"
run "${DAEMON_PREFIX[@]}" "$HOLDFAST" make-key "$TMP/made" >/dev/null
mv "$TMP/made" "$TMP/keys/key"
chmod 711 "$TMP/keys"
mkdir "$TMP/keys/mount" && run mount -t tmpfs tmpfs "$TMP/keys/mount"
rm -r "$STATE" && install -d -m 700 -o 65534 -g 65534 "$STATE"
for helper in "" --key-helper; do
	# shellcheck disable=SC2086 # none or one
	device_start a --key-file="$TMP/keys/key" $helper
	device_leads_nowhere a
	device_stop a
done
rm -r "$STATE" && install -d -m 700 -o 65534 -g 65534 "$STATE"

step "without a sandbox"
device_start a --sandbox=none
"${DAEMON_PREFIX[@]}" "$HOLDFAST" status --json --state-dir="$STATE" | grep -q '"capabilities": ""' || fail "capabilities"
device_stop a

refused() {
	local code=$1
	shift
	expect_exit "$code" "${DAEMON_PREFIX[@]}" "$HOLDFAST" --shared-dir="$SHARE" --state-dir="$STATE" --socket-path="$TMP/s" "$@"
	[[ ! -e $TMP/s ]] || fail "it left a socket"
}
step "a chroot needs root"
refused 12 --sandbox=chroot
step "more ids are newuidmap's to give"
cat >"$TMP/bin/newuidmap" <<'END'
#!/bin/sh
echo "$0 $*" >>"$HOME/asked"
exit 1
END
chmod 755 "$TMP/bin/newuidmap"
refused 12 --uid-map=:0:65534:1: --uid-map=:1:100000:1000:
grep -Eq 'newuidmap [0-9]+ 0 65534 1 1 100000 1000$' "$TMP/asked" || fail "newuidmap was asked: $(cat "$TMP/asked")"
step "where user namespaces are forbidden"
cat >"$TMP/forbid" <<'END'
echo 0 >/proc/sys/user/max_user_namespaces || exit 77
exec "$@"
END
DAEMON_PREFIX+=(unshare --user --map-root-user bash "$TMP/forbid")
refused 12 --uid-map=:0:0:1:
grep -q "user namespace" <<<"$SAID" || fail "not said"
