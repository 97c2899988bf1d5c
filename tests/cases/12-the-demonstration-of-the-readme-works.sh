#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A handle is taken, the server killed with -9, started again, and the file read by the handle.
. "$(dirname "$0")/../lib/case.sh"

run bash "$ROOT/tests/demo.sh"
