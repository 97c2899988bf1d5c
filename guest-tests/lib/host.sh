# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Guests as hosts: holdfast itself runs in the guest, whose kernel is an older one than this machine's, on the guest's own
# disk. Cases of tests/cases run there as they do here. /cores in it is the first root's /tmp, which the kernel itself can reach. Sourced after guest.sh.

# What the cases call, besides what is built.
HOST_PROGRAMS=(bash sh env id stat install timeout touch chmod chown mkdir rm rmdir ln mv cp cat ls head tail tac tr cut sort uniq wc seq sleep
	date dd uname truncate readlink realpath dirname basename sync true false echo printf test nohup chroot mknod xargs find grep sed awk od
	cmp diff md5sum setpriv prlimit unshare nsenter mount umount findmnt mountpoint flock losetup mkfs.ext4 getfattr setfattr getfacl setfacl
	fusermount3 newuidmap newgidmap gzip)

# host_disk BINARY...: the guest's disk becomes a root with these binaries of the repository, and the tests, at /holdfast.
# Who runs it may have another kernel, never other libraries.
host_disk() {
	local root=$TMP/host-root program file place
	mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{dev,proc,sys,run,tmp,etc,var/lib,root,cores,old}
	for place in bin sbin lib lib64; do ln -s "usr/$place" "$root/$place"; done
	for program in "${HOST_PROGRAMS[@]}"; do
		file=$(type -P "$program") || fail "there is no $program here"
		# As the kind of file that it is here: set-user-id bits make newuidmap what it is.
		cp -L --preserve=mode,ownership "$file" "$root/usr/bin/$program"
	done
	mkdir -p "$root/holdfast/build/test-tmp"
	(cd "$ROOT" && cp -a --parents tests/lib tests/cases "$@" "$root/holdfast/") || fail "the guest's root"
	while read -r file; do
		place=$root/usr/${file#/usr/}
		mkdir -p "${place%/*}" && cp -L "$file" "$place"
	done < <(find "$root/usr/bin" "$root/holdfast/build" -type f -perm -u+x -exec ldd {} + 2>/dev/null |
		sed -n 's,.*[[:space:]]\(/[^ ]*\) (0x.*,\1,p' | sort -u)
	printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	touch "$root"/etc/{subuid,subgid}
	ln -s ../proc/self/mounts "$root/etc/mtab"
	truncate -s 700M "$GUEST_DISK"
	run mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1 -d "$root" "$GUEST_DISK"
	rm -rf "$root"
}

# host_boot NAME KERNEL: a guest whose root that disk is. Not by chroot, in which nobody may make user namespaces.
host_boot() {
	guest_boot "$1" "$2"
	guest_do "$1" 'cd /disk && mount -o remount,rw /disk && mount -t proc proc proc && mount -t sysfs sysfs sys &&
		mount -t devtmpfs devtmpfs dev && mount -t tmpfs tmpfs run && mount --bind /tmp cores && umount /tools/disk && umount -l /tools && mount -o move /disk /'
}

# host_try NAME COMMAND [SECONDS]: by bash, with that root; host_do: it must succeed. What lies over a root is behind its "..".
host_try() { guest_try "$1" "exec chroot /.. /usr/bin/env -i PATH=/usr/bin HOME=/root /bin/bash -c ${2@Q}" "${3:-120}"; }
host_do() { host_try "$@" || fail "exit $? in guest $1: $2"; }

# host_case NAME CASE SECONDS [VARIABLE=VALUE...]: a case of tests/cases or guest-tests/host, on the guest's own disk.
# What it says is shown; it must pass.
host_case() {
	local name=$1 case=$2 limit=$3 rc=0
	shift 3
	step "${GUEST_KERNEL[$name]}: $case"
	host_try "$name" "cd /holdfast && export SLOW=6 FULL=$FULL ${*@Q} && exec tests/lib/run-case $case $limit own bash */*/$case.sh" $((limit + 20)) || rc=$?
	((rc == 0)) || fail "exit $rc of $case under Linux ${GUEST_KERNEL[$name]}"
}
