#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on: own
# By cache mode and option; a second INIT, with and without DESTROY; the next front-end with --persist.
. "$(dirname "$0")/../../../tests/lib/case.sh"
. "$ROOT/guest-tests/native/lib/native.sh"

share_make
native_both test_requests init sessions persist
