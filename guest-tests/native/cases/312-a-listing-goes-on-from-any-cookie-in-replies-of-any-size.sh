#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: ext4 xfs btrfs
# What was read from the host and did not fit into a reply is for who goes on from there, and for nobody else.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native test_requests listings
