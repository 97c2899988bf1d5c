#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# 1, 2, 4 and 64 request queues; EVENT_IDX and INDIRECT in all combinations; REPLY_ACK; the tag by GET_CONFIG.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native_both test_rings queues features acks config
