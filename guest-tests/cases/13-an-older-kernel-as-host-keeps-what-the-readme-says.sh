#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 600
# weight: 70
# Holdfast runs in the guests: the table of README.md with hosts of Linux 6.1 and 6.12. In test-full all of it; else the cell
# in which kernels differ.
. "$(dirname "$0")/../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/lib/guest.sh"
. "$ROOT/guest-tests/lib/host.sh"

host_disk build/holdfast build/tests/catalogue build/native/test_modes
for kernel in 6.1 6.12; do
	host_boot h $kernel
	if ((FULL)); then
		host_case h 132-what-each-way-to-run-a-device-guarantees-is-so 1500
		host_case h 133-what-each-way-to-run-a-mount-guarantees-is-so 600
	else
		host_case h 132-what-each-way-to-run-a-device-guarantees-is-so 200 \
			MODE_ROWS='^(root, namespace|user, one id)$' MODE_COLUMNS=directory-renamed-meanwhile
	fi
	guest_kill h
done
