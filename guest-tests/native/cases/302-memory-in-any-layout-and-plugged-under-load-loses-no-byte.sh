#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Up to 200 regions, requests across them in pieces from one byte up, reads and writes of 1 MiB, hot-plug.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native_both test_memory pieces layouts hotplug
