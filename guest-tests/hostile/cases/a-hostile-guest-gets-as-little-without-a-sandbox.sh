#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 300
# weight: 40
# With --sandbox=none and chroot: names, nodes, objects and memory that goes away.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/hostile/lib/hostile.sh"

share_make
for mode in none chroot; do
	step "$mode"
	device_start a --persist --sandbox=$mode --posix-lock
	hostile_run a name node object fh "goes away" "is not there"
	device_stop a
done
