#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs
# Random work by plain, O_APPEND and O_DIRECT descriptors, maps and copies, against a model; the host's file is compared, too.
. "$(dirname "$0")/../lib/case.sh"

share_make
run "$TOOLS/filemodel" "$HOST/plain" 1 500
seed=0
for options in "" "--allow-direct-io" "--cache=never --allow-direct-io" "--cache=metadata" "--writeback --allow-direct-io" \
	"--cache=always --killpriv-v2"; do
	daemon_start a $options
	for ((i = 0; i < (FULL ? 20 : 2); i++)); do
		step "options: $options, seed $((++seed))"
		run "$TOOLS/filemodel" "${MOUNT[a]}/f$seed" $seed 800 "$SHARE/f$seed"
	done
	daemon_stop
done
