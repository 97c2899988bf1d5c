#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4
# Locks, leases of the host's, writes and changes on a file system that is frozen: the same queue, others and the
# high-priority one go on.
# limit: 240
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
trap 'fsfreeze -u "$HOST" 2>/dev/null' EXIT
native_both test_waits locks blocking lease
native test_waits bytes
native_tsan test_waits locks blocking lease
