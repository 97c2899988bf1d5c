#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# In another order each time, with other lookups first and with none; each file's content is its path.
# weight: 20
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native test_death handles
