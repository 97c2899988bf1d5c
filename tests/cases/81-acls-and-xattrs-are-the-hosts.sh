#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a --xattr --posix-acl
m=${MOUNT[a]}
mkdir "$m/d"; echo one >"$m/d/f"; chmod 600 "$m/d/f"
run setfacl -m u:1234:r "$m/d/f"
getfacl -pn "$SHARE/d/f" | grep -qx "user:1234:r--" || fail "the ACL did not reach the host"
setpriv --reuid 1234 --regid 1234 --clear-groups cat "$m/d/f" >/dev/null || fail "the ACL does not let user 1234 read"
! setpriv --reuid 1235 --regid 1235 --clear-groups cat "$m/d/f" >/dev/null 2>&1 || fail "user 1235 can read"
run setfacl -d -m u:1234:rx,g::rx,o::- "$m/d"
(umask 077; echo two >"$m/d/g"; mkdir "$m/d/e")
getfacl -pn "$SHARE/d/g" | grep -q "user:1234:" || fail "the default ACL was not inherited"
getfacl -pn "$SHARE/d/e" | grep -q "default:user:1234:" || fail "the default ACL was not inherited by a directory"
(umask 022; cd "$SHARE/d" && echo host >"host")
expect_text "as the host inherits" "$(getfacl -cpn "$SHARE/d/host" | sort)" "$(cd "$m/d" && umask 022 && echo guest >guest && getfacl -cpn "$SHARE/d/guest" | sort)"
run setfacl -b "$m/d/f"
! getfacl -pn "$SHARE/d/f" | grep -q "user:1234" || fail "the ACL stays"
step "xattrs"
run setfattr -n user.a -v "one value" "$m/d/f"
expect_text "on the host" "one value" "$(getfattr --only-values -n user.a "$SHARE/d/f")"
run setfattr -n trusted.b -v two "$m/d/f"
expect_text "trusted, on the host" two "$(getfattr --only-values -n trusted.b "$SHARE/d/f")"
daemon_stop
step "--xattrmap: the guest's names have a prefix on the host"
daemon_start a --xattr '--xattrmap=:prefix:all::user.virtiofs.::bad:all:::'
run setfattr -n trusted.c -v three "$m/d/f"
expect_text "mapped" three "$(getfattr --only-values -n user.virtiofs.trusted.c "$SHARE/d/f")"
getfattr -dm- "$m/d/f" 2>/dev/null | grep -q "^trusted.c=" || fail "not listed by its own name"
! getfattr -dm- "$m/d/f" 2>/dev/null | grep -q "^user.a=" || fail "an unmapped name is seen"
daemon_stop
daemon_start a --no-xattr
! setfattr -n user.a -v x "$m/d/f" 2>/dev/null || fail "xattrs with --no-xattr"
daemon_stop
