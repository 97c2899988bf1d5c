#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs own
# limit: 120
# The list of tests/tools/posixcheck.c, on the host's file system first, then through the mount with each cache policy.
. "$(dirname "$0")/../lib/case.sh"

share_make
mkdir "$HOST/plain"
run "$TOOLS/posixcheck" "$HOST/plain"
for options in "" "--cache=always" "--cache=never" "--cache=metadata" "--writeback" "--flock --posix-lock" "--allow-direct-io" \
	"--thread-pool-size=0" "--inode-file-handles=never"; do
	step "options: $options"
	mkdir "$SHARE/work"
	# shellcheck disable=SC2086
	daemon_start a --xattr $options
	left_out=()
	# A kernel that caches writes itself does not see O_APPEND of others, nor maps by direct I/O.
	run "$TOOLS/posixcheck" "${MOUNT[a]}/work" "${left_out[@]}"
	daemon_stop
	chattr -R -a "$SHARE/work" 2>/dev/null
	rm -rf "$SHARE/work"
done
