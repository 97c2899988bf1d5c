#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# limit: 300
# weight: 30
# One guest with six devices: what Linux 6.12 and we agree on, --cache, --readonly, --xattr, --posix-acl, --writeback, mounts
# inside the share as mounts of the guest's.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"

share_make
# device TAG [OPTION...]: a share of its own, with state of its own.
devices=()
device() {
	mkdir -p "$HOST/$1"
	echo "of $1" >"$HOST/$1/file"
	SHARE=$HOST/$1 STATE=$TMP/state-$1 share_serve "$@"
	devices+=("$1=${SOCKET[$1]}")
}
flags_of() { "$HOLDFAST" status --json --shared-dir="$HOST/$1" --state-dir="$TMP/state-$1" | sed -n 's/.*"flags": "\(0x[0-9a-f]*\)".*/\1/p'; }
# expect_flags TAG yes|no NAME=BIT...
expect_flags() {
	local tag=$1 want=$2 flags flag
	flags=$(flags_of "$tag")
	shift 2
	for flag; do
		expect_text "$tag: ${flag%=*} in $flags" "$want" "$( ((flags >> ${flag#*=} & 1)) && echo yes || echo no)"
	done
}

# A file system mounted in the share.
image_make ext4 "$TMP/inner.img" 20M
mkdir -p "$HOST/auto/inner"
image_mount "$TMP/inner.img" "$HOST/auto/inner"
echo inner >"$HOST/auto/inner/file"
mkdir "$HOST/auto/inner/d"
echo deep >"$HOST/auto/inner/d/file"
run "$TOOLS/populate" "$HOST/auto/inner" 200 50

device auto
device always --cache=always
device never --cache=never
device readonly --readonly
device acl --xattr --posix-acl
device writeback --writeback --cache=always --flock --posix-lock
guest_boot g 6.12 "${devices[@]}"
for tag in "${devices[@]%%=*}"; do
	guest_mount g "$tag" "/m/$tag"
	guest_says g "of $tag" "cat /m/$tag/file"
done

step "what is agreed on"
always=(ATOMIC_O_TRUNC=3 EXPORT_SUPPORT=4 DO_READDIRPLUS=13 READDIRPLUS_AUTO=14 PARALLEL_DIROPS=18 MAX_PAGES=22
	SUBMOUNTS=27 HANDLE_KILLPRIV_V2=28 INIT_EXT=30 CREATE_SUPP_GROUP=34)
expect_flags auto yes "${always[@]}" AUTO_INVAL_DATA=12
expect_flags auto no POSIX_LOCKS=1 FLOCK_LOCKS=10 WRITEBACK_CACHE=16 POSIX_ACL=20 SECURITY_CTX=32 NO_OPEN=17
expect_flags always no AUTO_INVAL_DATA=12
expect_flags never no DO_READDIRPLUS=13
expect_flags acl yes "${always[@]}" POSIX_ACL=20 DONT_MASK=6
expect_flags acl no SECURITY_CTX=32
expect_flags writeback yes "${always[@]}" WRITEBACK_CACHE=16 POSIX_LOCKS=1 FLOCK_LOCKS=10

step "--cache: when a change by the host is seen"
for tag in auto always never; do
	echo 12345 >"$HOST/$tag/size"
	guest_says g 6 "stat -c %s /m/$tag/size"
	echo 67890 >>"$HOST/$tag/size"
done
guest_says g 12 "stat -c %s /m/never/size"
within 10 guest_try g "[ \$(stat -c %s /m/auto/size) = 12 ]" || fail "--cache=auto: the change is not seen"
guest_says g 6 "stat -c %s /m/always/size"
guest_do g 'umount /m/always'
guest_mount g always /m/always
guest_says g 12 "stat -c %s /m/always/size"

step "--readonly"
for command in 'echo x >/m/readonly/new' 'echo x >>/m/readonly/file' 'rm /m/readonly/file' 'mkdir /m/readonly/d' 'chmod 600 /m/readonly/file'; do
	! said=$(guest_try g "$command") || fail "--readonly lets: $command"
	[[ $said == *"Read-only file system" ]] || fail "--readonly: $command: $said"
done
expect_text "what is in the share" "file 12 644" "$(cd "$HOST/readonly" && stat -c '%n %s %a' -- *)"

step "--xattr, --posix-acl"
tools() { guest_do g "chroot /tools $1"; }
guest_do g 'mount --bind /m/acl /tools/mnt'
tools 'setfattr -n user.a -v "one value" /mnt/file'
expect_text "user.a on the host" "one value" "$(getfattr --only-values -n user.a "$HOST/acl/file")"
tools 'chmod 600 /mnt/file'
tools 'setfacl -m u:1234:r /mnt/file'
getfacl -pn "$HOST/acl/file" | grep -qx "user:1234:r--" || fail "the ACL did not reach the host"
tools '/usr/bin/setpriv --reuid=1234 --regid=1234 --clear-groups cat /mnt/file'
! guest_try g 'chroot /tools /usr/bin/setpriv --reuid=1235 --regid=1235 --clear-groups cat /mnt/file' || fail "user 1235 reads"
tools 'setfacl -d -m u:1234:rx,g::rx,o::- /mnt'
tools 'touch /mnt/inherits'
getfacl -pn "$HOST/acl/inherits" | grep -q "user:1234:" || fail "the default ACL was not inherited"
guest_do g 'umount /tools/mnt; mount --bind /m/auto /tools/mnt'
! guest_try g 'chroot /tools setfattr -n user.a -v x /mnt/file' || fail "xattrs without --xattr"

step "--writeback"
guest_do g 'cd /m/writeback && filemodel f 1 1500 && sync -f f'
expect_text "the file on the host" "$(guest_do g 'md5sum </m/writeback/f')" "$(md5sum <"$HOST/writeback/f")"

step "mounts inside the share"
guest_says g deep 'cat /m/auto/inner/d/file'
guest_do g "grep -q ' /m/auto/inner virtiofs ' /proc/mounts"
guest_do g '[ $(stat -c %d /m/auto) != $(stat -c %d /m/auto/inner) ] && [ $(stat -c %d /m/auto/inner) = $(stat -c %d /m/auto/inner/d) ]'
handles_take g inner /m/auto/inner
MNT=/m/auto/inner handles_check g inner
guest_drop_caches g
MNT=/m/auto/inner handles_check g inner --shuffle=1
guest_says g deep 'cat /m/auto/inner/d/file'
guest_do g 'umount /tools/mnt /m/auto/inner /m/auto'
guest_mount g auto /m/auto
guest_says g deep 'cat /m/auto/inner/d/file'
MNT=/m/auto/inner handles_check g inner --shuffle=2
guest_do g 'for m in /m/*; do umount -l $m; done'
guest_stop g
for tag in "${devices[@]%%=*}"; do share_end "$tag"; done
image_umount "$HOST/auto/inner"
