#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Without any capability: by name. State below the XDG directory, mounted by fusermount3. root opens the handles.
. "$(dirname "$0")/../lib/case.sh"

[[ -u $(command -v fusermount3) ]] || skip "fusermount3 is not setuid here"
# Wherever the repository lies: the user reaches it below /run, which is the case's own.
mkdir /run/case /run/build
run mount --bind "$TMP" /run/case && run mount --bind "$ROOT/build" /run/build
chmod 755 "$TMP"
TMP=/run/case HOLDFAST=/run/build/holdfast TOOLS=/run/build/tests
share_make
# Open to users, here alone.
mknod -m 666 /run/fuse c 10 229 && run mount --bind /run/fuse /dev/fuse
chown -R 65534:65534 "$SHARE"
STATE=$TMP/user-state
mkdir -p "$TMP/mnt-a" "$STATE"
chown 65534:65534 "$TMP/mnt-a" "$STATE"
chmod 700 "$STATE"
user=(setpriv --reuid 65534 --regid 65534 --clear-groups env "HOME=$TMP/home-nobody")
DAEMON_PREFIX=("${user[@]}")
daemon_start a
"${user[@]}" bash -c "mkdir '${MOUNT[a]}/d' && echo one >'${MOUNT[a]}/d/f'" || fail "write"
h=$("${user[@]}" "$TOOLS/catalogue" get "${MOUNT[a]}/d/f") || fail "handle"
"${user[@]}" mv "${MOUNT[a]}/d" "${MOUNT[a]}/e" || fail "mv"
daemon_restart term
[[ $("${user[@]}" "$TOOLS/catalogue" get "${MOUNT[a]}/e/f") == "$h" ]] || fail "another handle after a restart"
expect_text "content" one "$("${user[@]}" cat "${MOUNT[a]}/e/f")"
daemon_stop
