#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# limit: 300
# weight: 15
# By chance and made from real ones, at the daemon that gave those out and at the next one. A million in test-full.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

export FORGE_COUNT=100000
((FULL)) && FORGE_COUNT=1000000
share_make
native test_forge guesses
