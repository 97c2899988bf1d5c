#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# Deleted by the guest, by the host, renamed over, with restarts in between, and when the inode number is another's.
. "$(dirname "$0")/../lib/case.sh"

share_make
daemon_start a
m=${MOUNT[a]}
declare -A gone=()

step "unlink, rmdir, rename over, by the guest"
echo one >"$m/unlinked"; gone[unlinked]=$(handle_of "$m/unlinked")
mkdir "$m/removed"; gone[removed]=$(handle_of "$m/removed")
echo two >"$m/replaced"; gone[replaced]=$(handle_of "$m/replaced")
echo three >"$m/new"; new=$(handle_of "$m/new")
mkfifo "$m/fifo"; gone[fifo]=$(handle_of "$m/fifo")
ln -s target "$m/symlink"; gone[symlink]=$(handle_of "$m/symlink")
ino=$(stat -c %i "$m/unlinked")
rm "$m/unlinked" "$m/fifo" "$m/symlink"
rmdir "$m/removed"
mv "$m/new" "$m/replaced"
for k in "${!gone[@]}"; do expect_stale "${gone[$k]}"; done
expect_opens "$new" three

step "inode numbers used again"
for ((i = 0; i < 300; i++)); do
	echo "another $i" >"$m/again$i"
	[[ $(stat -c %i "$m/again$i") == "$ino" ]] && echo "inode $ino again at $i" && again=$i && break
done
[[ $FS != ext4 || -n ${again:-} ]] || fail "ext4 did not use inode $ino again"
for k in "${!gone[@]}"; do expect_stale "${gone[$k]}"; done
[[ -z ${again:-} ]] || expect_opens "$(handle_of "$m/again$again")" "another $again"

step "by the host, with the daemon running"
echo host >"$SHARE/host"; gone[host]=$(handle_of "$m/host")
mkdir "$SHARE/hostdir"; gone[hostdir]=$(handle_of "$m/hostdir")
echo below >"$SHARE/hostdir/f"; gone[below]=$(handle_of "$m/hostdir/f")
rm -r "$SHARE/host" "$SHARE/hostdir"
drop_caches
within 3 is_stale "${gone[host]}" || fail "deleted by the host, but it opens"

step "by the host, with no daemon, and the inode numbers used again"
echo away >"$m/away"; gone[away]=$(handle_of "$m/away")
ino=$(stat -c %i "$m/away")
daemon_stop
rm "$SHARE/away"
for ((i = 0; i < 300; i++)); do echo "other $i" >"$SHARE/away$i"; done
daemon_start a
for k in "${!gone[@]}"; do expect_stale "${gone[$k]}"; done
daemon_restart kill9
for k in "${!gone[@]}"; do expect_stale "${gone[$k]}"; done
expect_opens "$new" three
daemon_stop
