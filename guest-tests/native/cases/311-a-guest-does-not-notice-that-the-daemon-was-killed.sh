#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# Behind a front-end that connects to the next daemon with the record of INFLIGHT_SHMFD: no INIT, and what was open goes on being so;
# where it cannot go on, it does not.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native_both test_death unnoticed noticed
