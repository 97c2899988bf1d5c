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
step "without options, the host's ACLs bind all users of a mount"
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}" 2>/dev/null; }
mkdir "$SHARE/acl"; chmod 755 "$SHARE/acl"
install -m 644 /dev/null "$SHARE/acl/denied"; echo secret >"$SHARE/acl/denied"
run setfacl -m u:1234:--- "$SHARE/acl/denied"
# Mode bits 060: those of the group are the mask's.
install -m 600 -g 1234 /dev/null "$SHARE/acl/group"
run setfacl -m g::---,u:1235:rw,m::rw "$SHARE/acl/group"
mkdir "$SHARE/acl/heirs"; chmod 777 "$SHARE/acl/heirs"
run setfacl -d -m u:1235:rwx,g::rwx,o::--- "$SHARE/acl/heirs"
# A file system without ACLs: its mode bits are all there is.
mkdir "$SHARE/acl/none"; run mount -t ramfs ramfs "$SHARE/acl/none"; chmod 755 "$SHARE/acl/none"
install -m 644 /dev/null "$SHARE/acl/none/f"
for options in "" --xattr "--xattr --xattrmap=:prefix:all::user.virtiofs.::bad:all:::" --cache=never; do
	# shellcheck disable=SC2086 # options have no spaces
	daemon_start a $options
	! as 1234 cat "$m/acl/denied" || fail "$options: user 1234 reads what the ACL denies"
	as 1235 cat "$m/acl/denied" >/dev/null || fail "$options: user 1235 cannot read"
	! as 1234 sh -c "echo x >>'$m/acl/group'" || fail "$options: group 1234 writes what the ACL denies"
	as 1235 sh -c "echo x >>'$m/acl/group'" || fail "$options: user 1235 cannot write"
	as 1234 cat "$m/acl/none/f" || fail "$options: a file of a file system without ACLs is not read"
	[[ $options == --xattr* ]] || ! setfattr -n user.a -v x "$m/d/f" 2>/dev/null || fail "other attributes came along"
	for where in "$SHARE" "$m"; do
		rm -rf "$where/acl/heirs/"*
		(umask 077; cd "$where/acl/heirs" && echo one >file && mkdir dir)
		(cd "$where/acl/heirs" && getfacl -cn file dir; stat -c %a file dir; cd ..; umask 027; echo one >file; stat -c %a file; rm file) >"$TMP/made"
		[[ $where != "$SHARE" ]] || mv "$TMP/made" "$TMP/made-on-host"
	done
	expect_text "$options: what is made, by default ACL and umask" "$(<"$TMP/made-on-host")" "$(<"$TMP/made")"
	run setfacl -m u:1236:rw "$m/acl/group"
	getfacl -cpn "$SHARE/acl/group" | grep -qx "user:1236:rw-" || fail "$options: an ACL that is set does not reach the host"
	daemon_stop
done
step "--no-posix-acl: by mode bits"
daemon_start a --no-posix-acl
as 1234 cat "$m/acl/denied" >/dev/null || fail "user 1234 cannot read by mode bits"
! getfacl -cpn "$m/acl/denied" | grep -q 1234 || fail "an ACL with --no-posix-acl"
daemon_stop
