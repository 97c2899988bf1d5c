#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 300
# weight: 100
# All hostile cases, in the namespace sandbox: each gets an error or loses its connection, and the next is served.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/tests/lib/device.sh"
. "$ROOT/guest-tests/hostile/lib/hostile.sh"

share_make
device_start a --persist --sandbox=namespace --posix-lock --flock
hostile_run a "${SOCKET[a]}" "$SHARE"
device_stop a
